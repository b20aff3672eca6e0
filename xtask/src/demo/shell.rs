//! The demo's terminal: prints each command as a person would type it, runs it, shows its output.

use super::{Cleanup, lock};
use crate::checkout::Checkout;
use crate::process;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long the demo waits for anything to become true.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
/// A long table is cut here on the screen.
const LINES_MAX: usize = 16;
const COLUMNS_MAX: usize = 160;

/// Where the demo's commands run, and which daemon they talk to.
#[derive(Clone)]
pub(crate) struct Shell {
    programs: PathBuf,
    path: String,
    folder: PathBuf,
    socket: PathBuf,
}

impl Shell {
    pub(crate) fn new(checkout: &Checkout, cleanup: &Cleanup) -> Self {
        let programs = checkout.programs();
        let folders = [&programs, &checkout.peers().join("bin")].map(|f| f.display().to_string());
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", folders.join(":"));
        let folder = lock(cleanup).folder().to_path_buf();
        let socket = folder.join("keiko.sock");
        Self { programs, path, folder, socket }
    }

    /// The same at another daemon.
    pub(crate) fn at(&self, socket: PathBuf) -> Self {
        Self { socket, ..self.clone() }
    }

    /// As `--endpoint` takes it.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// One of our programs, with nothing of the caller's own clusters in its environment.
    pub(crate) fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(name));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("KEIKO_") || text.starts_with("KEIKOD_") {
                command.env_remove(&name);
            }
        }
        command
            .args(arguments)
            .env("PATH", &self.path)
            .env("XDG_CONFIG_HOME", self.folder.join("config"))
            .env("XDG_RUNTIME_DIR", self.folder.join("run"))
            .env("KEIKO_ENDPOINT", self.endpoint())
            .stdin(Stdio::null());
        command
    }

    fn ctl(&self, arguments: &[&str]) -> Result<Output> {
        self.program("keikoctl", arguments).output().context("can't start keikoctl")
    }

    /// Types `keikoctl …` and shows what it says; gives its stdout.
    pub(super) fn show(&self, arguments: &[&str]) -> Result<String> {
        typed(&line("keikoctl", arguments));
        let output = self.ctl(arguments)?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        print_cut(&stdout);
        print_cut(&String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("{}: {}", output.status, line("keikoctl", arguments));
        }
        Ok(stdout)
    }

    /// Runs `keikoctl …` unseen; gives its stdout.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<String> {
        let output = self.ctl(arguments)?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("{}: {}: {}", output.status, line("keikoctl", arguments), stderr.trim_end());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until `ready` gives something; the error is the last reason why not.
    pub(crate) fn wait<T>(
        &self,
        what: &str,
        cleanup: &Cleanup,
        mut ready: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let last = match ready() {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => None,
                Err(error) => Some(error),
            };
            lock(cleanup).check_daemons()?;
            if Instant::now() >= deadline {
                let reason = last.map_or_else(String::new, |error| format!(": {error:#}"));
                bail!("{what}: not after {} s{reason}", PATIENCE.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }
}

/// A heading between the steps.
pub(crate) fn heading(text: &str) {
    println!("\n── {text}");
}

/// A command line as the person sees it.
pub(crate) fn typed(line: &str) {
    println!("$ {line}");
}

/// The command line that a person would type.
pub(super) fn line(program: &str, arguments: &[&str]) -> String {
    let words = arguments.iter().map(|word| process::quoted(word));
    std::iter::once(program.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

fn print_cut(text: &str) {
    let count = text.lines().count();
    for line in text.lines().take(LINES_MAX) {
        let cut: String = line.chars().take(COLUMNS_MAX).collect();
        let more = if cut.len() < line.len() { "…" } else { "" };
        println!("{cut}{more}");
    }
    if count > LINES_MAX {
        println!("… and {} more lines", count - LINES_MAX);
    }
}
