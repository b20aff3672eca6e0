//! Running other programs: the same error everywhere, with the command in it.

use crate::checkout::Checkout;
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// cargo on this checkout, with the shared build folder.
pub(crate) fn cargo(checkout: &Checkout) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(&checkout.root).env("CARGO_TARGET_DIR", &checkout.target);
    command
}

/// Builds every program of the workspace. All verbs build the same set, because cargo unites the
/// features of what it builds together: a smaller set would compile its dependencies once more.
pub(crate) fn build(checkout: &Checkout) -> Result<()> {
    let mut command = cargo(checkout);
    command.args(["build", "--workspace", "--bins"]).stdout(std::io::stderr());
    if in_ci() {
        command.arg("--locked");
    }
    run(&mut command)
}

/// True where nobody watches and nothing may be skipped in silence.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// Runs to the end; a failure names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("can't start {}", text(command)))?;
    if !status.success() {
        bail!("{status}: {}", text(command));
    }
    Ok(())
}

/// Runs to the end and gives what it printed; a failure carries its stderr.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start {}", text(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}\n{}", output.status, text(command), stderr.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("not UTF-8: {}", text(command)))
}

/// The command as a person would type it.
pub(crate) fn text(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// One word of a shell line, quoted where it must be.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_they_must_be() {
        let check = |word: &str, expect: &str| assert_eq!(quoted(word), expect);
        check("plain-word/1.2", "plain-word/1.2");
        check("", "''");
        check("two words", "'two words'");
        check(r#"{"a":1}"#, r#"'{"a":1}'"#);
        check("it's", r"'it'\''s'");
    }
}
