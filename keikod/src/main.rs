//! The daemon of one node; everything is in the library.

fn main() -> std::process::ExitCode {
    keikod::main()
}
