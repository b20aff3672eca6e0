//! The daemon of one node; everything is in the library.

/// A node that writes spends a fifth of its time in the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    keikod::main()
}
