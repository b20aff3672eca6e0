//! Which crate may use which: dependencies point one way, and the law knows no machine.

use super::Finding;
use crate::{checkout::Checkout, process};
use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

/// The floors: what each crate may use of this workspace.
const MAY_USE: &[(&str, &[&str])] = &[
    ("keiko-proto", &[]),
    ("keiko-core", &["keiko-proto"]),
    ("keikod", &["keiko-core", "keiko-proto"]),
    ("keiko-client", &["keiko-proto"]),
    ("keikoctl", &["keiko-client", "keiko-core", "keiko-proto"]),
    ("keiko-tests", &["keiko-client", "keiko-core", "keiko-proto", "keikoctl", "keikod"]),
    ("xtask", &[]),
];

/// Crates that one floor keeps for itself.
const KEPT_BY: &[(&str, &str)] = &[
    ("openraft", "keikod"),
    ("rocksdb", "keikod"),
    ("aya", "keikod"),
    ("ratatui", "keikoctl"),
    ("crossterm", "keikoctl"),
];

/// The simulator of several nodes runs the library itself, over models of what `keikod` has.
const SIMULATES: (&str, &str) = ("keiko-tests", "openraft");

/// Clocks, randomness, files, sockets, threads: nothing of it in the law.
const NOT_IN_CORE: &[&str] = &[
    "axum",
    "chrono",
    "getrandom",
    "hyper",
    "jiff",
    "libc",
    "nix",
    "parking_lot",
    "rand",
    "reqwest",
    "rustls",
    "tempfile",
    "time",
    "tokio",
    "tokio-util",
    "tonic",
    "tracing",
];

/// A crate of the workspace and what its manifest names.
pub(super) struct Member {
    name: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    features: Vec<String>,
}

/// The workspace as cargo sees it.
pub(super) fn members(checkout: &Checkout) -> Result<Vec<Member>> {
    let mut command = MetadataCommand::new();
    command.manifest_path(checkout.root.join("Cargo.toml")).no_deps();
    if process::in_ci() {
        command.other_options(["--locked".to_owned()]);
    }
    let metadata = command.exec().context("cargo metadata")?;
    let member = |package: cargo_metadata::Package| Member {
        name: package.name.to_string(),
        dependencies: package
            .dependencies
            .into_iter()
            .map(|dependency| Dependency { name: dependency.name, features: dependency.features })
            .collect(),
    };
    Ok(metadata.packages.into_iter().map(member).collect())
}

pub(super) fn check(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        let mut say = |message| {
            let manifest = format!("the Cargo.toml of {}", member.name);
            findings.push(Finding::new(&manifest, 0, message));
        };
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == member.name) else {
            say("is no floor that tidy knows: add it to MAY_USE in xtask/src/tidy/crates.rs".into());
            continue;
        };
        for dependency in &member.dependencies {
            if let Some(message) = judge(member, may_use, dependency) {
                say(message);
            }
        }
    }
    findings
}

fn judge(member: &Member, may_use: &[&str], dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    if MAY_USE.iter().any(|(floor, _)| *floor == name) && !may_use.contains(&name) {
        return Some(format!("may not use {name}; it may use {may_use:?}"));
    }
    if let Some((_, keeper)) = KEPT_BY.iter().find(|(kept, _)| *kept == name)
        && *keeper != member.name
        && (member.name.as_str(), name) != SIMULATES
    {
        return Some(format!(
            "may not use {name}, which belongs to {keeper}: go through its types"
        ));
    }
    if member.name == "keiko-core" {
        if NOT_IN_CORE.contains(&name) {
            return Some(format!("may not use {name}: the law is pure; move the work to keikod"));
        }
        if name == "keiko-proto" && dependency.features.iter().any(|feature| feature == "grpc") {
            return Some(
                "may not switch on keiko-proto's grpc: the law needs the messages only".into(),
            );
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_point_one_way() {
        let check_one = |member: &str, name: &str, features: &[&str], expect: bool| {
            let features = features.iter().map(ToString::to_string).collect();
            let dependencies = vec![Dependency { name: name.into(), features }];
            let findings = check(&[Member { name: member.into(), dependencies }]);
            assert_eq!(findings.is_empty(), expect, "{member} -> {name}: {findings:?}");
        };
        check_one("keikod", "keiko-core", &[], true);
        check_one("keikod", "keikoctl", &[], false);
        check_one("keiko-client", "keiko-core", &[], false);
        check_one("keikoctl", "rocksdb", &[], false);
        check_one("keikod", "rocksdb", &[], true);
        check_one("keiko-tests", "openraft", &[], true);
        check_one("keiko-tests", "rocksdb", &[], false);
        check_one("keiko-core", "tokio", &[], false);
        check_one("keiko-core", "prost", &[], true);
        check_one("keiko-core", "keiko-proto", &["grpc"], false);
        check_one("keiko-core", "keiko-proto", &[], true);
        check_one("xtask", "keikod", &[], false);
        check_one("newcomer", "prost", &[], false);
    }
}
