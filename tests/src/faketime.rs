//! Another wall clock for one process: Debian's `faketime`. Its monotonic clock goes on as it is.

use crate::report::skip;
use std::path::Path;

const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// The library that does it, or a counted skip of this test.
pub fn library(test: &str) -> Option<&'static str> {
    let found = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        skip(test, "faketime is not installed");
    }
    found
}

/// What moves a program's wall clock, as in `+1h` or `-365d`.
pub fn env(library: &str, by: &str) -> [(String, String); 4] {
    [
        ("LD_PRELOAD", library),
        ("FAKETIME", by),
        // The name of it, old and new.
        ("DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
}
