//! Docs that hold: links lead somewhere, every code has its page, decisions are numbered.

use super::Finding;
use super::tree::Tree;
use std::collections::BTreeMap;

const REFUSALS: &str = "core/src/refusal.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = links(tree);
    findings.extend(codes(tree));
    findings.extend(decisions(tree));
    findings
}

/// Every relative link of a markdown page leads to a file or folder of the tree.
fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension("md") {
        let mut in_code = false;
        for (at, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            }
            if in_code {
                continue;
            }
            for target in targets(line) {
                let to = target.split('#').next().unwrap_or_default();
                if to.is_empty() || to.contains(':') {
                    continue;
                }
                if resolve(path, to).is_none_or(|to| !tree.exists(&to)) {
                    findings.push(Finding::new(
                        path,
                        at + 1,
                        format!("the link to {to} leads nowhere"),
                    ));
                }
            }
        }
    }
    findings
}

/// What stands in `](…)` on one line, outside of code.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').step_by(2).flat_map(|prose| {
        prose.match_indices("](").filter_map(|(at, open)| {
            let target = &prose[at + open.len()..];
            target.split([')', ' ']).next()
        })
    })
}

/// The path that `to` means in the file `from`; none above the top.
fn resolve(from: &str, to: &str) -> Option<String> {
    let mut parts: Vec<&str> =
        if to.starts_with('/') { Vec::new() } else { from.split('/').collect() };
    parts.pop();
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Every code has its page, and every page its code.
fn codes(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(REFUSALS) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut pages: BTreeMap<String, bool> = tree
        .files
        .keys()
        .filter_map(|path| path.strip_prefix("docs/errors/"))
        .filter(|page| page.starts_with("KEIKO-"))
        .map(|page| (page.to_owned(), false))
        .collect();
    for (at, line) in text.lines().enumerate() {
        let Some(number) = code_number(line) else { continue };
        let page = format!("KEIKO-{number:04}.md");
        match pages.get_mut(&page) {
            Some(used) => *used = true,
            None => {
                let message =
                    format!("docs/errors/{page} is missing: say what it means and what to do");
                findings.push(Finding::new(REFUSALS, at + 1, message));
            }
        }
    }
    for (page, _) in pages.into_iter().filter(|(_, used)| !used) {
        let message = "explains a code that core/src/refusal.rs does not have";
        findings.push(Finding::new(&format!("docs/errors/{page}"), 0, message));
    }
    findings
}

/// The number in a line of the table, like `30 NotFound NotFound false;`.
fn code_number(line: &str) -> Option<u32> {
    let mut words = line.trim().strip_suffix(';')?.split(' ');
    let number = words.next()?.parse().ok()?;
    let (_name, _class, retryable) = (words.next()?, words.next()?, words.next()?);
    (matches!(retryable, "true" | "false") && words.next().is_none()).then_some(number)
}

/// A decision is `nnnn-title.md`, and no number is taken twice.
fn decisions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for path in tree.files.keys().filter(|path| path.starts_with("docs/decisions/")) {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name == "README.md" {
            continue;
        }
        let is_title = |title: &str| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            title
                .strip_suffix(".md")
                .is_some_and(|title| !title.is_empty() && title.chars().all(plain))
        };
        match name.split_once('-') {
            Some((number, title))
                if number.len() == 4
                    && number.bytes().all(|byte| byte.is_ascii_digit())
                    && is_title(title) =>
            {
                if let Some(other) = taken.insert(number, path) {
                    findings.push(Finding::new(path, 0, format!("has the number of {other}")));
                }
            }
            _ => findings.push(Finding::new(path, 0, "must be named like 0007-a-short-title.md")),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(files: &[(&str, &str)]) -> usize {
        check(&Tree::of(files)).len()
    }

    #[test]
    fn links_lead_somewhere() {
        let check = |text: &str, expect: usize| {
            let files = [("docs/a.md", text), ("docs/rooms/b.md", ""), ("README.md", "")];
            assert_eq!(count(&files), expect, "{text}");
        };
        check("[b](rooms/b.md) [top](../README.md#x) [dir](rooms) [self](#here)", 0);
        check("[out](https://example.org/x) [mail](mailto:a@example.org)", 0);
        check("[gone](c.md)", 1);
        check("[above](../../x.md)", 1);
        check("`[code](c.md)`\n```\n[block](c.md)\n```\n", 0);
    }

    #[test]
    fn codes_and_pages_match() {
        let table = "codes! {\n    /// No.\n    7 FeatureLevel Precondition false;\n}\n";
        assert_eq!(count(&[(REFUSALS, table)]), 1);
        assert_eq!(count(&[(REFUSALS, table), ("docs/errors/KEIKO-0007.md", "")]), 0);
        let extra = ("docs/errors/KEIKO-0008.md", "");
        assert_eq!(count(&[(REFUSALS, table), ("docs/errors/KEIKO-0007.md", ""), extra]), 1);
    }

    #[test]
    fn decisions_are_numbered() {
        let check = |names: &[&str], expect: usize| {
            let paths: Vec<_> = names.iter().map(|name| format!("docs/decisions/{name}")).collect();
            let files: Vec<_> = paths.iter().map(|path| (path.as_str(), "")).collect();
            assert_eq!(count(&files), expect, "{names:?}");
        };
        check(&["0001-one-store.md", "0002-tls-13.md", "README.md"], 0);
        check(&["0001-a.md", "0001-b.md"], 1);
        check(&["one.md", "1-a.md", "0003-Big.md", "0004-.md"], 4);
    }
}
