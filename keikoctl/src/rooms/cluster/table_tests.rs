use super::*;
use crate::print::columns::Wanted;
use crate::print::{FormatKind, Style};
use keiko_client::proto::v1::{ClusterInfo, Quorum};

const CLOCK: Clock = Clock { now_ms: 1_000_000, utc: false };

fn node(name: &str, state: &str) -> NodeInfo {
    NodeInfo {
        name: name.into(),
        state: state.into(),
        role: "voter".into(),
        api_address: format!("{name}:7340"),
        version: "0.1.0".into(),
        applied_index: 40,
        ..NodeInfo::default()
    }
}

/// As the leader n1 sees them.
fn three() -> Vec<NodeInfo> {
    vec![
        NodeInfo { answering: true, ..node("n1", "leader") },
        NodeInfo {
            last_heard_ms: 120,
            phi: 0.31,
            clock_offset_ms: -12,
            lag: 2,
            admin_state: "draining".into(),
            ..node("n2", "follower")
        },
        NodeInfo {
            last_heard_ms: 40_000,
            phi: 1_234.5,
            clock_offset_ms: 700,
            lag: 9,
            ..node("n3", "down")
        },
    ]
}

fn laid_out(columns: &[Column<Row>], nodes: Vec<NodeInfo>) -> String {
    let grid = Wanted::default().grid(columns, &rows(nodes), FormatKind::Table, &CLOCK);
    grid.unwrap().lay_out(&Style::plain(), None, true)
}

#[test]
fn members_in_columns() {
    assert_eq!(
        laid_out(MEMBERS, three()),
        "NODE   ROLE    STATE                LAG   HEARD   PHI      OFFSET   ADDRESS\n\
         n1     voter   leader                 0   -       -        -        n1:7340\n\
         n2     voter   follower, draining     2   0s      0.3      -12ms    n2:7340\n\
         n3     voter   down                   9   40s     1234.5   +700ms   n3:7340\n"
    );
    assert_eq!(
        laid_out(NODES, three()[..1].to_vec()),
        "NODE   STATE    ROLE    ADDRESS   VERSION   APPLIED   HEARD\n\
         n1     leader   voter   n1:7340   0.1.0          40   -\n"
    );
}

#[test]
fn only_the_leader_knows_who_lags() {
    let of = |nodes| rows(nodes).into_iter().map(|row| row.lag).collect::<Vec<_>>();
    assert_eq!(of(three()), [Some(0), Some(2), Some(9)]);
    let mut seen = three();
    for node in &mut seen {
        (node.answering, node.lag) = (node.name == "n2", 0);
    }
    assert_eq!(of(seen), [None; 3]);
}

#[test]
fn who_was_never_heard_says_so() {
    for (state, down_since_ms, last_heard_ms, expect) in [
        ("down", 0, 0, "never"),
        ("down", 940_000, 0, "1m"),
        ("down", 1, 2_000, "2s"),
        ("follower", 0, 0, "0s"),
    ] {
        let node = NodeInfo { down_since_ms, last_heard_ms, ..node("n2", state) };
        assert_eq!(heard(&node, &CLOCK).text, expect, "{state}");
    }
}

#[test]
fn titles_are_unique() {
    for columns in [NODES, MEMBERS] {
        let mut titles: Vec<_> = columns.iter().map(|column| column.title).collect();
        titles.sort_unstable();
        let count = titles.len();
        titles.dedup();
        assert_eq!(titles.len(), count);
    }
}

#[test]
fn a_page_leaves_out_what_is_not_known() {
    let text = |node: NodeInfo| {
        let rows = rows(vec![node]);
        page(&rows[0], &CLOCK).lay_out(&Style::plain(), None, false)
    };
    let own = text(three().remove(0));
    assert!(own.contains("state           leader\n") && !own.contains("phi"), "{own}");
    let other = text(NodeInfo { hosted: 2, round_trip_us: 1_250, ..three().remove(1) });
    for words in ["follower, draining", "-12ms", "2 MCP servers", "1.2ms", "heard           0s"] {
        assert!(other.contains(words), "{words:?}:\n{other}");
    }
}

#[test]
fn scripts_find_every_field_even_without_a_leader() {
    let document = document(&StatusResponse::default());
    assert_eq!(document["leader"], "");
    assert_eq!(document["lastLeader"], "");
    assert_eq!(document["cluster"]["id"], "");
    assert_eq!(document["quorum"]["ok"], false);
    assert_eq!(document["revision"], 0);
    assert_eq!(document["nodes"], json!([]));
}

