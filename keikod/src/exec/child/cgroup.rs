//! A cgroup for each child, so that what it forks is found and ended with it.
//!
//! Keeps: one folder `keiko-TAG` below keikod's own cgroup, where TAG stands for the data folder,
//! and in it one cgroup per child. Any hierarchy that keikod may write will do: cgroup 2 first,
//! then the version 1 hierarchies pids and freezer. No controller is switched on.
//!
//! A child that runs as another user can't leave its cgroup. One that runs as root may write to the
//! hierarchy where it is mounted for it: it can divide its cgroup, which is ended with all its
//! parts, and it can leave it, which only its process group then makes up for.
//!
//! Invariants: whatever is in `keiko-TAG` was put there by a daemon on this data folder, so the
//! next one may end it without asking whose it is. Never: touches a cgroup of another name.

use super::remove::{self, FOLDER};
use nix::errno::Errno;
use nix::fcntl::{open, openat};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, UnlinkatFlags, unlinkat};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at a cgroup that is emptying.
const POLL: Duration = Duration::from_millis(10);

/// The folder that holds the cgroups of one daemon's children.
#[derive(Debug)]
pub(super) struct Cgroups {
    parent: PathBuf,
    made: AtomicU64,
}

impl Cgroups {
    /// Makes the folder in the first hierarchy that takes it; otherwise says why none did.
    pub(super) fn find(tag: &str) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let mut why = String::from("no cgroup hierarchy is mounted");
        for base in bases(&mounts, &own) {
            let parent = base.join(parent_name(tag));
            match fs::create_dir(&parent) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    why = format!("{}: {error}", parent.display());
                }
                _ if parent.join("cgroup.procs").exists() => {
                    return Ok(Self { parent, made: AtomicU64::new(0) });
                }
                _ => why = format!("{} is not a cgroup", parent.display()),
            }
        }
        Err(why)
    }

    /// A new, empty cgroup; its name is never used twice, as the one before may still be emptying.
    pub(super) fn create(&self, name: &str) -> io::Result<Cgroup> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.parent.join(format!("c{number}-{name}"));
        // The folder above may have been removed when the last child before ended.
        fs::create_dir_all(&path)?;
        Ok(Cgroup { path })
    }

    /// Ends everything that an earlier daemon left here; returns how many cgroups there were.
    pub(super) fn end_all(&self, deadline: Instant) -> usize {
        let Ok(entries) = fs::read_dir(&self.parent) else { return 0 };
        let folders =
            entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let left: Vec<Cgroup> = folders.map(|entry| Cgroup { path: entry.path() }).collect();
        for cgroup in &left {
            cgroup.end(deadline);
        }
        left.len()
    }

    /// Removes the folder, if no child is left in it.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir(&self.parent);
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The cgroup of one child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// A cgroup that an earlier daemon on the same data folder noted, if it is surely one.
    pub(super) fn noted(path: &Path, tag: &str) -> Option<Self> {
        let ours = path.parent()?.file_name()?.to_str()? == parent_name(tag);
        let plain = path.components().all(|part| part != std::path::Component::ParentDir);
        let there = path.join("cgroup.procs").exists();
        (ours && plain && there).then(|| Self { path: path.to_owned() })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file to which a process writes `0` to enter.
    pub(super) fn entrance(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.path.join("cgroup.procs"))
    }

    /// Kills whatever is in it.
    pub(super) fn kill(&self) {
        if fs::write(self.path.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        // Version 1 and kernels before 5.14 have no such file.
        kill_listed(self.path.join("cgroup.procs"));
    }

    /// Kills until it is empty and removes it; true if that came about before the deadline.
    ///
    /// Blocks the calling thread.
    pub(super) fn end(&self, deadline: Instant) -> bool {
        loop {
            // A busy folder still holds a process, maybe one that has just been forked.
            match fs::remove_dir(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                _ => return true,
            }
            if Instant::now() >= deadline {
                return false;
            }
            self.kill();
            if let Err(error) = self.end_parts(deadline) {
                tracing::debug!(%error, cgroup = %self.path.display(), "its parts can't be removed");
            }
            if fs::remove_dir(&self.path).is_ok() {
                return true;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Kills what is in the cgroups into which the child divided this one, and removes those that
    /// are empty, the deepest first. They may be nested deeper than a stack or a path can be, so
    /// one descriptor goes down and up again: nothing but a cgroup can be there, and none can be
    /// moved to another place, so the way up is the way down.
    fn end_parts(&self, deadline: Instant) -> io::Result<()> {
        let mut at = open(&self.path, FOLDER, Mode::empty())?;
        let mut entered: Vec<OsString> = Vec::new();
        let mut left = vec![parts(&at)?];
        while let Some(here) = left.last_mut() {
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if let Some(name) = here.pop() {
                at = match openat(&at, name.as_os_str(), FOLDER, Mode::empty()) {
                    Err(Errno::ENOENT) => continue,
                    opened => opened?,
                };
                kill_listed(format!("/proc/self/fd/{}/cgroup.procs", at.as_raw_fd()));
                left.push(parts(&at)?);
                entered.push(name);
            } else {
                left.pop();
                let Some(name) = entered.pop() else { break };
                at = openat(&at, "..", FOLDER, Mode::empty())?;
                // One that is still busy waits for the next look.
                let _ = unlinkat(&at, name.as_os_str(), UnlinkatFlags::RemoveDir);
            }
        }
        Ok(())
    }
}

/// Kills the processes that a `cgroup.procs` lists.
fn kill_listed(procs: impl AsRef<Path>) {
    let listed = fs::read_to_string(procs).unwrap_or_default();
    let pids = listed.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1);
    for pid in pids {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// The names of the cgroups in an open one.
fn parts(cgroup: &OwnedFd) -> io::Result<Vec<OsString>> {
    let folders = remove::entries(cgroup)?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(folders.map(|entry| entry.file_name()).collect())
}

fn parent_name(tag: &str) -> String {
    format!("keiko-{tag}")
}

/// The folders of keikod's own cgroup in each hierarchy that serves, best first.
fn bases(mounts: &str, own: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (kind, controller) in [("cgroup2", ""), ("cgroup", "pids"), ("cgroup", "freezer")] {
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (target, fstype, options) = (fields.nth(1)?, fields.next()?, fields.next()?);
            let fits =
                controller.is_empty() || options.split(',').any(|option| option == controller);
            (fstype == kind && fits).then_some(target)
        });
        let path = own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let fits = match controller {
                "" => number == "0" && controllers.is_empty(),
                _ => controllers.split(',').any(|one| one == controller),
            };
            fits.then_some(path)
        });
        // A path with `..` lies outside of the cgroup namespace that we see.
        if let (Some(mount), Some(path)) = (mount, path)
            && !path.contains("..")
        {
            found.push(Path::new(mount).join(path.trim_start_matches('/')));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_cgroup() {
        let check = |mounts: &str, own: &str, expect: &[&str]| {
            let expect: Vec<PathBuf> = expect.iter().map(PathBuf::from).collect();
            assert_eq!(bases(mounts, own), expect);
        };
        let unified = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        check(
            unified,
            "0::/system.slice/keikod.service\n",
            &["/sys/fs/cgroup/system.slice/keikod.service"],
        );
        check(unified, "0::/\n", &["/sys/fs/cgroup/"]);
        check(unified, "0::/../outside\n", &[]);
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n\
            cgroup /sys/fs/cgroup/freezer cgroup rw,freezer 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        check(
            hybrid,
            "9:name=systemd:/\n8:pids:/a\n6:freezer:/\n0::/b\n",
            &["/sys/fs/cgroup/unified/b", "/sys/fs/cgroup/pids/a", "/sys/fs/cgroup/freezer/"],
        );
        check("", "0::/\n", &[]);
    }

    #[test]
    fn a_divided_cgroup_is_ended_with_its_parts() {
        let tag = format!("test-{}", std::process::id());
        // Not every machine lets us make one.
        let Ok(cgroups) = Cgroups::find(&tag) else { return };
        let cgroup = cgroups.create("a").unwrap();
        let deep = cgroup.path.join("x/y/z");
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir(cgroup.path.join("x/other")).unwrap();
        let mut within = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        fs::write(deep.join("cgroup.procs"), within.id().to_string()).unwrap();
        assert!(cgroup.end(Instant::now() + Duration::from_secs(60)));
        assert!(!cgroup.path.exists());
        assert!(!within.wait().unwrap().success());
    }

    #[test]
    fn takes_no_noted_cgroup_that_is_not_its_own() {
        for path in
            ["/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/keiko-aa/../x", "/tmp/keiko-aa/c0", "/"]
        {
            assert_eq!(Cgroup::noted(Path::new(path), "aa"), None, "{path}");
        }
    }
}
