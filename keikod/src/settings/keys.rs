//! Every key of `keiko.toml`, once. The manual page and the sample are tested against this list.

use std::collections::BTreeSet;

/// Dotted paths; `*` stands for one name that the writer chooses.
pub const KEYS: &[&str] = &[
    "node.name",
    "node.advertise",
    "node.names",
    "listen.api",
    "listen.peer",
    "listen.metrics",
    "socket.path",
    "socket.group",
    "socket.uids",
    "security.tls",
    "exec.allow",
    "exec.user",
    "credentials.dir",
    "credentials.*.to",
    "egress.allow",
    "egress.deny",
    "a2a.trusted_keys",
    "consensus.heartbeat_ms",
    "consensus.election_ms_min",
    "consensus.election_ms_max",
    "consensus.snapshot_entries",
    "journal.keep_days",
    "journal.keep_bytes",
    "backup.place",
    "backup.every_minutes",
    "backup.rehearse_hours",
    "backup.keep_hourly",
    "backup.keep_daily",
    "backup.keep_weekly",
    "backup.keep_monthly",
    "log.filter",
    "log.format",
];

/// The keys that a reload takes over; the others need a restart.
pub const LIVE: &[&str] = &[
    "socket.uids",
    "security.tls",
    "exec.allow",
    "exec.user",
    "credentials.*.to",
    "egress.allow",
    "egress.deny",
    "log.filter",
];

/// True if a reload takes over the value of this dotted path.
pub(super) fn is_live(path: &str) -> bool {
    // What else stands below `credentials` has a chosen name, and that may hold dots.
    LIVE.contains(&path) || (!KEYS.contains(&path) && path.starts_with("credentials."))
}

/// What a dotted path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Value,
    Table,
    Nothing,
}

pub(super) fn find(words: &[&str]) -> Found {
    // A value wins over the chosen name of a table: `credentials.dir` is the folder.
    if KEYS.contains(&words.join(".").as_str()) {
        return Found::Value;
    }
    let fits = |key: &&&str| {
        let mut known = key.split('.');
        words.iter().all(|word| known.next().is_some_and(|known| known == "*" || known == *word))
    };
    match KEYS.iter().find(fits) {
        Some(key) if key.split('.').count() == words.len() => Found::Value,
        Some(_) => Found::Table,
        None => Found::Nothing,
    }
}

/// What the writer probably meant.
pub(super) fn nearest(words: &[&str], table: bool) -> Option<String> {
    // Below this, the words have little more than their letters in common.
    const LIKE_MIN: f64 = 0.6;
    // To compare takes the product of both lengths; the longest key has 26 bytes.
    const BYTES_COMPARED: usize = 128;
    let path = words.join(".");
    if path.len() > BYTES_COMPARED {
        return None;
    }
    let chosen = words.get(1).unwrap_or(&"NAME");
    let known: BTreeSet<String> = KEYS
        .iter()
        .map(|key| match key.split_once('.') {
            Some((above, _)) if table => above.to_owned(),
            _ => key.replace('*', chosen),
        })
        .collect();
    let like = |known: &String| {
        let whole = strsim::normalized_damerau_levenshtein(&path, known);
        // The right word under the wrong table counts nearly as much.
        let last = (words.last().copied(), known.rsplit('.').next());
        let (Some(word), Some(last)) = last else { return whole };
        whole.max(strsim::normalized_damerau_levenshtein(word, last) - 0.05)
    };
    let scored = known.into_iter().map(|known| (like(&known), known));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= LIKE_MIN).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds() {
        let check = |path: &str, expect: Found| {
            let words: Vec<&str> = path.split('.').collect();
            assert_eq!(find(&words), expect, "{path}");
        };
        check("listen", Found::Table);
        check("listen.api", Found::Value);
        check("listen.api.more", Found::Nothing);
        check("lisen", Found::Nothing);
        check("credentials", Found::Table);
        check("credentials.dir", Found::Value);
        check("credentials.hub", Found::Table);
        check("credentials.hub.to", Found::Value);
        check("credentials.hub.too", Found::Nothing);
        assert_eq!(find(&["credentials", "hub.token", "to"]), Found::Value);
    }

    #[test]
    fn lives() {
        let check = |path: &str, expect: bool| assert_eq!(is_live(path), expect, "{path}");
        check("log.filter", true);
        check("log.format", false);
        check("credentials.hub.to", true);
        check("credentials.hub.token.to", true);
        check("credentials.dir", false);
    }

    #[test]
    fn proposes() {
        let check = |path: &str, table: bool, expect: Option<&str>| {
            let words: Vec<&str> = path.split('.').collect();
            assert_eq!(nearest(&words, table).as_deref(), expect, "{path}");
        };
        check("lisen", true, Some("listen"));
        check("listen.apii", false, Some("listen.api"));
        check("node.nmae", false, Some("node.name"));
        check("heartbeat_ms", false, Some("consensus.heartbeat_ms"));
        check("journal.keep_byte", false, Some("journal.keep_bytes"));
        check("credentials.hub.too", false, Some("credentials.hub.to"));
        check("qwertyuiop", false, None);
        check(&format!("{}listen.api", " ".repeat(1 << 20)), false, None);
    }
}
