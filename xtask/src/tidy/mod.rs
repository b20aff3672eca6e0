//! `./x tidy`: the rules of the house that the compiler can't check.
//!
//! Each rule is a function of the [`Tree`] and says which file breaks it and what to write
//! instead. A rule never looks at the disk by itself, so each is tested on a tree of a few lines.

mod crates;
mod docs;
mod floors;
mod rooms;
mod sizes;
mod tree;
mod words;

use crate::{Outcome, checkout::Checkout};
use std::process::ExitCode;
use tree::Tree;

pub(crate) use rooms::{ROOM_ORDER, files as room_files};

/// One broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: String,
    /// 0 where the file as a whole is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into() }
    }
}

const RULES: &[fn(&Tree) -> Vec<Finding>] =
    &[floors::check, rooms::check, sizes::check, words::check, docs::check];

pub(crate) fn run(checkout: &Checkout, _arguments: &[String]) -> Outcome {
    let tree = Tree::read(&checkout.root)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.extend(crates::check(&crates::members(checkout)?));
    findings.sort();
    findings.dedup();
    for Finding { file, line, message } in &findings {
        let place = if *line == 0 { file.clone() } else { format!("{file}:{line}") };
        eprintln!("{place}: {message}");
    }
    if findings.is_empty() {
        println!("tidy: {} files keep the rules", tree.files.len());
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tidy: {} findings", findings.len());
    Ok(ExitCode::FAILURE)
}
