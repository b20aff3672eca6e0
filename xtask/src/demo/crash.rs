//! The leader dies in the middle of calls and writes, and comes back: what was answered is there.

use super::callers::{Caller, Got};
use super::lock;
use super::shell::{Shell, heading, typed};
use super::story::{Story, TIME_CALL};
use crate::builtin::notes::noted;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What must be the same after the crash.
const KINDS: [&str; 3] = ["agent", "mcp", "tool"];
/// Each caller is answered so often before the kill, and so often after it.
const ANSWERS: u64 = 5;
/// What one attempt may take: longer than it takes until a server is started elsewhere.
const TIMEOUT: [&str; 2] = ["--timeout", "15s"];

/// What a node holds.
struct Kept {
    names: BTreeSet<String>,
    /// The first ones.
    events: Vec<String>,
}

impl Story<'_> {
    /// Kills the leader while callers go on; gives what came of it.
    pub(super) fn kill_leader(&mut self, agent: &str) -> Result<String> {
        heading("kill -9 the leader, in the middle of calls and writes");
        let leader = self.members.wait_whole()?;
        self.turn_to(leader)?;
        let notes = lock(self.cleanup).folder().join("notes");
        let path = notes.to_string_lossy();
        let command = [&*self.program, "builtin-notes", &*path];
        self.shell.show(&[&["mcp", "register", "notes", "--"], &command[..]].concat())?;
        self.wait_ready("notes")?;
        self.shell.show(&["status"])?;
        let before = self.kept()?;
        let (calls, writes) = self.amid_callers(leader, agent)?;

        self.turn_to((leader + 1) % self.members.shells().len())?;
        self.shell.show(&["status"])?;
        self.shell.show(&["mcp", "list"])?;
        check_calls(&calls, &notes)?;
        self.check_writes(&writes)?;
        before.check_in(&self.kept()?)?;

        heading("it comes back, and has everything");
        self.members.run_again(leader)?;
        self.members.wait_whole()?;
        self.turn_to(leader)?;
        // Asked for as fresh as the leader has it, so that it has caught up when it answers.
        let after = self.kept()?;
        self.shell.show(&["status"])?;
        before.check_in(&after)?;
        self.wait_ready("time")?;
        self.shell
            .wait("a call after the crash", self.cleanup, || self.shell.ask(TIME_CALL).map(Some))?;
        self.shell.show(TIME_CALL)?;
        Ok(format!(
            "{} calls and {} writes, of which none failed after a retry ({} had one), and none was lost",
            calls.answers.len(),
            writes.answers.len(),
            calls.repeated.len() + writes.repeated.len(),
        ))
    }

    /// One caller at each node and one writer go on while the leader is killed.
    fn amid_callers(&self, leader: usize, agent: &str) -> Result<(Got<()>, Got<u64>)> {
        println!("  at each node, again and again; without an answer once more, at the next one:");
        let call = ["tool", "call", "note_number", r#"{"number":N}"#];
        typed(&super::shell::line("keikoctl", &[&call[..], &TIMEOUT].concat()));
        let write = ["agent", "register", "hello", agent, "--label", "round=N"];
        typed(&super::shell::line("keikoctl", &write));
        let shells = self.members.shells();
        let (stop, count) = (AtomicBool::new(false), shells.len());
        let answered: Vec<AtomicU64> = (0..=count).map(|_| AtomicU64::new(0)).collect();
        let step = count as u64;
        std::thread::scope(|scope| {
            let callers = answered.iter().enumerate().take(count).map(|(node, answered)| {
                let first = node as u64 + 1;
                let (shells, stop) = (&shells[..], &stop);
                let caller = Caller { shells, node, first, step, stop, answered };
                scope.spawn(move || caller.run(note))
            });
            let callers: Vec<_> = callers.collect();
            let (node, answered_writes) = ((leader + 1) % count, &answered[count]);
            let (shells, stop_writes) = (&shells[..], &stop);
            let writer = scope.spawn(move || {
                let (stop, answered) = (stop_writes, answered_writes);
                let writer = Caller { shells, node, first: 1, step: 1, stop, answered };
                writer.run(|shell, number| write_round(shell, agent, number))
            });
            let killed = self.kill_amid(leader, &answered);
            stop.store(true, Ordering::SeqCst);
            let mut calls = Got::nothing();
            for caller in callers {
                calls = calls.and(caller.join().map_err(|_| anyhow!("a caller panicked"))?);
            }
            let writes = writer.join().map_err(|_| anyhow!("the writer panicked"))?;
            killed.map(|()| (calls, writes))
        })
    }

    fn kill_amid(&self, leader: usize, answered: &[AtomicU64]) -> Result<()> {
        let counts = || answered.iter().map(|count| count.load(Ordering::SeqCst));
        let wait_for_more = |what: &str| {
            let before: Vec<u64> = counts().collect();
            let more = || counts().zip(&before).all(|(now, before)| now >= before + ANSWERS);
            self.shell.wait(what, self.cleanup, || Ok(more().then_some(())))
        };
        wait_for_more("answers before the kill")?;
        self.members.kill(leader)?;
        wait_for_more("answers after the kill")
    }

    /// Each write that was answered is in the past, as it was made.
    fn check_writes(&self, writes: &Got<u64>) -> Result<()> {
        refuse_failed(writes)?;
        for (round, revision) in &writes.answers {
            let at = revision.to_string();
            let get =
                ["agent", "get", "hello", "--at", &at, "-o", "jsonpath=.metadata.labels.round"];
            let label = self.shell.ask(&get)?;
            if label.trim() != round.to_string() {
                bail!("round {round} was written at revision {revision}: there is {label:?}");
            }
        }
        let (count, repeated) = (writes.answers.len(), writes.repeated.len());
        let wait = writes.wait.as_secs_f64();
        println!(
            "  … {count} writes, {repeated} sent again, one waited {wait:.1} s: each is at its revision"
        );
        Ok(())
    }

    fn kept(&self) -> Result<Kept> {
        let mut names = BTreeSet::new();
        for kind in KINDS {
            names.extend(self.shell.ask(&[kind, "list", "-o", "name"])?.lines().map(str::to_owned));
        }
        let first = ["event", "tail", "--from", "0", "--limit", "200", "-o", "jsonl"];
        let events = self.shell.ask(&first)?.lines().map(str::to_owned).collect();
        Ok(Kept { names, events })
    }
}

