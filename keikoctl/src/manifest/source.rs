//! Which texts `-f` means: a file, a folder's files in order, or standard input.

use crate::fault::usage;
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// One file: 10,000 manifests of 1.6 KiB.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;
/// All files together.
const TOTAL_BYTES_MAX: usize = 64 << 20;
/// One object in each.
const FILES_MAX: usize = 10_000;
/// Folders in folders.
const DEPTH_MAX: usize = 16;

/// A text and where it came from.
#[derive(Debug)]
pub(super) struct Source {
    pub name: String,
    pub text: String,
}

/// Reads them all. A file that is named twice is read once.
pub(super) fn read(names: &[String], recursive: bool, stdin: &mut dyn Read) -> Result<Vec<Source>> {
    let (mut sources, mut seen, mut total) = (Vec::new(), BTreeSet::new(), 0);
    let mut take = |name: String, from: &mut dyn Read| -> Result<()> {
        let text = bounded(&name, from)?;
        total += text.len();
        if total > TOTAL_BYTES_MAX {
            return Err(too_much(format!(
                "the files have more than {} MiB",
                TOTAL_BYTES_MAX >> 20
            )));
        }
        sources.push(Source { name, text });
        Ok(())
    };
    for name in names {
        if name == "-" {
            if seen.insert(PathBuf::from("-")) {
                take("standard input".to_owned(), stdin)?;
            }
            continue;
        }
        let path = Path::new(name);
        let files = if path.is_dir() {
            let mut found = Vec::new();
            folder(path, recursive, 0, &mut found)?;
            if found.is_empty() {
                return Err(empty(path, recursive));
            }
            found
        } else {
            vec![path.to_owned()]
        };
        for file in files {
            let same = fs::canonicalize(&file).map_err(|error| unreadable(&file, &error))?;
            if seen.insert(same) {
                let mut open = File::open(&file).map_err(|error| unreadable(&file, &error))?;
                take(file.display().to_string(), &mut open)?;
            }
        }
    }
    Ok(sources)
}

fn folder(path: &Path, recursive: bool, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(too_much(format!("{}: folders within folders", path.display())));
    }
    let entries = fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
    let mut entries: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(|error| unreadable(path, &error))?;
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if hidden {
            continue;
        }
        // A link to a folder may lead back to where it stands.
        let is_link = entry.is_symlink();
        if entry.is_dir() {
            if recursive && !is_link {
                folder(&entry, recursive, depth + 1, found)?;
            }
        } else if is_manifest(&entry) {
            found.push(entry);
        }
        if found.len() > FILES_MAX {
            return Err(too_much(format!("more than {FILES_MAX} files")));
        }
    }
    Ok(())
}

fn is_manifest(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    matches!(ending, Some("yaml" | "yml" | "json"))
}

fn bounded(name: &str, from: &mut dyn Read) -> Result<String> {
    let mut bytes = Vec::new();
    let read = from.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| usage(format!("{name} can't be read")).cause(error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(too_much(format!("{name} has more than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| {
        Refusal::new(Code::ManifestInvalid, format!("{name} is not text"))
            .cause("a manifest is YAML or JSON in UTF-8")
    })
}

fn too_much(what: String) -> Refusal {
    Refusal::new(Code::LimitExceeded, what).hint("split it, and apply one part after the other")
}

fn unreadable(path: &Path, error: &std::io::Error) -> Refusal {
    usage(format!("{} can't be read", path.display())).cause(error)
}

fn empty(path: &Path, recursive: bool) -> Refusal {
    let refusal = usage(format!("{} holds no manifest", path.display()))
        .cause("manifests end in .yaml, .yml or .json");
    if recursive { refusal } else { refusal.hint("-R looks into its folders too") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &[Source]) -> Vec<&str> {
        sources.iter().map(|source| source.name.rsplit('/').next().unwrap_or_default()).collect()
    }

    #[test]
    fn folders_are_read_in_order() {
        let top = tempfile::tempdir().unwrap();
        let path = |name: &str| top.path().join(name);
        fs::create_dir(path("deep")).unwrap();
        for name in ["b.yaml", "a.yml", "c.json", "README.md", ".hidden.yaml", "deep/d.yaml"] {
            fs::write(path(name), name).unwrap();
        }
        std::os::unix::fs::symlink(top.path(), path("deep/again")).unwrap();
        let folder = top.path().display().to_string();
        let check = |given: &[&str], recursive: bool, expect: &[&str]| {
            let given: Vec<String> = given.iter().map(|name| (*name).to_owned()).collect();
            let read = read(&given, recursive, &mut &b"from stdin"[..]).unwrap();
            assert_eq!(names(&read), expect, "{given:?}");
        };
        check(&[&folder], false, &["a.yml", "b.yaml", "c.json"]);
        check(&[&folder], true, &["a.yml", "b.yaml", "c.json", "d.yaml"]);
        check(&["-", &folder, "-"], false, &["standard input", "a.yml", "b.yaml", "c.json"]);
        let readme = path("README.md").display().to_string();
        check(&[&readme, &readme], false, &["README.md"]);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let path = |name: &str| top.path().join(name).display().to_string();
        fs::write(path("binary.yaml"), [0xFF, 0xFE, 0]).unwrap();
        let long = vec![b'#'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
        fs::create_dir(path("none")).unwrap();
        for (name, stdin, code) in [
            (path("binary.yaml"), &b""[..], Code::ManifestInvalid),
            (path("missing.yaml"), b"", Code::InvalidArgument),
            (path("none"), b"", Code::InvalidArgument),
            ("-".to_owned(), &long, Code::LimitExceeded),
        ] {
            let refused = read(std::slice::from_ref(&name), false, &mut &*stdin);
            assert_eq!(refused.unwrap_err().code, code, "{name}");
        }
    }
}
