//! `./x peers`: installs the real peers into `peers/` of the build folder.
//!
//! Keeps `npm/`, `venv/`, where needed `node22/`, and `bin/` with one small script per command, so
//! that a peer starts the same from any environment. A part is made anew when its lock file, or
//! what made it, differs from the copy that was written when it was complete; one process at a time.

use crate::{Outcome, checkout::Checkout, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The oldest node that all npm peers run on.
const NODE_MAJOR_MIN: u32 = 22;
/// A registry may hiccup once.
const TRIES: u32 = 2;

pub(crate) fn run(checkout: &Checkout, _arguments: &[String]) -> Outcome {
    ensure(checkout)?;
    println!("the peers are in {}", checkout.peers().join("bin").display());
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that all peers are installed as pinned. Talks on stderr only.
pub(crate) fn ensure(checkout: &Checkout) -> Result<()> {
    let peers = checkout.peers();
    let pins = checkout.root.join("tests/peers");
    fs::create_dir_all(peers.join("bin")).with_context(|| format!("{}", peers.display()))?;
    let lock = fs::File::create(peers.join("lock"))?;
    lock.lock().context("waiting for another ./x peers")?;

    let node = node(&peers, &pins)?;
    npm(&peers.join("npm"), &pins, "the npm peers")?;
    python(&peers.join("venv"), &pins)?;

    let everything = "npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    let python = peers.join("venv/bin/python");
    script(&peers, "node", &[&node])?;
    script(&peers, "mcp-server-everything", &[&node, &peers.join(everything)])?;
    for name in ["mcp-server-time", "kubernetes-validate"] {
        script(&peers, name, &[&peers.join("venv/bin").join(name)])?;
    }
    let own =
        [("hello-agent", "hello_agent.py"), ("mcp-http", "mcp_http.py"), ("graphs", "graphs.py")];
    for (name, file) in own {
        fs::copy(pins.join(file), peers.join(file))?;
        script(&peers, name, &[&python, &peers.join(file)])?;
    }
    Ok(())
}

/// The machine's node if it is new enough, else npm's beside the peers.
fn node(peers: &Path, pins: &Path) -> Result<PathBuf> {
    let found = process::output(Command::new("node").args(["-p", "process.execPath"]))?;
    let version = process::output(Command::new("node").arg("--version"))?;
    if major(&version).is_some_and(|major| major >= NODE_MAJOR_MIN) {
        return Ok(found.trim_end().into());
    }
    npm(&peers.join("node22"), &pins.join("node22"), "node 22")?;
    let node = peers.join("node22/node_modules/.bin/node");
    if !node.exists() {
        bail!(
            "node {} is older than {NODE_MAJOR_MIN}, and npm has none for this machine",
            version.trim()
        );
    }
    Ok(node)
}

fn npm(folder: &Path, pins: &Path, what: &str) -> Result<()> {
    let lock = fs::read_to_string(pins.join("package-lock.json"))?;
    if is_complete(folder, &lock) {
        return Ok(());
    }
    eprintln!("x peers: installing {what}");
    clear(folder)?;
    for file in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(pins.join(file), folder.join(file)).with_context(|| file.to_owned())?;
    }
    try_again(|| {
        let mut command = Command::new("npm");
        command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        command.current_dir(folder).stdout(std::io::stderr());
        process::run(&mut command)
    })?;
    complete(folder, &lock)
}

fn python(folder: &Path, pins: &Path) -> Result<()> {
    let requirements = pins.join("requirements.txt");
    let lock = fs::read_to_string(&requirements)?;
    // The link breaks when the machine's python is replaced.
    if is_complete(folder, &lock) && folder.join("bin/python").exists() {
        return Ok(());
    }
    eprintln!("x peers: installing the python peers");
    clear(folder)?;
    process::run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    try_again(|| {
        let mut command = Command::new(folder.join("bin/python"));
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
        process::run(command.arg(&requirements).stdout(std::io::stderr()))
    })?;
    complete(folder, &lock)
}

fn try_again(mut install: impl FnMut() -> Result<()>) -> Result<()> {
    let mut outcome = install();
    for _ in 1..TRIES {
        if outcome.is_ok() {
            break;
        }
        eprintln!("x peers: that failed; trying once more");
        outcome = install();
    }
    outcome
}

fn is_complete(folder: &Path, lock: &str) -> bool {
    fs::read_to_string(folder.join("complete")).is_ok_and(|written| written == lock)
}

fn complete(folder: &Path, lock: &str) -> Result<()> {
    fs::write(folder.join("complete"), lock).context("marking the peers as complete")
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))
}

/// A script, not a link: it needs nothing of PATH, and it becomes the program, so its pid is the
/// program's. Written only when it differs, since it may be running.
fn script(peers: &Path, name: &str, words: &[&Path]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let words: Vec<_> = words.iter().map(|word| process::quoted(&word.to_string_lossy())).collect();
    let text = format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "));
    let path = peers.join("bin").join(name);
    if fs::read_to_string(&path).is_ok_and(|written| written == text) {
        return Ok(());
    }
    let fresh = path.with_extension("new");
    fs::write(&fresh, text)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
    fs::rename(&fresh, &path).with_context(|| format!("{}", path.display()))
}

fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn node_versions() {
        let check = |version, expect| assert_eq!(major(version), expect, "{version:?}");
        check("v20.20.2\n", Some(20));
        check("v22.23.3", Some(22));
        check("22.23.3", None);
        check("", None);
    }
}
