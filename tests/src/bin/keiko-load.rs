//! Puts load on a node and says what it took; `./x bench` starts it.

fn main() -> std::process::ExitCode {
    keiko_tests::load::main()
}