impl Kept {
    /// Fails if something is not in what a node holds now.
    fn check_in(&self, now: &Self) -> Result<()> {
        let lost: Vec<_> = self.names.difference(&now.names).cloned().collect();
        if !lost.is_empty() {
            bail!("lost in the crash: {}", lost.join(", "));
        }
        if !now.events.starts_with(&self.events) {
            bail!("the journal changed in the crash");
        }
        let (names, events) = (self.names.len(), self.events.len());
        println!("  … {names} objects and the first {events} events: all there");
        Ok(())
    }
}

/// A call of an idempotent tool.
fn note(shell: &Shell, number: u64) -> Result<()> {
    let arguments = json!({ "number": number }).to_string();
    let call = ["tool", "call", "note_number", &arguments];
    shell.ask(&[&call[..], &TIMEOUT].concat()).map(drop)
}

/// A write; gives the revision that holds it.
fn write_round(shell: &Shell, agent: &str, round: u64) -> Result<u64> {
    let label = format!("round={round}");
    let register = ["agent", "register", "hello", agent, "--label", &label];
    let print = ["-o", "jsonpath=.object.metadata.revision"];
    let answer = shell.ask(&[&register[..], &TIMEOUT, &print].concat())?;
    answer.trim().parse().with_context(|| format!("no revision: {answer:?}"))
}

/// Each call that was answered left its number.
fn check_calls(calls: &Got<()>, notes: &Path) -> Result<()> {
    refuse_failed(calls)?;
    let noted = noted(notes).with_context(|| format!("{}", notes.display()))?;
    let lost: Vec<_> = calls.answers.keys().filter(|number| !noted.contains(number)).collect();
    if !lost.is_empty() {
        bail!("answered, and not noted: {lost:?}");
    }
    let (count, repeated) = (calls.answers.len(), calls.repeated.len());
    let wait = calls.wait.as_secs_f64();
    println!(
        "  … {count} calls, {repeated} made again, one waited {wait:.1} s until its server ran elsewhere: none failed"
    );
    println!("  … {} numbers are noted: none of the answered is missing", noted.len());
    Ok(())
}

fn refuse_failed<T>(got: &Got<T>) -> Result<()> {
    match got.failed.iter().next() {
        None => Ok(()),
        Some((number, error)) => bail!("{} failed; {number}: {error:#}", got.failed.len()),
    }
}
