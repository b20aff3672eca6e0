//! What survives an end, polite or not.

use crate::network::ask;
use keiko_tests::{Ctl, Node, Plan, fake, programs};
use serde_json::Value;

/// What must read the same after the restart.
#[derive(Debug, PartialEq)]
struct Seen {
    agents: Value,
    tools: Value,
    past: String,
    history: Value,
    cluster: Value,
}

fn look(ctl: &Ctl, at: &str) -> Seen {
    let mut agents = ctl.json("agent list");
    let mut tools = ctl.json("tool list");
    for list in [&mut agents, &mut tools] {
        // Others may have changed meanwhile: the server that is linked anew.
        list["revision"] = Value::Null;
        for item in list["items"].as_array_mut().into_iter().flatten() {
            *item = crate::objects::kept(item.take());
        }
    }
    Seen {
        agents,
        tools,
        past: ctl.ok(&format!("agent get one --at {at} -o yaml")).stdout,
        history: ctl.json("agent history one")["items"].clone(),
        cluster: ctl.json("status")["cluster"].clone(),
    }
}

#[tokio::test]
async fn state_and_history_survive() {
    let agent = fake::agent::start("survivor");
    let mut node = Node::start(Plan::default());
    let ctl = |node: &Node, line: &str| node.ctl.ok(line);
    ctl(&node, &format!("agent register one {} --label step=1", agent.url()));
    let at = ctl(&node, "agent get one -o jsonpath=.metadata.revision").stdout;
    ctl(&node, &format!("agent register one {} --label step=2", agent.url()));
    ctl(&node, &format!("agent register two {}", agent.url()));
    ctl(&node, "agent delete two --yes");
    ctl(&node, &format!("mcp register fake -- {}", programs::path("fake-mcp").display()));
    let token = ctl(&node, "agent token one").stdout.trim().to_owned();
    let before = look(&node.ctl, at.trim());
    assert!(before.past.contains("step: \"1\"") || before.past.contains("step: '1'"), "{before:?}");
    let events = node.ctl.ok("event tail --from 0 -o jsonl").stdout;
    let ca = node.ca_pem();

    for crash in [false, true] {
        if crash {
            node.kill_9();
        } else {
            assert_eq!(node.terminate(), 0, "{}", node.log());
        }
        node.restart();
        assert_eq!(look(&node.ctl, at.trim()), before, "crash={crash}");
        let now = node.ctl.ok("event tail --from 0 -o jsonl").stdout;
        assert!(now.starts_with(&events), "crash={crash}: the journal changed:\n{events}\n{now}");
        assert_eq!(node.ca_pem(), ca, "crash={crash}");
        let path = "/v1/objects/agent/default/one";
        let (status, body) = ask(&node, "get", path, Some(&token), None).await;
        assert_eq!(status, 200, "crash={crash}: {body}");
        crate::objects::wait_ready(&node.ctl, "fake", "True");
        node.ctl.ok(r#"tool call fake.echo '{"text":"still here"}'"#);
    }
    assert_eq!(node.terminate(), 0);
    let verify = ["verify", "--data-dir", &node.data().display().to_string()].map(str::to_owned);
    node.run(&verify).ok();
}
