//! One shape for every room: the same name on every floor, all files, connected everywhere, and
//! calling only rooms above it.
//!
//! A floor without one of its files says so in a comment of its `mod.rs`: `none: FILE: reason`
//! (several files with commas between). A floor without the room says it in `rooms/mod.rs`:
//! `none: ROOM: reason`.

use super::Finding;
use super::tree::{Tree, code, lines_naming};

/// The order of dependencies: a room may call only rooms above it.
pub(crate) const ROOM_ORDER: &[&str] = &[
    "cluster",
    "security",
    "coordination",
    "config",
    "contract",
    "registry",
    "journal",
    "bus",
    "resilience",
    "placement",
    "workflow",
    "gateway",
    "telemetry",
    "slo",
    "scaling",
    "dr",
    "insight",
];

const CORE_FILES: &[&str] = &["mod.rs", "model.rs", "wire.rs", "state.rs", "query.rs", "tests.rs"];
const HANDS_FILES: &[&str] = &["mod.rs", "service.rs", "driver.rs", "metrics.rs"];
const FACE_FILES: &[&str] = &["mod.rs", "args.rs", "run.rs", "table.rs"];

/// The shared files, each with one line that connects a room.
const SHARED: &[&str] = &[
    "proto/keiko/v1/entry.proto",
    "core/src/lib.rs",
    "core/src/house.rs",
    "keikod/src/rooms/mod.rs",
    "keikoctl/src/rooms/mod.rs",
];

/// Every file of a room, by path.
pub(crate) fn files(room: &str) -> Vec<String> {
    let mut files = vec![format!("proto/keiko/v1/{room}.proto")];
    files.extend(CORE_FILES.iter().map(|file| format!("core/src/{room}/{file}")));
    files.extend(HANDS_FILES.iter().map(|file| format!("keikod/src/rooms/{room}/{file}")));
    files.extend(FACE_FILES.iter().map(|file| format!("keikoctl/src/rooms/{room}/{file}")));
    files.push(format!("docs/rooms/{room}.md"));
    files
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let rooms = rooms(tree);
    let mut findings = Vec::new();
    for room in &rooms {
        if !ROOM_ORDER.contains(&room.as_str()) {
            let message = "has no place in the order of rooms: add it to ROOM_ORDER in xtask/src/tidy/rooms.rs";
            findings.push(Finding::new(&format!("core/src/{room}"), 0, message));
        }
        findings.extend(missing(tree, room));
        findings.extend(unconnected(tree, room));
        findings.extend(upside_down(tree, room, &rooms));
    }
    findings
}

/// A folder of the law with a state, or with the name of a room.
fn rooms(tree: &Tree) -> Vec<String> {
    let mut rooms: Vec<String> = tree
        .files
        .keys()
        .filter_map(|path| path.strip_prefix("core/src/")?.split_once('/'))
        .filter(|(folder, file)| *file == "state.rs" || ROOM_ORDER.contains(folder))
        .map(|(folder, _)| folder.to_owned())
        .collect();
    rooms.dedup();
    rooms
}

fn missing(tree: &Tree, room: &str) -> Vec<Finding> {
    let is_missing =
        |path: &String| !tree.files.contains_key(path) && !is_excused(tree, room, path);
    let say = |path: String| {
        let message = format!(
            "room {room:?}: the file is missing: write it, or `none: FILE: reason` in the floor's mod.rs"
        );
        Finding::new(&path, 0, message)
    };
    files(room).into_iter().filter(is_missing).map(say).collect()
}

fn is_excused(tree: &Tree, room: &str, path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else { return false };
    let Some((floor, _)) = folder.rsplit_once('/') else { return false };
    let says = |page: String, word: &str| tree.text(&page).is_some_and(|text| excuses(text, word));
    says(format!("{folder}/mod.rs"), file)
        || (floor.ends_with("/rooms") && says(format!("{floor}/mod.rs"), room))
}

