//! Words that have no place in the tree: promises, paths of one machine, hosts of registries.

use super::Finding;
use super::tree::{Tree, code, lines_naming};

/// Each word is put together here, so that this file keeps its own rules.
const PROMISES: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X")];
const MACROS: &[&str] = &["todo", "unimplemented"];
const MACHINE_FOLDERS: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];
const REGISTRY_HOSTS: &[&str] =
    &[concat!("registry.npm", "js.org"), concat!("py", "pi.org"), concat!("python", "hosted.org")];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.files {
        let mut say = |line, message: String| findings.push(Finding::new(path, line, message));
        for (at, line) in text.lines().enumerate() {
            if let Some(message) = judge(line) {
                say(at + 1, message);
            }
        }
        if path.ends_with(".rs") {
            let code = code(text);
            for name in MACROS {
                for line in lines_naming(&code, name).into_iter().filter(|line| {
                    code.lines()
                        .nth(line - 1)
                        .is_some_and(|text| text.contains(&format!("{name}!")))
                }) {
                    say(line, format!("{name}!: build it, or leave it out altogether"));
                }
            }
        }
        if path.ends_with("package-lock.json") {
            for line in lines_naming(text, "\"resolved\"") {
                say(
                    line,
                    "an address of a download: npm's omit-lockfile-registry-resolved=true".into(),
                );
            }
        }
    }
    findings
}

fn judge(line: &str) -> Option<String> {
    let has = |word: &&&str| !lines_naming(line, word).is_empty();
    if let Some(word) = PROMISES.iter().find(has) {
        return Some(format!("{word}: do it now, or file an issue and take the mark out"));
    }
    if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| names_folder(line, folder)) {
        return Some(format!(
            "{folder} is a path of one machine: make it relative or configurable"
        ));
    }
    let host = REGISTRY_HOSTS.iter().find(|host| line.contains(**host))?;
    Some(format!("{host}: name packages, never the registry's host"))
}

/// True if the folder stands there as the beginning of a path.
fn names_folder(line: &str, folder: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "._-})/*~".contains(c);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_a_place() {
        let check_one = |path: &str, text: String, expect: usize| {
            assert_eq!(check(&Tree::of(&[(path, &text)])).len(), expect, "{path}: {text}");
        };
        check_one("a.md", format!("see {}later", concat!("FIX", "ME ")), 1);
        check_one("a.md", "XXXL shirts".into(), 0);
        check_one("a.rs", format!("{}!()", "todo"), 1);
        check_one("a.rs", "let todo = 1;".into(), 0);
        check_one("a.rs", "// no todo!()".into(), 0);
        check_one("a.toml", format!("dir = \"{}x\"", MACHINE_FOLDERS[0]), 1);
        check_one("a.toml", format!("dir = \"D{}x\"", MACHINE_FOLDERS[1]), 0);
        check_one("package-lock.json", "  \"resolved\": \"x\"".into(), 1);
        check_one("a.txt", format!("https://{}/simple", REGISTRY_HOSTS[1]), 1);
    }
}
