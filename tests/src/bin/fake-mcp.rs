//! A small MCP server over stdio that misbehaves when it is told to.

fn main() -> std::process::ExitCode {
    keiko_tests::fake::mcp::stdio()
}
