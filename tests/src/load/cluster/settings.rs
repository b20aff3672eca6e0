//! What is measured, with which programs, and how long.

use super::super::node::settings::{list, peer};
use super::super::settings::read;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::PathBuf;
use std::time::Duration;

/// The parts, in the order in which they run.
pub const PARTS: [&str; 7] = ["write", "read", "watch", "tool", "away", "failover", "snapshot"];

/// In place of a flag with a value: all parts, for moments.
const SHORT: &str = "--short";

/// What is measured, with which programs, and how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// An empty folder on the disk that is measured.
    pub folder: PathBuf,
    /// Where the nodes' unix sockets are.
    pub sockets: PathBuf,
    /// The node's program.
    pub keikod: PathBuf,
    /// The program that is the echo server when it is called with `echo`.
    pub echo: PathBuf,
    /// The peer's program; none: only the nodes are measured.
    pub etcd: Option<PathBuf>,
    /// One JSON object for each line.
    pub json: bool,
    /// How long each cluster is loaded for one point, all rounds together.
    pub time: Duration,
    /// What the probes of the names may take to become rare.
    pub settle_time_max: Duration,
    /// Callers at a time, point by point.
    pub clients: Vec<usize>,
    /// Connections that they share, at most.
    pub connections: usize,
    /// Watchers at a time, point by point.
    pub watchers: Vec<usize>,
    /// Different names that are written and read.
    pub names: usize,
    /// Leaders that are killed, of each cluster.
    pub runs: usize,
    /// How long one of them is away under load.
    pub away_time: Duration,
    /// How large the snapshot is at least that a fresh node gets.
    pub snapshot_bytes: u64,
    /// How large each object in it is.
    pub object_bytes: usize,
    /// Which of [`PARTS`].
    pub parts: Vec<String>,
}

impl Settings {
    /// The usual ones, for a folder.
    pub fn new(folder: PathBuf, keikod: PathBuf, echo: PathBuf) -> Self {
        Self {
            sockets: folder.join("s"),
            folder,
            keikod,
            echo,
            etcd: None,
            json: false,
            time: Duration::from_secs(10),
            settle_time_max: Duration::from_secs(180),
            clients: vec![1, 16, 64, 256],
            connections: 4,
            watchers: vec![1000],
            names: 10_000,
            runs: 20,
            away_time: Duration::from_secs(10),
            snapshot_bytes: 256 << 20,
            object_bytes: 140 << 10,
            parts: PARTS.map(str::to_owned).to_vec(),
        }
    }

    /// With moments and handfuls in place of what makes a figure: shows only that all of it works.
    #[must_use]
    pub fn short(self) -> Self {
        let moment = Duration::from_millis(600);
        Self {
            time: moment,
            settle_time_max: moment,
            clients: vec![1, 4],
            watchers: vec![6],
            names: 20,
            runs: 1,
            away_time: moment,
            snapshot_bytes: 1 << 20,
            object_bytes: 2 << 10,
            ..self
        }
    }

    /// Reads the words of the command line.
    pub fn parse(words: &[String]) -> Result<Self> {
        let own = std::env::current_exe().context("the path of this program")?;
        let mut settings = Self::new(PathBuf::new(), own.with_file_name("keikod"), own);
        settings.sockets = PathBuf::new();
        let words = match words.iter().any(|word| word == SHORT) {
            true => {
                settings = settings.short();
                words.iter().filter(|word| *word != SHORT).cloned().collect()
            }
            false => words.to_vec(),
        };
        (settings.json, settings.parts) =
            read(&words, &PARTS, |flag, value| settings.set(flag, value))?;
        ensure!(!settings.folder.as_os_str().is_empty(), "--folder says on which disk");
        if settings.sockets.as_os_str().is_empty() {
            settings.sockets = settings.folder.join("s");
        }
        Ok(settings)
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<()> {
        let number = |least: u32, most: u32| {
            let number = value.parse::<u32>().with_context(|| format!("{flag} {value}"));
            number.map(|number| number.clamp(least, most))
        };
        let seconds = |least, most| number(least, most).map(|number| number.into());
        match flag {
            "--folder" => self.folder = std::path::absolute(value)?,
            "--sockets" => self.sockets = std::path::absolute(value)?,
            "--keikod" => self.keikod = value.into(),
            "--vs" => self.etcd = Some(peer(value)?),
            "--seconds" => self.time = Duration::from_secs(seconds(1, 600)?),
            "--settle" => self.settle_time_max = Duration::from_secs(seconds(0, 3600)?),
            "--away" => self.away_time = Duration::from_secs(seconds(1, 600)?),
            "--clients" => self.clients = list(value, 4096)?,
            "--connections" => self.connections = number(1, 1024)? as usize,
            "--watchers" => self.watchers = list(value, 4000)?,
            "--names" => self.names = number(1, 99_999)? as usize,
            "--runs" => self.runs = number(1, 1000)? as usize,
            "--snapshot-mib" => self.snapshot_bytes = u64::from(number(1, 4096)?) << 20,
            _ => bail!("there is no flag {flag}"),
        }
        Ok(())
    }

    pub(super) fn wants(&self, part: &str) -> bool {
        self.parts.iter().any(|wanted| wanted == part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings> {
        Settings::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_become_settings() {
        let settings = parse("--folder /d --runs 3 --clients 1,16 failover --json").unwrap();
        assert_eq!(settings.sockets, PathBuf::from("/d/s"));
        assert_eq!((settings.runs, settings.clients), (3, vec![1, 16]));
        assert_eq!(settings.parts, ["failover"]);
        assert!(settings.json && settings.etcd.is_none());
        assert_eq!(parse("--folder /d").unwrap().parts, PARTS);
    }

    #[test]
    fn the_short_form_gives_way_to_flags() {
        let settings = parse("--runs 2 --short --folder /d watch").unwrap();
        assert_eq!((settings.runs, settings.clients), (2, vec![1, 4]));
        assert!(settings.time < Duration::from_secs(1));
        assert_eq!(settings.parts, ["watch"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, expect) in [
            ("", "--folder"),
            ("--folder /d restart", "no part"),
            ("--folder /d --watchers 0", "not between"),
            ("--folder /d --vs etcd=/nowhere", "dpkg -x"),
            ("--folder /d --runs", "needs a value"),
            ("--folder /d --entries 1", "no flag"),
        ] {
            let error = format!("{:#}", parse(line).unwrap_err());
            assert!(error.contains(expect), "{line:?}: {error}");
        }
    }
}