#[test]
fn people_read_words() {
    let status = StatusResponse {
        cluster: Some(ClusterInfo { id: "c1".into(), ..ClusterInfo::default() }),
        leader: "n1".into(),
        term: 3,
        quorum: Some(Quorum { voters: 1, needed: 1, reachable: 1, ok: true }),
        revision: 42,
        version: "0.1.0".into(),
        alarms: vec!["the disk is nearly full".into()],
        node: "n1".into(),
        ..StatusResponse::default()
    };
    let one = "cluster    c1\n\
               leader     n1 (term 3)\n\
               quorum     ok: 1 of 1 voters reachable, 1 needed\n\
               revision   42\n\
               release    0.1.0\n";
    let alarm = "alarm      the disk is nearly full\n";
    let text = |status: &StatusResponse| summary(status).lay_out(&Style::plain(), None, false);
    assert_eq!(text(&status), format!("{one}{alarm}"));
    let several = StatusResponse { nodes: three(), ..status };
    assert_eq!(text(&several), format!("{one}seen by    n1\n{alarm}"));
}

#[test]
fn without_a_quorum_the_first_line_says_so() {
    let check = |reachable: u32, ok: bool, leader: &str, last: &str, expect: Option<&str>| {
        let mut nodes = three();
        nodes.iter_mut().for_each(|node| node.answering = node.name == "n2");
        nodes[0].last_heard_ms = 40_000;
        let status = StatusResponse {
            quorum: Some(Quorum { voters: 3, needed: 2, reachable, ok }),
            leader: leader.into(),
            last_leader: last.into(),
            nodes,
            ..StatusResponse::default()
        };
        assert_eq!(lost(&status).as_deref(), expect);
    };
    let silent = "NO QUORUM 1/3, need 2, last leader n1 (heard 40s ago)";
    check(1, false, "", "n1", Some(silent));
    check(1, false, "n1", "", Some(silent));
    check(1, false, "", "n2", Some("NO QUORUM 1/3, need 2, last leader n2 (this node)"));
    check(1, false, "", "n9", Some("NO QUORUM 1/3, need 2, last leader n9"));
    check(1, false, "", "", Some("NO QUORUM 1/3, need 2, last leader unknown"));
    check(3, false, "", "n9", Some("NO LEADER 3/3, need 2, last leader n9"));
    check(3, true, "", "n9", Some("NO LEADER 3/3, need 2, last leader n9"));
    check(3, true, "n1", "", None);
    assert_eq!(lost(&StatusResponse::default()), None, "there is no cluster yet");
}

#[test]
fn a_removal_says_what_becomes_of_the_quorum() {
    let check = |before: u32, after: u32, hosted: &[&str], expect: &[&str]| {
        let removal = RemoveNodeResponse {
            voters_before: before,
            voters_after: after,
            hosted: hosted.iter().map(|name| (*name).to_owned()).collect(),
            ..RemoveNodeResponse::default()
        };
        assert_eq!(radius(&removal), expect);
    };
    check(3, 2, &[], &["voters 3 -> 2: then none of them may be lost"]);
    check(
        4,
        3,
        &["mcp/a", "mcp/b"],
        &["voters 4 -> 3: then 1 of them may be lost", "it hosts 2 MCP servers: mcp/a, mcp/b"],
    );
    check(3, 3, &["mcp/a"], &["it has no vote: 3 voters stay 3", "it hosts 1 MCP server: mcp/a"]);
    let names: Vec<String> = (0..7).map(|n| format!("mcp/{n}")).collect();
    assert_eq!(hosts(&names, 0), "7 MCP servers: mcp/0, mcp/1, mcp/2, mcp/3, mcp/4, …");
    assert_eq!(hosts(&[], 0), "");
}

#[test]
fn a_transfer_says_who_leads() {
    let told = |leader: &str, before: &str| {
        let (leader, before) = (leader.to_owned(), before.to_owned());
        handed(&TransferLeaderResponse { leader, before, term: 7, took_ms: 120 })
    };
    assert_eq!(told("n2", "n2"), "node/n2 leads already, in term 7");
    assert_eq!(
        told("n2", "n1"),
        "node/n2 leads in term 7; node/n1 did before, and writes waited for 120 ms at most"
    );
    assert!(told("n2", "").contains("; nobody did before"), "there was none");
}
