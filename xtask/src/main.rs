//! The house's own tools. `./x` alone lists them; each verb is one file.
//!
//! This crate depends on no other crate of the workspace and never on RocksDB: it must build in
//! seconds on a fresh machine, because it is what builds everything else.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to its caller")]

mod bench;
mod builtin;
mod cargo;
mod checkout;
mod cluster;
mod demo;
mod env;
mod gen_files;
mod interrupt;
mod peer;
mod peers;
mod process;
mod room;
mod test;
mod tidy;
mod torture;

use checkout::Checkout;
use std::process::ExitCode;

/// What every verb gives back: it did its work, or it found something wrong and said so, or it
/// could not work at all.
type Outcome = anyhow::Result<ExitCode>;

struct Verb {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&Checkout, &[String]) -> Outcome,
}

const VERBS: &[Verb] = &[
    Verb {
        name: "demo",
        arguments: "",
        about: "three throw-away nodes, real MCP servers and an A2A agent: find, call, kill -9, watch it heal",
        run: demo::run,
    },
    Verb {
        name: "cluster",
        arguments: "[N]",
        about: "N throw-away nodes that are one cluster (3 if you say nothing), until Ctrl-C",
        run: cluster::run,
    },
    Verb {
        name: "test",
        arguments: "[--full] [--seed S] [NAMES…]",
        about: "what CI runs: fmt, tidy, clippy, generated files, all tests (with NAMES: only these tests)",
        run: test::run,
    },
    Verb {
        name: "bench",
        arguments: "registry|node|cluster …",
        about: "measures throw-away nodes under load: [--json] [--seconds N] [--agents N] [PARTS…]",
        run: bench::run,
    },
    Verb {
        name: "torture",
        arguments: "[--kills N] [--seed S] [--nodes 3|5]",
        about: "real clusters under load, killed, paused and cut off; what was acknowledged must be there",
        run: torture::run,
    },
    Verb {
        name: "tidy",
        arguments: "",
        about: "the rules of the house: floors, rooms, sizes, links, codes",
        run: tidy::run,
    },
    Verb {
        name: "gen",
        arguments: "[--check]",
        about: "writes completions/, man/ and docs/reference (--check: only compares)",
        run: gen_files::run,
    },
    Verb {
        name: "peers",
        arguments: "",
        about: "installs the real peers of the tests beside the build, from pinned lock files",
        run: peers::run,
    },
    Verb {
        name: "peer",
        arguments: "NAME [--port N]",
        about: "runs one peer in the foreground: hello (A2A, 41299), everything, mcp-http, time",
        run: peer::run,
    },
    Verb {
        name: "env",
        arguments: "",
        about: "prints what puts keikod, keikoctl and the peers on PATH: eval \"$(./x env)\"",
        run: env::run,
    },
    Verb {
        name: "cargo",
        arguments: "ARGS…",
        about: "any cargo command, with the folder and the profile that all verbs share",
        run: cargo::run,
    },
    Verb {
        name: "room",
        arguments: "NAME",
        about: "scaffolds a room on every floor and prints the edits that connect it",
        run: room::run,
    },
];

/// Run by the demo, never by hand.
const HIDDEN: &[Verb] = &[
    Verb { name: "builtin-mcp", arguments: "", about: "", run: builtin::mcp::run },
    Verb { name: "builtin-agent", arguments: "", about: "", run: builtin::agent::run },
    Verb { name: "builtin-notes", arguments: "", about: "", run: builtin::notes::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        list();
        return ExitCode::SUCCESS;
    };
    if matches!(name.as_str(), "help" | "-h" | "--help") {
        list();
        return ExitCode::SUCCESS;
    }
    let Some(verb) = VERBS.iter().chain(HIDDEN).find(|verb| verb.name == name) else {
        eprintln!("x: there is no verb {name:?}; these are:\n");
        list();
        return ExitCode::from(2);
    };
    let outcome = Checkout::find().and_then(|checkout| (verb.run)(&checkout, rest));
    outcome.unwrap_or_else(|error| {
        eprintln!("x {name}: {error:#}");
        ExitCode::FAILURE
    })
}

fn list() {
    for verb in VERBS {
        println!("./x {:<35} {}", format!("{} {}", verb.name, verb.arguments), verb.about);
    }
}
