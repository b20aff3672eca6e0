//! From a command to a running process.
//!
//! Keeps what all children have in common. Runs on the starting thread only.
//!
//! Invariants: the environment is exactly what [`Command`] promises; a copy of a credential's value
//! lives here only until the process runs, and is wiped then; a command that would run as root is
//! always confined. Never: searches a PATH, or starts anything that was not said in full.

use super::cgroup::{Cgroup, Cgroups};
use super::confine::{self, Confinement, Failed, Image, Word};
use super::home::{Home, Homes, file_name};
use super::isolation::Isolation;
use super::{Command, cover, proc};
use crate::exec::account::{self, Account};
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use nix::sys::resource::{Resource, getrlimit};
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Named variables of one command: more than any real server reads.
const ENV_NAMES_MAX: usize = 64;
/// What keikod itself promises; a credential can't take their place.
const PROMISED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];

/// What all children have in common.
#[derive(Debug)]
pub(super) struct Launcher {
    pub(super) root: bool,
    pub(super) homes: Arc<Homes>,
    pub(super) cgroups: Option<Arc<Cgroups>>,
    pub(super) data: PathBuf,
    /// Hidden from root besides the data folder, where they exist.
    pub(super) covered: Vec<PathBuf>,
    pub(super) isolation: Isolation,
    pub(super) files_max: u64,
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: i32,
    pub(super) start_ticks: u64,
    pub(super) home: PathBuf,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) pipes: Pipes,
}

/// The daemon's ends of its three pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl Launcher {
    /// Starts it. Blocks until it runs.
    pub(super) fn launch(&self, command: &Command) -> Result<Launched> {
        let failed = |cause: String| {
            Refusal::new(Code::ChildFailed, format!("child {:?} can't be started", command.id))
                .cause(cause)
        };
        let account = account::resolve(&command.run_as)?;
        let home = self.homes.prepare(&command.id, account.as_ref()).map_err(|error| {
            failed(format!("can't make its home in {}: {error}", self.homes.root().display()))
        })?;
        let image = image(command, &home).map_err(|error| failed(error.to_string()))?;
        let cgroup = self
            .cgroup(command)
            .map_err(|error| failed(format!("can't make its cgroup: {error}")))?;
        let started = self
            .confinement(account, &home, cgroup.as_ref())
            .map_err(|error| failed(error.to_string()))
            .and_then(|confinement| {
                confine::start(image, confinement)
                    .map_err(|error| explained(failed, command, &error))
            });
        let mut child = match started {
            Ok(child) => child,
            Err(refusal) => {
                if let Some(cgroup) = &cgroup {
                    cgroup.end(Instant::now() + Duration::from_secs(1));
                }
                return Err(refusal);
            }
        };
        let pid = child.id().cast_signed();
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three were asked for as pipes");
        };
        // One that has ended already is there until it is reaped, so this finds it.
        let start_ticks = proc::stat(pid).map_or(0, |stat| stat.start_ticks);
        let pipes = Pipes { stdin, stdout, stderr };
        Ok(Launched { pid, start_ticks, home: home.home, cgroup, pipes })
    }

    fn cgroup(&self, command: &Command) -> io::Result<Option<Cgroup>> {
        match &self.cgroups {
            Some(cgroups) if self.isolation.cgroup.is_on() => {
                cgroups.create(&file_name(&command.id)).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn confinement(
        &self,
        account: Option<Account>,
        home: &Home,
        cgroup: Option<&Cgroup>,
    ) -> io::Result<Confinement> {
        let powerless = self.root && account.as_ref().is_none_or(|account| account.uid == 0);
        let covered = powerless && self.isolation.mount_namespace.is_on();
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Confinement {
            cgroup: cgroup.map(Cgroup::entrance).transpose()?,
            covers: if covered {
                cover::all(&cover::paths(&self.data, &self.covered))?
            } else {
                Vec::new()
            },
            account,
            powerless,
            files_max: Some(self.files_max.min(hard)),
            folder: Some(CString::new(home.home.as_os_str().as_bytes())?),
        })
    }
}

/// Refuses names that could change what runs; needs no look at the machine.
pub(super) fn check(command: &Command) -> Result<()> {
    if !command.argv.first().is_some_and(|first| first.starts_with('/')) {
        return refuse(Code::InvalidArgument, "the command does not begin with an absolute path");
    }
    if command.env.len() > ENV_NAMES_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("more than {ENV_NAMES_MAX} variables are named"),
        );
    }
    for (at, (name, value)) in command.env.iter().enumerate() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let why =
            if !name.bytes().all(plain) || name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
                "is not a name of letters, digits and underscores"
            } else if PROMISED.contains(&name.as_str()) {
                "is set by keikod"
            } else if name.starts_with("LD_") {
                "would change what the loader runs"
            } else if command.env[..at].iter().any(|(earlier, _)| earlier == name) {
                "is named twice"
            } else if value.expose().contains(&0) {
                "would get a value with a zero byte"
            } else {
                continue;
            };
        return refuse(Code::InvalidArgument, format!("variable {name:?} {why}"));
    }
    Ok(())
}

