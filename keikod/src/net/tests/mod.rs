//! The whole server on loopback, with a small registry behind it.

mod access;
mod clients;
mod harness;
mod json;
mod life;
mod people;
mod registry;
mod streams;
mod stubs;