/// True if a comment of the text reads `none: …word…: reason`.
fn excuses(text: &str, word: &str) -> bool {
    text.lines().any(|line| {
        let comment = line.trim_start().trim_start_matches(['/', '!']).trim_start();
        let Some((names, reason)) =
            comment.strip_prefix("none:").and_then(|rest| rest.split_once(':'))
        else {
            return false;
        };
        !reason.trim().is_empty() && names.split(',').any(|name| name.trim() == word)
    })
}

fn unconnected(tree: &Tree, room: &str) -> Vec<Finding> {
    let is_unconnected =
        |path: &&&str| tree.text(path).is_some_and(|text| lines_naming(text, room).is_empty());
    let say =
        |path: &&str| Finding::new(path, 0, format!("does not name the room {room:?}: connect it"));
    SHARED.iter().filter(is_unconnected).map(say).collect()
}

/// Calls to rooms that come later in the order.
fn upside_down(tree: &Tree, room: &str, rooms: &[String]) -> Vec<Finding> {
    let place = |name: &str| ROOM_ORDER.iter().position(|other| *other == name);
    let mut findings = Vec::new();
    let folder = format!("core/src/{room}/");
    for (path, text) in tree.files.iter().filter(|(path, _)| path.starts_with(&folder)) {
        if path.ends_with("/tests.rs") {
            continue;
        }
        let code = code(text);
        for below in rooms.iter().filter(|other| place(other) > place(room)) {
            for line in lines_naming(&code, &format!("crate::{below}")) {
                let message = format!(
                    "{room:?} may not call {below:?}, which stands below it: emit an event instead"
                );
                findings.push(Finding::new(path, line, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole room, connected, with some files taken out or replaced.
    fn count(without: &[&str], with: &[(&str, &str)]) -> usize {
        let paths = files("bus");
        let kept = paths.iter().map(String::as_str).chain(SHARED.iter().copied());
        let mut all: Vec<(&str, &str)> =
            kept.filter(|path| !without.contains(path)).map(|path| (path, "mod bus;")).collect();
        all.extend(with);
        check(&Tree::of(&all)).len()
    }

    #[test]
    fn a_room_is_whole() {
        assert_eq!(count(&[], &[]), 0);
        assert_eq!(count(&["docs/rooms/bus.md"], &[]), 1);
        assert_eq!(count(&["core/src/bus/query.rs", "proto/keiko/v1/bus.proto"], &[]), 2);
        let (driver, metrics) =
            ("keikod/src/rooms/bus/driver.rs", "keikod/src/rooms/bus/metrics.rs");
        let excuse =
            ("keikod/src/rooms/bus/mod.rs", "//! none: driver.rs, metrics.rs: it only answers.");
        assert_eq!(count(&[driver, metrics], &[excuse]), 0);
        let lazy = ("keikod/src/rooms/bus/mod.rs", "//! none: driver.rs:");
        assert_eq!(count(&[driver], &[lazy]), 1);
        let face: Vec<_> =
            FACE_FILES.iter().map(|file| format!("keikoctl/src/rooms/bus/{file}")).collect();
        let face: Vec<_> = face.iter().map(String::as_str).collect();
        assert_eq!(count(&face, &[]), FACE_FILES.len());
        let excuse = ("keikoctl/src/rooms/mod.rs", "// none: bus: the noun `stream` shows it");
        assert_eq!(count(&face, &[excuse]), 0);
    }

    #[test]
    fn a_room_is_connected_and_looks_up_only() {
        assert_eq!(count(&[], &[("core/src/house.rs", "mod robust;")]), 1);
        let calls = |text| {
            count(&[], &[("core/src/bus/state.rs", text), ("core/src/cluster/tests.rs", "")])
        };
        let bare_cluster = files("cluster").len() - 1 + SHARED.len();
        assert_eq!(calls("use crate::cluster::query;"), bare_cluster);
        let up = [
            ("core/src/cluster/tests.rs", ""),
            ("core/src/cluster/query.rs", "use crate::bus::x;"),
        ];
        assert_eq!(count(&[], &up), bare_cluster - 1 + 1);
    }
}
