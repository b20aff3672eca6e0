fn main() -> std::process::ExitCode {
    keikoctl::main()
}
