//! The whole server on loopback, with a small registry behind it.

mod access;
mod harness;
mod json;
mod life;
mod people;
mod streams;
mod stubs;
