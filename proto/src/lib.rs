//! The words: messages and services of Keiko, generated from `keiko/v1/*.proto`.
//!
//! Keeps no logic. With feature `grpc` come the clients and servers, with feature `reflect` the
//! JSON face of every message (see [`json`]).

#[cfg(feature = "reflect")]
pub mod json;

/// The messages and services of `keiko.v1`.
pub mod v1 {
    #![allow(clippy::all, unreachable_pub, clippy::use_self, clippy::too_many_lines)]
    include!(concat!(env!("OUT_DIR"), "/keiko.v1.rs"));
}

/// What nodes say to each other.
#[cfg(feature = "grpc")]
pub mod peer {
    #![allow(clippy::all, unreachable_pub, clippy::use_self, clippy::too_many_lines)]
    include!(concat!(env!("OUT_DIR"), "/peer/keiko.peer.v1.rs"));
}

/// The public annotations that the protos use.
pub mod google {
    /// `google.api`
    pub mod api {
        #![allow(clippy::all, unreachable_pub, clippy::use_self)]
        include!(concat!(env!("OUT_DIR"), "/google.api.rs"));
    }
}

/// Every proto file with its comments and options, as a `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
