//! What the tests say beside passed and failed.
//!
//! A skip is one line `test<TAB>reason`, a measure one line `what<TAB>reached<TAB>floor<TAB>unit`.
//! A skip that `tests/skips.toml` does not list is a failure: an absent peer must not look green.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default)]
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    name: String,
    reason: String,
}

/// Checks the skips of a run against the list; prints each with its reason.
pub(super) fn skips(skipped: &str, listed: &str) -> Result<()> {
    let listed: Listed = toml::from_str(listed).context("tests/skips.toml")?;
    if let Some(skip) = listed.skip.iter().find(|skip| skip.reason.trim().is_empty()) {
        bail!("tests/skips.toml: {} has no reason", skip.name);
    }
    let skipped: BTreeMap<&str, &str> = skipped
        .lines()
        .map(|line| line.split_once('\t').unwrap_or((line, "no reason given")))
        .collect();
    let mut unlisted = Vec::new();
    for (name, reason) in &skipped {
        println!("    SKIPPED {name}: {reason}");
        if !listed.skip.iter().any(|skip| skip.name == *name) {
            unlisted.push(*name);
        }
    }
    println!("    {} skipped", skipped.len());
    if !unlisted.is_empty() {
        bail!("not in tests/skips.toml: {}", unlisted.join(", "));
    }
    Ok(())
}

/// The measures as a table; what is below its floor is marked.
pub(super) fn measures(lines: &str) -> String {
    let rows: Vec<Vec<&str>> = lines.lines().map(|line| line.split('\t').collect()).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut table = format!("\n{:>14} {:>14} {:<8} measured\n", "reached", "floor", "unit");
    for row in rows {
        let column = |index: usize| row.get(index).copied().unwrap_or("-");
        let (what, reached, floor, unit) = (column(0), column(1), column(2), column(3));
        let below =
            matches!((reached.parse::<f64>(), floor.parse::<f64>()), (Ok(r), Ok(f)) if r < f);
        let mark = if below { "  (below its floor)" } else { "" };
        let _ = writeln!(table, "{reached:>14} {floor:>14} {unit:<8} {what}{mark}");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "[[skip]]\nname = \"bpf\"\nreason = \"needs a kernel with BTF\"\n";

    #[test]
    fn only_listed_skips_pass() {
        let check = |skipped: &str, listed: &str, expect: bool| {
            assert_eq!(skips(skipped, listed).is_ok(), expect, "{skipped:?} {listed:?}");
        };
        check("", "", true);
        check("bpf\tno BTF\n", LIST, true);
        check("bpf\tno BTF\nbpf\tno BTF\n", LIST, true);
        check("a2a\tno peer\n", LIST, false);
        check("", "[[skip]]\nname = \"x\"\nreason = \"\"\n", false);
        check("", "[[skip]]\nname = \"x\"\n", false);
    }

    #[test]
    fn measures_below_their_floor_are_marked() {
        let table = measures("kills\t15\t15\t\nwrites\t90.5\t100\t/s\n");
        let lines: Vec<_> = table.lines().collect();
        assert!(!lines[2].contains("below"), "{table}");
        assert!(lines[3].ends_with("writes  (below its floor)"), "{table}");
        assert_eq!(measures(""), "");
    }
}
