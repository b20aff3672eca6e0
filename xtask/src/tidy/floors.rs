//! Which words belong to which floor: a library stays behind the door of the folder that owns it.

use super::Finding;
use super::tree::{Tree, code, lines_naming};

/// A crate and the one folder that may name it.
const BEHIND_A_DOOR: &[(&str, &str)] = &[
    ("openraft", "keikod/src/consensus/"),
    ("rocksdb", "keikod/src/store/"),
    ("aya", "keikod/src/probe/"),
    ("ratatui", "keikoctl/src/dash/"),
    ("crossterm", "keikoctl/src/dash/"),
];

/// Who else may: the simulator of several nodes is a second host of consensus.
const LET_IN: &[(&str, &str)] = &[("openraft", "tests/src/raft/")];

/// What the law may not name, and what it uses instead.
const NOT_IN_CORE: &[(&str, &str)] = &[
    ("tokio", "nothing waits in the law: put the loop into keikod"),
    ("SystemTime", "the only clock is the stamp"),
    ("Instant", "the only clock is the stamp"),
    ("HashMap", "its order differs between nodes: use BTreeMap"),
    ("HashSet", "its order differs between nodes: use BTreeSet"),
    ("rand", "ids derive from the stamp"),
    ("std::fs", "files are keikod's"),
    ("std::net", "the network is keikod's"),
    ("std::env", "what the law reads is in the entry"),
    ("std::thread", "the law runs on one thread"),
    ("std::process", "processes are keikod's"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension("rs") {
        let code = code(text);
        for (name, folder) in BEHIND_A_DOOR {
            let is_let_in = |(who, guest): &(&str, &str)| who == name && path.starts_with(guest);
            if path.starts_with(folder) || LET_IN.iter().any(is_let_in) {
                continue;
            }
            for line in lines_naming(&code, name) {
                let message =
                    format!("{name} may be named in {folder} only: use that module's types");
                findings.push(Finding::new(path, line, message));
            }
        }
        if path.starts_with("core/src/") {
            for (name, instead) in NOT_IN_CORE {
                for line in lines_naming(&code, name) {
                    findings.push(Finding::new(
                        path,
                        line,
                        format!("{name} in the law: {instead}"),
                    ));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_behind_their_doors() {
        let check_one = |path: &str, text: &str, expect: usize| {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), expect, "{path}: {text}");
        };
        check_one("keikod/src/consensus/log.rs", "use openraft::Raft;", 0);
        check_one("keikod/src/rooms/a.rs", "use openraft::Raft;", 1);
        check_one("tests/src/raft/node.rs", "use openraft::Raft;", 0);
        check_one("keikod/src/consensus/log.rs", "use rocksdb::DB;", 1);
        check_one("keikod/src/store/rocks.rs", "use rocksdb::DB;", 0);
        check_one("keikod/src/rooms/a.rs", "// openraft and rocksdb\nlet x = \"rocksdb\";", 0);
        check_one("core/src/a.rs", "use std::collections::{BTreeMap, HashMap};", 1);
        check_one("core/src/a.rs", "// a HashMap would not do\n", 0);
        check_one("core/src/a.rs", "std::fs::read(x); Instant::now()", 2);
        check_one("client/src/a.rs", "std::time::Instant::now()", 0);
    }
}