/// The words and the environment, each in memory that is wiped.
fn image(command: &Command, home: &Home) -> io::Result<Image> {
    let argv: io::Result<Vec<Word>> =
        command.argv.iter().map(|word| joined(&[word.as_bytes()])).collect();
    let folder = Path::new(&command.argv[0]).parent().unwrap_or_else(|| Path::new("/"));
    let promised = [
        joined(&[b"PATH=", folder.as_os_str().as_bytes(), b":/usr/local/bin:/usr/bin:/bin"]),
        joined(&[b"HOME=", home.home.as_os_str().as_bytes()]),
        joined(&[b"TMPDIR=", home.tmp.as_os_str().as_bytes()]),
        joined(&[b"LANG=C.UTF-8"]),
    ];
    let named =
        command.env.iter().map(|(name, value)| joined(&[name.as_bytes(), b"=", value.expose()]));
    let env: io::Result<Vec<Word>> = promised.into_iter().chain(named).collect();
    Ok(Image::new(argv?, env?))
}

/// The parts in one piece with a zero at its end, made at full size so that nothing is copied.
fn joined(parts: &[&[u8]]) -> io::Result<Word> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut word = Zeroizing::new(Vec::with_capacity(len + 1));
    parts.iter().for_each(|part| word.extend_from_slice(part));
    if word.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a word holds a zero byte"));
    }
    word.push(0);
    Ok(word)
}

/// Adds what to do about the usual reasons.
fn explained(failed: impl Fn(String) -> Refusal, command: &Command, why: &Failed) -> Refusal {
    let refusal = failed(format!("can't {}: {}", why.step, why.error));
    let first = &command.argv[0];
    match why.error.raw_os_error().map(nix::Error::from_raw) {
        Some(nix::Error::ENOENT) => {
            refusal.hint(format!("see that {first} and the interpreter it names are there"))
        }
        Some(nix::Error::ENOEXEC) => {
            refusal.hint(format!("a script needs a first line like #!/bin/sh: {first}"))
        }
        Some(nix::Error::EACCES) => refusal.hint(format!(
            "see that the user it runs as may execute {first} and enter its folders"
        )),
        _ => refusal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{RunAs, Secret};

    #[test]
    fn refuses_names_that_would_change_what_runs() {
        let check = |names: &[&str], expect: Option<&str>| {
            let value = || Secret::new(b"v".to_vec());
            let command = Command {
                id: "a".into(),
                argv: vec!["/bin/cat".into()],
                env: names.iter().map(|name| ((*name).to_owned(), value())).collect(),
                run_as: RunAs::Daemon,
            };
            let refused = super::check(&command).err().map(|refusal| refusal.message);
            assert_eq!(refused.is_some(), expect.is_some(), "{names:?}: {refused:?}");
            assert!(refused.unwrap_or_default().contains(expect.unwrap_or_default()));
        };
        check(&[], None);
        check(&["API_TOKEN", "_x1"], None);
        check(&["A", "A"], Some("twice"));
        check(&["PATH"], Some("set by keikod"));
        check(&["HOME"], Some("set by keikod"));
        check(&["LD_PRELOAD"], Some("loader"));
        check(&["1A"], Some("letters"));
        check(&["A=B"], Some("letters"));
        check(&[""], Some("letters"));
    }

    #[test]
    fn a_word_ends_in_its_only_zero() {
        assert_eq!(joined(&[b"A=", b"b"]).unwrap().as_slice(), b"A=b\0");
        assert!(joined(&[b"a\0b"]).is_err());
    }
}
