//! What is hidden from a child that runs as root.
//!
//! Found anew at each start of a child: the socket may have been made after the children's thread.

use super::confine::Cover;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What exists of the data folder and the other paths, without those that lie in another of them,
/// which can't be found any more once that one is covered.
pub(super) fn paths(data: &Path, others: &[PathBuf]) -> Vec<PathBuf> {
    let mut paths = vec![data.to_owned()];
    for path in others.iter().filter_map(|path| fs::canonicalize(path).ok()) {
        if !paths.iter().any(|covered| path.starts_with(covered)) {
            paths.retain(|covered| !covered.starts_with(&path));
            paths.push(path);
        }
    }
    paths
}

/// How each is covered.
pub(super) fn all(paths: &[PathBuf]) -> io::Result<Vec<Cover>> {
    let cover = |path: &PathBuf| {
        let name = CString::new(path.as_os_str().as_bytes())?;
        Ok(if path.is_dir() { Cover::Folder(name) } else { Cover::File(name) })
    };
    paths.iter().map(cover).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_inside_of_another_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(folder.path()).unwrap();
        let (data, inner, other) = (folder.join("d"), folder.join("d/c"), folder.join("e"));
        fs::create_dir_all(&inner).unwrap();
        fs::create_dir(&other).unwrap();
        let check = |others: &[&PathBuf], expect: &[&PathBuf]| {
            let others: Vec<PathBuf> = others.iter().map(|path| (*path).clone()).collect();
            assert_eq!(paths(&data, &others).iter().collect::<Vec<_>>(), expect);
        };
        check(&[], &[&data]);
        check(&[&inner, &other, &folder.join("absent")], &[&data, &other]);
        check(&[&other, &folder], &[&folder]);
    }
}
