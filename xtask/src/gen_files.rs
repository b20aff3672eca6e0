//! `./x gen`: completions, man pages and the command reference, written by `keikoctl` itself.
//!
//! The files are checked in; `--check` compares and names each that is stale. Hand-written man
//! pages (sections 5, 7 and 8) are never touched.

use crate::{Outcome, checkout::Checkout, process};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Files = BTreeMap<PathBuf, Vec<u8>>;

pub(crate) fn run(checkout: &Checkout, arguments: &[String]) -> Outcome {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("usage: ./x gen [--check]"),
    };
    process::build(checkout)?;
    let fresh = generate(checkout)?;
    let kept = files_under(&checkout.root, &["completions", "man", "docs/reference"])?;
    let stale = stale(&fresh, &kept);
    if stale.is_empty() {
        println!("{} generated files are fresh", fresh.len());
    } else if check {
        for path in stale {
            eprintln!("{}: is stale: run ./x gen and commit it", path.display());
        }
        return Ok(ExitCode::FAILURE);
    } else {
        for path in stale {
            write(&checkout.root.join(path), fresh.get(path))?;
            println!("{}", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What `keikoctl` of this checkout writes.
fn generate(checkout: &Checkout) -> Result<Files> {
    let folder = checkout.target.join(format!("gen-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let mut command = Command::new(checkout.programs().join("keikoctl"));
    command.arg("__generate").arg(&folder).env_remove("KEIKO_ENDPOINT");
    let files = process::run(&mut command).and_then(|()| files_under(&folder, &[""]));
    fs::remove_dir_all(&folder)?;
    let files = files?;
    if files.is_empty() {
        bail!("keikoctl generated nothing");
    }
    Ok(files)
}

fn files_under(top: &Path, folders: &[&str]) -> Result<Files> {
    let mut files = Files::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| top.join(folder)).collect();
    while let Some(folder) = open.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.strip_prefix(top)?.to_path_buf(), fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

/// The paths that differ, are missing, or should be gone.
fn stale<'f>(fresh: &'f Files, kept: &'f Files) -> BTreeSet<&'f PathBuf> {
    let gone = kept.keys().filter(|path| is_generated(path) && !fresh.contains_key(*path));
    let changed = fresh.iter().filter(|(path, bytes)| kept.get(*path) != Some(bytes));
    changed.map(|(path, _)| path).chain(gone).collect()
}

fn is_generated(path: &Path) -> bool {
    path.starts_with("completions")
        || path.starts_with("docs/reference/schemas")
        || path.extension().is_some_and(|section| section == "1")
}

fn write(path: &Path, bytes: Option<&Vec<u8>>) -> Result<()> {
    let Some(bytes) = bytes else {
        return fs::remove_file(path).with_context(|| format!("{}", path.display()));
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_files_are_named_and_hand_written_ones_are_not() {
        let files = |list: &[(&str, &str)]| -> Files {
            list.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect()
        };
        let fresh = files(&[("man/a.1", "a"), ("man/b.1", "b"), ("docs/reference/cli.md", "c")]);
        let kept = files(&[
            ("man/a.1", "a"),
            ("man/gone.1", "x"),
            ("man/keikod.8", "hand"),
            ("docs/reference/cli.md", "old"),
            ("completions/old.fish", "x"),
            ("docs/reference/schemas/Old.json", "x"),
        ]);
        let named: Vec<_> =
            stale(&fresh, &kept).into_iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            named,
            [
                "completions/old.fish",
                "docs/reference/cli.md",
                "docs/reference/schemas/Old.json",
                "man/b.1",
                "man/gone.1"
            ]
        );
    }
}
