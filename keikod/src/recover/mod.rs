//! `keikod recover`: goes on with what is left of a cluster that lost its quorum for good.
//!
//! ```text
//! plan.rs    looks at the stopped nodes, picks the furthest      report.rs   how that is shown
//! ```
//!
//! Two entries go behind the end of its log: this node is the only voter, and the law's word of it,
//! which leaves this node as the only member, moves revisions on, and is an event like any other. The
//! next start leads at once, because it needs nobody's vote.
//!
//! Invariants: without the cluster's id, typed, nothing is changed; only the folder of the furthest
//! node is; while those that are here can decide together, this is refused. Whoever was given up is
//! answered by nobody who heard of it: ids are never given again.

mod plan;
mod report;

use crate::backup::restore::entry;
use crate::cli::{Output, RecoverArgs, print};
use crate::consensus::offline::{Alone, Offline};
use crate::lifecycle::Folder;
use keiko_core::features;
use keiko_core::house;
use keiko_core::id::GroupId;
use keiko_core::limits::REASON_CHARS_MAX;
use keiko_core::refusal::Result;
use keiko_proto::v1::entry::Room;
use keiko_proto::v1::{Node, Reopen, SecurityOp, security_op};
use plan::{Candidate, Plan, refused};
use std::io::{IsTerminal as _, Write as _};

/// Shows the plan, asks, and does it.
pub(crate) fn run(args: &RecoverArgs) -> Result<()> {
    let looked: Result<Vec<_>> =
        args.data_dir.iter().map(|folder| Candidate::look(folder)).collect();
    let plan = Plan::make(looked?)?;
    let is_text = args.output == Output::Text;
    if args.plan {
        print(&match is_text {
            true => report::as_text(&plan),
            false => format!("{}\n", report::as_json(&plan, None)),
        });
        return Ok(());
    }
    consent(args, &plan)?;
    let goes_on_at = recover(&plan)?;
    let chosen = plan.chosen();
    print(&match is_text {
        true => format!(
            "node {} goes on alone at revision {goes_on_at}\n\
             start it: keikod run --data-dir {} --node-name {}\n",
            chosen.name,
            chosen.folder.display(),
            chosen.name,
        ),
        false => format!("{}\n", report::as_json(&plan, Some(goes_on_at))),
    });
    Ok(())
}

/// The cluster's id, by flag or typed below the plan.
fn consent(args: &RecoverArgs, plan: &Plan) -> Result<()> {
    let id = &plan.chosen().cluster_id;
    let typed = match &args.confirm {
        Some(typed) => typed.clone(),
        None if args.output == Output::Text && std::io::stdin().is_terminal() => {
            print(&report::as_text(plan));
            ask()
        }
        None => {
            return Err(refused("nothing was changed: this needs the cluster's id, typed")
                .hint("to see what there is and what may be lost: --plan")
                .hint(format!("then: --yes --confirm {id}")));
        }
    };
    if typed.trim() == id {
        return Ok(());
    }
    Err(refused("nothing was changed: that is not the cluster's id").cause(format!("it is {id}")))
}

/// A terminal that went away answers nothing.
fn ask() -> String {
    let mut stderr = std::io::stderr();
    let asked = stderr.write_all(b"type the cluster's id to go on: ").and_then(|()| stderr.flush());
    let mut typed = String::new();
    let read = asked.and_then(|()| std::io::stdin().read_line(&mut typed).map(drop));
    if read.is_ok() { typed } else { String::new() }
}

/// Writes the two entries; the revision behind them.
fn recover(plan: &Plan) -> Result<u64> {
    let chosen = plan.chosen();
    let group = GroupId::CONTROL;
    let folder = Folder::take(&chosen.folder)?;
    let mut store = Offline::open(&chosen.folder)?;
    let alone = Alone { id: chosen.id, name: chosen.name.clone() };
    let entries = vec![entry(&alone, reopen(plan))];
    let goes_on_at = store.foresee(group, &entries, |state| house::revision(state, group))?;
    store.append(group, &alone, true, entries)?;
    drop(store);
    drop(folder);
    Ok(goes_on_at)
}

fn reopen(plan: &Plan) -> Room {
    let chosen = plan.chosen();
    let lost = plan.lost.iter().map(|member| member.name.as_str());
    let set_aside = plan.set_aside();
    let given_up = report::names(lost.chain(set_aside.iter().map(|other| other.name.as_str())));
    let reason = format!(
        "the quorum was lost; node {} goes on from {}; given up: {given_up}",
        chosen.name,
        report::entry(chosen.standing.log_end),
    );
    let node = Node {
        id: chosen.id,
        name: chosen.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        feature_level: features::LEVEL,
        ..Default::default()
    };
    let reopen = Reopen {
        from_cluster_id: chosen.cluster_id.clone(),
        cluster_id: chosen.cluster_id.clone(),
        node: Some(node),
        forget_authority: !chosen.has_key,
        reason: reason.chars().take(REASON_CHARS_MAX).collect(),
    };
    Room::Security(SecurityOp { op: Some(security_op::Op::Reopen(reopen)) })
}
