//! Several daemons that are one cluster, and what can be done to them from outside.
//!
//! ```text
//! mod.rs     a cluster: start, kill, pause, restart      (you are here)
//! view.rs    what one node says of all                   cuts.rs    who does not hear whom
//! inside.rs  what a daemon under test does to itself     shared.rs  the cluster that cases share
//! ```
//!
//! The nodes are `n1`, `n2` …, here by their numbers from 0. Invariants: every wait ends; a process
//! is ended by its id, and only if it was started here; one that is paused goes with this process,
//! too. Never: asks a paused node for anything.

mod cuts;
pub mod inside;
mod shared;
mod view;

pub use cuts::Cuts;
pub use shared::{Turn, shared_cluster};
pub use view::{Member, View};

use crate::network::Network;
use crate::node::{Node, Plan};
use crate::wait::{DEADLINE, eventually, expect, within};
use crate::{full, http};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Kills a paused process when this one is gone: stopped, it hears nothing by itself.
const GUARD: &str = r#"read -r word; [ "$word" = done ] || kill -9 "$1""#;

/// A cluster of processes of this machine.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    /// Who does not hear whom.
    pub cuts: Cuts,
    /// What guards each paused node.
    paused: BTreeMap<usize, Child>,
}

impl Cluster {
    /// So many voters that are ready.
    #[track_caller]
    pub fn start(count: usize) -> Self {
        Self::with(count, &[])
    }

    /// The same with further variables in their environment.
    #[track_caller]
    pub fn with(count: usize, env: &[(&str, &str)]) -> Self {
        Self::placed(count, env, |_, _| {})
    }

    /// One voter on each host of a network.
    #[track_caller]
    pub fn across(network: &Network) -> Self {
        Self::placed(network.count(), &[], |number, plan| network.place(number, plan))
    }

    #[track_caller]
    fn placed(count: usize, env: &[(&str, &str)], place: impl Fn(usize, &mut Plan)) -> Self {
        let cuts = Cuts::new();
        let mut own = vec![(inside::CUT_FILE.to_owned(), cuts.path().display().to_string())];
        own.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut plan = Plan { env: own, ..Plan::default() };
        place(0, &mut plan);
        let founder = Node::start(plan);
        let mut cluster = Self { nodes: vec![founder], cuts, paused: BTreeMap::new() };
        for number in 1..count {
            let mut node = cluster.newcomer(&name(number));
            place(number, &mut node.plan);
            node.launch();
            cluster.nodes.push(node);
        }
        cluster.wait_whole();
        cluster
    }

    /// A node that is not started yet, with a token of its own.
    #[track_caller]
    pub fn newcomer(&self, name: &str) -> Node {
        let token = self.token("--for node");
        let mut plan = Plan::join(name, self.nodes[0].api(), &token);
        plan.env.clone_from(&self.nodes[0].plan.env);
        Node::prepare(plan)
    }

    /// A new token; `flags` say what it is for.
    #[track_caller]
    pub fn token(&self, flags: &str) -> String {
        let made = self.nodes[0].ctl.ok(&format!("cluster token create {flags} -q"));
        made.stdout.trim().to_owned()
    }

    /// How many nodes there are, running or not.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// All of them, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Every number.
    pub fn all(&self) -> std::ops::Range<usize> {
        0..self.nodes.len()
    }

    /// One of them.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// One of them, to change how it starts.
    pub fn node_mut(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    /// The sockets of all of them.
    pub fn sockets(&self) -> Vec<PathBuf> {
        self.nodes.iter().map(Node::socket).collect()
    }

    /// The others.
    pub fn others(&self, number: usize) -> Vec<usize> {
        self.all().filter(|other| *other != number).collect()
    }

    // ---- what is done to them ----

    /// A crash.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number].kill_9();
        self.release(number);
    }

    /// Starts one that ended, and waits for nothing.
    pub fn launch(&mut self, number: usize) {
        self.nodes[number].launch();
    }

    /// Starts one that ended, and waits until it is ready.
    #[track_caller]
    pub fn restart(&mut self, number: usize) {
        self.nodes[number].restart();
    }

    /// Stops a process where it stands. It keeps its connections, and answers nothing.
    pub fn pause(&mut self, number: usize) {
        let node = &self.nodes[number];
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard", &node.pid().to_string()]).stdin(Stdio::piped());
        self.paused.insert(number, guard.spawn().expect("sh starts"));
        node.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&mut self, number: usize) {
        if self.paused.contains_key(&number) {
            self.nodes[number].signal(Signal::SIGCONT);
            self.release(number);
        }
    }

