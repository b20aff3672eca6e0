//! What the worst of them cost.

use super::{neighbour, on_terminal};
use keiko_core::refusal::Code;
use keiko_tests::fake::hostile;
use keiko_tests::{Node, Plan, programs};
use std::fs;

/// Memory that keikod had at most, since [`forget_peak`], in bytes.
fn peak(node: &Node) -> usize {
    status(node, "VmHWM:")
}

fn status(node: &Node, field: &str) -> usize {
    let text = fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("the field is there");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// The peak is what it is now.
fn forget_peak(node: &Node) {
    fs::write(format!("/proc/{}/clear_refs", node.pid()), "5").expect("it is our process");
}

/// What one peer may cost at its worst: a message of 4 MiB while it is read and understood.
const COSTS_MAX: usize = 96 << 20;

#[test]
fn memory_is_bounded() {
    let node = Node::start(Plan::default());
    let call = neighbour(&node, "neighbour");
    let costs = |what: &str, act: &dyn Fn()| {
        let before = status(&node, "VmRSS:");
        forget_peak(&node);
        act();
        let cost = peak(&node).saturating_sub(before);
        assert!(cost < COSTS_MAX, "{what} costs {} MiB", cost >> 20);
    };
    let line = hostile::one_line(64 << 20);
    costs("a line of 64 MB", &|| {
        node.ctl.refused(&format!("mcp register line {}", line.url()), 1, Code::PeerTooLarge);
        node.ctl.refused(&format!("agent register line {}", line.url()), 1, Code::PeerTooLarge);
    });
    costs("a line of 64 MB from a command", &|| {
        let script = r#"head -c 67108864 /dev/zero | tr "\0" x"#;
        let line = format!("mcp register line -- /bin/sh -c '{script}'");
        node.ctl.refused(&line, 1, Code::PeerTooLarge);
    });
    let pages = hostile::lists(|params, _| hostile::pages(params, 100_000, 5_000));
    costs("100,000 tools on pages", &|| {
        node.ctl.ok(&format!("mcp register many {}", pages.url()));
        let many = node.ctl.json("mcp get many");
        assert!(many["status"].to_string().contains("and 98968 more"), "{many}");
        let tools = node.ctl.json("tool list --field spec.server=many --limit 1");
        assert!(!tools["items"].as_array().expect("a list").is_empty(), "{tools}");
    });
    let fake = programs::path("fake-mcp");
    costs("a command that asks and reads no answer", &|| {
        let line = format!("mcp register asks -- {} --asks", fake.display());
        node.ctl.refused(&line, 1, Code::PeerTooLarge);
    });
    costs("a flood on standard error", &|| {
        let script = format!(r#"yes "$(printf "\033[2Jlost")" >&2 & exec {}"#, fake.display());
        node.ctl.ok(&format!("mcp register flood -- /bin/sh -c '{script}'"));
        for _ in 0..5 {
            assert!(node.ctl.ok(r#"tool call flood.echo '{"text":"hi"}'"#).stdout.contains("hi"));
            assert!(node.ctl.ok(&call).stdout.contains("still here"));
        }
        let logs = on_terminal(&node, "mcp logs flood --tail 20");
        assert!(logs.stdout.contains("\\x1b[2Jlost"), "{logs}");
        on_terminal(&node, "mcp logs flood --tail 20 -o jsonl");
    });
    node.ctl.ok("mcp delete flood --yes");
}
