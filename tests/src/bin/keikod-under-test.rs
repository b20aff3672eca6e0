//! keikod as the tests run it.

fn main() -> std::process::ExitCode {
    keiko_tests::under_test::prepare();
    keiko_tests::cluster::inside::prepare();
    keikod::main()
}
