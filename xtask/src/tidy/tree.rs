//! The sources as tidy sees them: what git knows, by relative path, and Rust code without its
//! comments and literals.

use crate::process;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Every file of the checkout; one that is not text is there with an empty text.
pub(super) struct Tree {
    pub(super) files: BTreeMap<String, String>,
}

impl Tree {
    /// Tracked and new files, without what is ignored.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut command = Command::new("git");
        command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = process::output(command.current_dir(root))?;
        let mut files = BTreeMap::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let full = root.join(path);
            // Removed but still tracked, or a link to a folder.
            if full.is_file() {
                let bytes = std::fs::read(&full).with_context(|| path.to_owned())?;
                files.insert(path.to_owned(), String::from_utf8(bytes).unwrap_or_default());
            }
        }
        Ok(Self { files })
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self { files: files.collect() }
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// True for a file, or a folder that holds one.
    pub(super) fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&folder))
    }

    pub(super) fn with_extension<'t>(
        &'t self,
        extension: &'t str,
    ) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.files
            .iter()
            .filter(move |(path, _)| {
                path.rsplit_once('.').is_some_and(|(_, ending)| ending == extension)
            })
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

/// Rust code with comments and literals blanked out; line breaks stay where they are.
pub(super) fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let blank = literal_or_comment(rest, code.chars().next_back());
        let length = blank.unwrap_or_else(|| first.len_utf8());
        let (piece, after) = rest.split_at(length);
        match blank {
            Some(_) => code.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => code.push_str(piece),
        }
        rest = after;
    }
    code
}

/// The length of the comment or literal that `rest` begins with.
fn literal_or_comment(rest: &str, before: Option<char>) -> Option<usize> {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match rest.as_bytes() {
        [b'/', b'/', ..] => Some(rest.find('\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(block_comment(rest)),
        [b'"', ..] => Some(string(rest)),
        [b'r', b'"' | b'#', ..] if !in_word => raw_string(rest),
        [b'\'', ..] => character(rest),
        _ => None,
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at..] {
            [b'/', b'*', ..] => depth += 1,
            [b'*', b'/', ..] => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
    let open = 1 + hashes;
    if rest.as_bytes().get(open) != Some(&b'"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = open + 1;
    Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
}

/// A character literal, not a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next();
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

/// The lines (from 1) on which `name` stands as a whole word; `name` may be a path like `a::b`.
pub(super) fn lines_naming(code: &str, name: &str) -> Vec<usize> {
    let edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let names = |line: &str| {
        line.match_indices(name).any(|(at, _)| {
            edge(line[..at].chars().next_back()) && edge(line[at + name.len()..].chars().next())
        })
    };
    code.lines().enumerate().filter(|(_, line)| names(line)).map(|(at, _)| at + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let check = |source: &str, expect: &str| {
            let code = code(source);
            assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expect, "{source}");
        };
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check(r#"f("x \" y", z)"#, "f( , z)");
        check(r##"f(r#"x " y"#, r"\", z)"##, "f( , , z)");
        check("fn f<'a>(x: &'a str) { 'x' '\\'' '\"' }", "fn f<'a>(x: &'a str) { }");
        check("for r in b\"x\" {}", "for r in b {}");
        check("\"open", "");
    }

    #[test]
    fn names_are_whole_words() {
        let check = |code: &str, expect: &[usize]| {
            assert_eq!(lines_naming(code, "std::fs"), expect, "{code}");
        };
        check("use std::fs;\n std::fs::read(x)", &[1, 2]);
        check("use std::fsync; my_std::fs", &[]);
    }
}
