//! keikoctl as the tests run it.

fn main() -> std::process::ExitCode {
    keikoctl::main()
}
