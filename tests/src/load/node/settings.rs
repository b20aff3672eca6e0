//! What is measured, with which programs, and how long.

use super::super::settings::read;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The parts, in the order in which they run.
pub const PARTS: [&str; 6] = ["start", "idle", "write", "read", "watch", "restart"];

/// Where the Debian package etcd-server, or a release's archive, has its program.
const PLACES: [&str; 3] = ["usr/bin/etcd", "bin/etcd", "etcd"];

/// What is measured, with which programs, and how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// An empty folder on the disk that is measured.
    pub folder: PathBuf,
    /// The node's unix socket.
    pub socket: PathBuf,
    /// The node's program.
    pub keikod: PathBuf,
    /// The peer's program; none: only the node is measured.
    pub etcd: Option<PathBuf>,
    /// One JSON object for each line.
    pub json: bool,
    /// How long each server is loaded for one point, all rounds together.
    pub time: Duration,
    /// How long the servers are left alone to see what they cost idle.
    pub idle_time: Duration,
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
    /// Changes that a server has behind it when it is restarted.
    pub entries: u64,
    /// Which of [`PARTS`].
    pub parts: Vec<String>,
}

impl Settings {
    /// The usual ones, for a folder.
    pub fn new(folder: PathBuf, keikod: PathBuf) -> Self {
        Self {
            socket: folder.join("keiko/keiko.sock"),
            folder,
            keikod,
            etcd: None,
            json: false,
            time: Duration::from_secs(10),
            idle_time: Duration::from_secs(20),
            settle_time_max: Duration::from_secs(180),
            clients: vec![1, 16, 64, 256],
            connections: 4,
            watchers: vec![100, 1000],
            names: 10_000,
            entries: 100_000,
            parts: PARTS.map(str::to_owned).to_vec(),
        }
    }

    /// Reads the words of the command line.
    pub fn parse(words: &[String]) -> Result<Self> {
        let own = std::env::current_exe().context("the path of this program")?;
        let mut settings = Self::new(PathBuf::new(), own.with_file_name("keikod"));
        settings.socket = PathBuf::new();
        (settings.json, settings.parts) =
            read(words, &PARTS, |flag, value| settings.set(flag, value))?;
        ensure!(!settings.folder.as_os_str().is_empty(), "--folder says on which disk");
        if settings.socket.as_os_str().is_empty() {
            settings.socket = settings.folder.join("keiko/keiko.sock");
        }
        Ok(settings)
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<()> {
        let number = || value.parse::<u32>().with_context(|| format!("{flag} {value}"));
        let seconds = |least, most| {
            number().map(|number| Duration::from_secs(number.clamp(least, most).into()))
        };
        match flag {
            "--folder" => self.folder = std::path::absolute(value)?,
            "--socket" => self.socket = value.into(),
            "--keikod" => self.keikod = value.into(),
            "--vs" => self.etcd = Some(peer(value)?),
            "--seconds" => self.time = seconds(1, 600)?,
            "--idle" => self.idle_time = seconds(1, 600)?,
            "--settle" => self.settle_time_max = seconds(0, 3600)?,
            "--clients" => self.clients = list(value, 4096)?,
            "--connections" => self.connections = number()?.clamp(1, 1024) as usize,
            "--watchers" => self.watchers = list(value, 4000)?,
            "--names" => self.names = number()?.clamp(1, 99_999) as usize,
            "--entries" => self.entries = number()?.into(),
            _ => bail!("there is no flag {flag}"),
        }
        Ok(())
    }

    pub(super) fn wants(&self, part: &str) -> bool {
        self.parts.iter().any(|wanted| wanted == part)
    }
}

/// `1,16,64`: each of them between one and `most`.
pub(in crate::load) fn list(value: &str, most: usize) -> Result<Vec<usize>> {
    let number = |word: &str| {
        let number: usize = word.trim().parse().with_context(|| format!("{word:?} in {value}"))?;
        ensure!((1..=most).contains(&number), "{number} is not between 1 and {most}");
        Ok(number)
    };
    value.split(',').map(number).collect()
}

/// `etcd`, which is on `PATH`, or `etcd=FOLDER`, where it was unpacked.
pub(in crate::load) fn peer(value: &str) -> Result<PathBuf> {
    let folders: Vec<PathBuf> = match value.split_once('=') {
        None if value == "etcd" => {
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()
        }
        Some(("etcd", folder)) => vec![folder.into()],
        _ => bail!("--vs {value}: the one peer is etcd, or etcd=FOLDER"),
    };
    let programs = |folder: &PathBuf| PLACES.map(|place| folder.join(place));
    let found = folders.iter().flat_map(programs).find(|path| Path::is_file(path));
    found.with_context(|| {
        format!(
            "--vs {value}: no etcd there; apt-get download etcd-server && \
             dpkg -x etcd-server_*.deb FOLDER, then --vs etcd=FOLDER"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings> {
        Settings::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_become_settings() {
        let settings = parse("--folder /d --seconds 3 --clients 1,16 write --json").unwrap();
        assert_eq!(settings.socket, PathBuf::from("/d/keiko/keiko.sock"));
        assert_eq!((settings.time, settings.clients), (Duration::from_secs(3), vec![1, 16]));
        assert_eq!(settings.parts, ["write"]);
        assert!(settings.json && settings.etcd.is_none());
        assert_eq!(parse("--folder /d").unwrap().parts, PARTS);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, expect) in [
            ("", "--folder"),
            ("--folder /d nothing", "no part"),
            ("--folder /d --clients 0", "not between"),
            ("--folder /d --clients 1,x", "x"),
            ("--folder /d --vs consul", "the one peer"),
            ("--folder /d --vs etcd=/nowhere", "dpkg -x"),
            ("--folder /d --seconds", "needs a value"),
            ("--folder /d --fast 1", "no flag"),
        ] {
            let error = format!("{:#}", parse(line).unwrap_err());
            assert!(error.contains(expect), "{line:?}: {error}");
        }
    }
}
