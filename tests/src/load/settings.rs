//! What is measured, and on whom.

use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::time::Duration;

/// The parts, in the order in which they run.
pub const PARTS: [&str; 8] =
    ["version", "pairs", "memory", "lookup", "list", "tokens", "watchers", "heartbeats"];

/// What is measured, and on whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's unix socket.
    pub socket: PathBuf,
    /// The node's process.
    pub pid: u32,
    /// Its data folder: the disk that is measured.
    pub folder: PathBuf,
    /// The program that is the echo server when it is called with `echo`.
    pub echo: PathBuf,
    /// The command whose start is measured.
    pub keikoctl: PathBuf,
    /// One JSON object for each figure.
    pub json: bool,
    /// How long each part with callers runs.
    pub time: Duration,
    /// How long the heartbeats are watched.
    pub heartbeat_time: Duration,
    /// Agents that register.
    pub agents: usize,
    /// Watches that are open at the same time.
    pub watchers: usize,
    /// Which of [`PARTS`].
    pub parts: Vec<String>,
}

/// Reads `--json`, flags with a value, and the names of parts; without any, all of them are meant.
pub(super) fn read(
    words: &[String],
    known: &[&str],
    mut set: impl FnMut(&str, &str) -> Result<()>,
) -> Result<(bool, Vec<String>)> {
    let (mut json, mut parts) = (false, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--json" {
            json = true;
        } else if word.starts_with("--") {
            set(word, words.next().with_context(|| format!("{word} needs a value"))?)?;
        } else if known.contains(&word.as_str()) {
            parts.push(word.clone());
        } else {
            bail!("there is no part {word:?}; these are: {}", known.join(" "));
        }
    }
    if parts.is_empty() {
        parts = known.iter().map(|part| (*part).to_owned()).collect();
    }
    Ok((json, parts))
}

impl Settings {
    /// Reads the words of the command line.
    pub fn parse(words: &[String]) -> Result<Self> {
        let own = std::env::current_exe().context("the path of this program")?;
        let mut settings = Self {
            socket: PathBuf::new(),
            pid: 0,
            folder: PathBuf::new(),
            keikoctl: own.with_file_name("keikoctl"),
            echo: own,
            json: false,
            time: Duration::from_secs(5),
            heartbeat_time: Duration::from_secs(60),
            agents: 10_000,
            watchers: 1_000,
            parts: Vec::new(),
        };
        (settings.json, settings.parts) =
            read(words, &PARTS, |flag, value| settings.set(flag, value))?;
        if settings.pid == 0 || settings.socket.as_os_str().is_empty() {
            bail!("--socket and --pid say which node");
        }
        Ok(settings)
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<()> {
        let number = || value.parse::<u32>().with_context(|| format!("{flag} {value}"));
        match flag {
            "--socket" => self.socket = value.into(),
            "--folder" => self.folder = value.into(),
            "--pid" => self.pid = number()?,
            // A minute of heartbeats shows three whole leases; less is for a quick look.
            "--seconds" => {
                self.time = Duration::from_secs(number()?.clamp(1, 600).into());
                self.heartbeat_time = self.time;
            }
            "--agents" => self.agents = number()?.clamp(1, 100_000) as usize,
            "--watchers" => self.watchers = number()?.clamp(1, 10_000) as usize,
            _ => bail!("there is no flag {flag}"),
        }
        Ok(())
    }
}
