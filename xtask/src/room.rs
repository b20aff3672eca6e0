//! `./x room NAME`: every file of a room on every floor, each saying what belongs into it, and the
//! edits that connect it. It overwrites nothing; the tidy test names what is still missing.

use crate::{Outcome, checkout::Checkout, tidy};
use anyhow::{Context, bail};
use std::fs;
use std::process::ExitCode;

pub(crate) fn run(checkout: &Checkout, arguments: &[String]) -> Outcome {
    let [room] = arguments else { bail!("usage: ./x room NAME") };
    if !is_name(room) {
        bail!("{room:?} is no name of a room: lower-case letters and _, at most 24");
    }
    let files = tidy::room_files(room);
    if let Some(taken) = files.iter().find(|file| checkout.root.join(file).exists()) {
        bail!("{taken} exists already; nothing was written");
    }
    for file in &files {
        let path = checkout.root.join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        }
        fs::write(&path, header(file, room)).with_context(|| file.clone())?;
        println!("{file}");
    }
    println!("\nConnect it with these lines; the registry room shows each in place:");
    for edit in edits(room) {
        println!("  {edit}");
    }
    if !tidy::ROOM_ORDER.contains(&room.as_str()) {
        println!(
            "  xtask/src/tidy/rooms.rs: its place in ROOM_ORDER (a room calls only rooms above it)"
        );
    }
    println!("Then ./x tidy says what is missing.");
    Ok(ExitCode::SUCCESS)
}

fn is_name(room: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    (1..=24).contains(&room.len()) && room.chars().all(plain) && !room.starts_with('_')
}

/// What a file of a room begins with.
fn header(path: &str, room: &str) -> String {
    let title = title(room);
    let file = path.rsplit('/').next().unwrap_or_default();
    if file.ends_with(".proto") {
        return format!(
            "// {title}: its ops, replies and events, and its service.\n\
             syntax = \"proto3\";\npackage keiko.v1;\n\n\
             message {title}Op {{\n}}\n\nmessage {title}Reply {{\n}}\n"
        );
    }
    if file.ends_with(".md") {
        return format!(
            "# The {room} room\n\nWhat it keeps, what it promises, and the commands that drive it.\n"
        );
    }
    let is_law = path.starts_with("core/");
    match file {
        "mod.rs" if is_law => format!(
            "//! {title}: what it keeps, its invariants, and what it never does.\n\n\
             pub mod model;\npub mod query;\npub mod state;\n#[cfg(test)]\nmod tests;\npub mod wire;\n"
        ),
        "mod.rs" if path.starts_with("keikod/") => {
            format!(
                "//! The hands of {room}.\n\npub mod driver;\npub mod metrics;\npub mod service;\n"
            )
        }
        "mod.rs" => {
            format!("//! The face of {room}.\n\npub mod args;\npub mod run;\npub mod table;\n")
        }
        _ => format!("//! {}\n", purpose(file, room)),
    }
}

fn purpose(file: &str, room: &str) -> String {
    match file {
        "model.rs" => format!("The words of {room} as types that refuse nonsense."),
        "wire.rs" => format!("Between the messages of {room} and its model."),
        "state.rs" => format!("The tables of {room}, and how each op changes them."),
        "query.rs" => format!("What can be asked of {room}; reads only."),
        "tests.rs" => format!("The law of {room}, as tables and invariants."),
        "service.rs" => format!("The gRPC service of {room}: parse, authorise, propose or query."),
        "driver.rs" => format!("The leader's loop of {room}: it proposes, it never changes."),
        "metrics.rs" => format!("What {room} counts and measures."),
        "args.rs" => format!("The command line of {room}."),
        "run.rs" => {
            format!("The verbs of {room}, for the command line and the dashboard's actions.")
        }
        _ => format!("The columns of {room}, for tables and the dashboard."),
    }
}

fn title(room: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    room.split('_').map(capital).collect()
}

fn edits(room: &str) -> [String; 5] {
    let title = title(room);
    [
        format!(
            "proto/keiko/v1/entry.proto: {title}Op {room} = …; in the oneof of Entry (and Reply)"
        ),
        format!("core/src/lib.rs: pub mod {room};"),
        format!("core/src/house.rs: an arm for {room} (the compiler names the places)"),
        format!("keikod/src/rooms/mod.rs: pub mod {room}; with its service and driver"),
        format!("keikoctl/src/rooms/mod.rs: pub mod {room}; with its nouns"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rooms() {
        let check = |name: &str, expect: bool| assert_eq!(is_name(name), expect, "{name:?}");
        check("placement", true);
        check("what_if", true);
        check("", false);
        check("_x", false);
        check("Bus", false);
        check("../x", false);
    }

    #[test]
    fn every_file_says_what_belongs_into_it() {
        for file in tidy::room_files("what_if") {
            let header = header(&file, "what_if");
            assert!(header.lines().next().is_some_and(|line| line.len() > 8), "{file}: {header}");
        }
        assert_eq!(title("what_if"), "WhatIf");
    }
}
