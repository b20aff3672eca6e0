//! What the kernel gives this daemon, and how well commands are kept apart with it.

use super::{finding, ok};
use crate::exec::Isolation;
use crate::exec::child::Measure;
use keiko_proto::v1::Finding;
use nix::sys::resource::{Resource, getrlimit};
use std::fs;
use std::path::Path;

/// A connection, a child and its pipes, a file of the store: one descriptor each. A thousand
/// servers and as many watchers need about four thousand.
const FILES_MIN: u64 = 8_192;
/// Capabilities, by their number in the kernel.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

/// Every check of the kernel.
pub(super) fn check(isolation: &Isolation) -> Vec<Finding> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut findings = vec![files(), user()];
    findings.extend(isolated(isolation));
    findings.extend([filters(&status), namespaces(), ebpf(&status)]);
    findings
}

fn files() -> Finding {
    let (soft, _) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => return finding("files", "skipped", format!("no limit is told: {error}"), ""),
    };
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let words = format!("{open} files are open, {soft} may be");
    let used = u64::try_from(open).unwrap_or(u64::MAX).saturating_mul(5) / 4;
    match soft {
        _ if used > soft => {
            finding("files", "failed", words, "LimitNOFILE=65536 in its unit, or ulimit -n 65536")
        }
        FILES_MIN.. => ok("files", words),
        _ => {
            finding("files", "warning", words, "LimitNOFILE=65536 in its unit, or ulimit -n 65536")
        }
    }
}

fn user() -> Finding {
    match nix::unistd::geteuid() {
        uid if uid.is_root() => ok(
            "user",
            "keikod is root: a command runs as who registered it; as root only if that was root and \
             [exec] user is not set",
        ),
        uid => finding(
            "user",
            "warning",
            format!(
                "keikod is uid {uid}, and so is every command that it runs: each can read its data folder \
                 and is admin on its socket"
            ),
            "run keikod as root with [exec] user, or register only commands that you trust",
        ),
    }
}

fn isolated(isolation: &Isolation) -> Vec<Finding> {
    let Isolation { cgroup, own_user, mount_namespace } = isolation;
    let root = nix::unistd::geteuid().is_root();
    let measure = |check: &str, measure: &Measure, on: &str, remedy: &str| match measure {
        Measure::On => ok(check, on),
        Measure::Off(why) => finding(check, "warning", format!("off: {why}"), remedy),
    };
    let mut findings = vec![measure(
        "cgroups",
        cgroup,
        "what a command forks ends with it",
        "Delegate=yes in its unit, or a writable cgroup for the daemon's user",
    )];
    // Without root both are off for one reason, which `user` tells.
    if root {
        let remedy =
            "give the daemon CAP_SETUID, CAP_SETGID and CAP_SYS_ADMIN, also in a container";
        findings.push(measure("own-user", own_user, "commands can run as another user", remedy));
        let words = "a command that runs as root does not see the data folder";
        findings.push(measure("mount-namespace", mount_namespace, words, remedy));
    }
    findings
}

fn filters(status: &str) -> Finding {
    match (field(status, "NoNewPrivs"), field(status, "Seccomp")) {
        (Some(_), Some(_)) => ok("seccomp", "the kernel has no_new_privs and seccomp"),
        (None, _) => finding(
            "seccomp",
            "warning",
            "the kernel does not tell of no_new_privs",
            "use Linux 4.10 or later",
        ),
        (_, None) => finding("seccomp", "skipped", "off: the kernel was built without seccomp", ""),
    }
}

fn namespaces() -> Finding {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let most = number("/proc/sys/user/max_user_namespaces");
    let unprivileged = number("/proc/sys/kernel/unprivileged_userns_clone");
    let restricted = number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    let check = "user-namespaces";
    match (most, unprivileged, restricted) {
        (None, ..) => finding(check, "skipped", "off: the kernel has none", ""),
        (Some(0), ..) => finding(check, "skipped", "off: user.max_user_namespaces is 0", ""),
        (_, Some(0), _) => {
            finding(check, "skipped", "off for users: kernel.unprivileged_userns_clone is 0", "")
        }
        (_, _, Some(1)) => finding(check, "skipped", "off for users: AppArmor restricts them", ""),
        (Some(most), ..) => ok(check, format!("{most} may be made")),
    }
}

/// Whether programs could be loaded into the kernel.
fn ebpf(status: &str) -> Finding {
    let powers = field(status, "CapEff").and_then(|word| u64::from_str_radix(word, 16).ok());
    let may = |cap: u32| powers.unwrap_or_default() >> cap & 1 == 1;
    if !may(CAP_BPF) && !may(CAP_SYS_ADMIN) {
        return finding("ebpf", "skipped", "off: keikod has neither CAP_BPF nor CAP_SYS_ADMIN", "");
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return finding(
            "ebpf",
            "skipped",
            "off: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)",
            "",
        );
    }
    ok("ebpf", "the kernel has BTF, and keikod may load programs")
}

/// A field of `/proc/PID/status`.
fn field<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_says_why() {
        let off = || Measure::Off("it is not there".into());
        let isolation = Isolation { cgroup: off(), own_user: off(), mount_namespace: off() };
        for found in isolated(&isolation) {
            assert_eq!(found.status, "warning", "{found:?}");
            assert!(
                found.message.contains("it is not there") && !found.remedy.is_empty(),
                "{found:?}"
            );
        }
        for found in check(&isolation) {
            let known = ["ok", "warning", "failed", "skipped"].contains(&&*found.status);
            assert!(known && !found.message.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn powers_are_read_from_the_kernels_words() {
        let status = "Name:\tkeikod\nCapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n";
        assert!(ebpf(status).message.contains("CAP_BPF"));
        assert_eq!(filters(status).status, "ok");
        assert_eq!(filters("").status, "warning");
        assert_eq!(field(status, "CapEff"), Some("0000000000000000"));
        assert_eq!(field(status, "Cap"), None);
    }
}