    /// The guard of a process that is not paused any more ends without a kill.
    fn release(&mut self, number: usize) {
        let Some(mut guard) = self.paused.remove(&number) else { return };
        if let Some(stdin) = &mut guard.stdin {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = guard.wait();
    }

    /// True unless it was killed, ended by itself, or is paused.
    pub fn answers(&mut self, number: usize) -> bool {
        self.is_running(number) && !self.paused.contains_key(&number)
    }

    /// True unless it was killed or ended by itself.
    pub fn is_running(&mut self, number: usize) -> bool {
        self.nodes[number].is_running()
    }

    /// Nobody is cut off, paused or dead any more.
    pub fn undo(&mut self) {
        self.cuts.heal();
        for number in self.all() {
            self.resume(number);
            if !self.is_running(number) {
                self.nodes[number].forget();
                self.launch(number);
            }
        }
    }

    // ---- what they say ----

    /// What each of those that answer says.
    pub fn views(&mut self) -> Vec<(usize, View)> {
        let asked: Vec<usize> = self.all().filter(|number| self.answers(*number)).collect();
        let view = |number: usize| Some((number, View::ask(&self.nodes[number]).ok()?));
        asked.into_iter().filter_map(view).collect()
    }

    /// Who leads, in the newest term that anybody leads.
    pub fn leader(&mut self) -> Option<usize> {
        let leads = |(_, view): &(usize, View)| view.own().is_some_and(|own| own.state == "leader");
        let leaders = self.views().into_iter().filter(leads);
        leaders.max_by_key(|(_, view)| view.term).map(|(number, _)| number)
    }

    /// Waits until there is a leader that all who answer agree on.
    #[track_caller]
    pub fn wait_leader(&mut self) -> usize {
        eventually("a leader", || self.agreed_leader())
    }

    /// Waits until all who answer follow another one than this.
    #[track_caller]
    pub fn wait_leader_other_than(&mut self, number: usize) -> usize {
        eventually("another leader", || {
            let leader = self.agreed_leader()?;
            expect(leader != number, || format!("{} leads still", name(leader))).map(|()| leader)
        })
    }

    fn agreed_leader(&mut self) -> Result<usize, String> {
        let leader = self.leader().ok_or("nobody leads")?;
        let views = self.views();
        let agree = views.iter().all(|(_, view)| view.leader == name(leader));
        expect(agree, || format!("{:?}", told(&views))).map(|()| leader)
    }

    /// Those that do not lead, in order.
    #[track_caller]
    pub fn followers(&mut self) -> Vec<usize> {
        let leader = self.wait_leader();
        self.others(leader)
    }

    /// Waits until everybody is there, ready, a voter, and follows the same leader.
    #[track_caller]
    pub fn wait_whole(&mut self) {
        if let Err(last) = self.whole_within(DEADLINE) {
            panic!("the cluster is not whole within {DEADLINE:?}: {last}\n{}", self.logs());
        }
    }

    /// The same without the panic.
    pub fn whole_within(&mut self, bound: Duration) -> Result<(), String> {
        let count = self.count();
        within(bound, || {
            for number in 0..count {
                let ended = !self.is_running(number);
                expect(!ended, || format!("{} ended by itself", name(number)))?;
                let node = &self.nodes[number];
                let ready = http::get(&node.socket(), "/readyz").map_err(|e| e.to_string())?;
                expect(ready.status == 200, || format!("{}: {}", name(number), ready.text))?;
            }
            let views = self.views();
            let is_whole = |(_, view): &(usize, View)| {
                let voters = view.members.iter().filter(|member| member.role == "voter");
                view.has_quorum && view.voters == count && voters.count() == count
            };
            let all = views.len() == count && views.iter().all(is_whole);
            expect(all, || format!("{:?}", told(&views)))?;
            self.agreed_leader().map(|_| ())
        })
    }

    /// Waits until all have applied the same and have the same state; how far, and its hash.
    pub fn agree_within(&mut self, bound: Duration) -> Result<(u64, String), String> {
        within(bound, || {
            let views = self.views();
            let states: Vec<(u64, String)> =
                views.iter().filter_map(|(_, view)| view.own()).map(Member::state_of).collect();
            let first = states.first().cloned().ok_or("nobody answers")?;
            let all = states.len() == self.count() && states.iter().all(|state| *state == first);
            expect(all, || format!("{states:?}")).map(|()| first)
        })
    }

    /// The end of what each of them logged.
    pub fn logs(&self) -> String {
        const LINES: usize = 25;
        let end = |node: &Node| {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
            format!("-- {}\n{last}\n", node.plan.name)
        };
        self.nodes.iter().map(end).collect()
    }

    // ---- the end ----

    /// Ends all of them in order, and checks every record of each; what is wrong, if anything is.
    pub fn end(mut self) -> Result<(), String> {
        for number in self.all() {
            self.resume(number);
            let status = self.nodes[number].terminate();
            let log = || format!("{} ended with {status}:\n{}", name(number), self.logs());
            expect(status == 0, log)?;
        }
        for node in &self.nodes {
            let data = node.data().display().to_string();
            let verified = node.run(&["verify", "--data-dir", &data].map(str::to_owned));
            expect(verified.status == 0, || verified.to_string())?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let paused: Vec<usize> = self.paused.keys().copied().collect();
        for number in paused {
            self.resume(number);
        }
    }
}

/// What a node is called.
pub fn name(number: usize) -> String {
    format!("n{}", number + 1)
}

/// How long a node is away in the cases about that: a minute, or less where time is short.
pub fn away_time() -> Duration {
    Duration::from_secs(if full() { 60 } else { 20 })
}

fn told(views: &[(usize, View)]) -> Vec<String> {
    views.iter().map(|(number, view)| format!("{}: {view}", name(*number))).collect()
}
