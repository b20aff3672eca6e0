//! `./x peer NAME`: one real peer in the foreground, for trying things by hand.

use crate::{Outcome, checkout::Checkout, peers};
use anyhow::{Context, bail};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where the tour expects the hello agent.
const HELLO_PORT: u16 = 41299;

pub(crate) fn run(checkout: &Checkout, arguments: &[String]) -> Outcome {
    let (name, port) = parse(arguments)?;
    peers::ensure(checkout)?;
    let bin = checkout.peers().join("bin");
    let mut command;
    match name {
        "hello" => {
            command = Command::new(bin.join("hello-agent"));
            command.args(["--port", &port.unwrap_or(HELLO_PORT).to_string()]);
        }
        "mcp-http" => {
            command = Command::new(bin.join("mcp-http"));
            command.arg(port.unwrap_or(0).to_string());
        }
        "everything" => {
            command = Command::new(bin.join("mcp-server-everything"));
            match port {
                Some(port) => command.arg("streamableHttp").env("PORT", port.to_string()),
                None => command.arg("stdio"),
            };
        }
        "time" => {
            command = Command::new(bin.join("mcp-server-time"));
            command.args(["--local-timezone", "UTC"]);
        }
        _ => bail!("no peer {name:?}; there are hello, everything, mcp-http and time"),
    }
    Err(command.exec()).context("can't start the peer")
}

fn parse(arguments: &[String]) -> anyhow::Result<(&str, Option<u16>)> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (name, port) = match words[..] {
        [name] => (name, None),
        [name, "--port", port] => (name, Some(port)),
        _ => bail!("usage: ./x peer NAME [--port N]"),
    };
    let port = port.map(str::parse).transpose().context("--port takes a number up to 65535")?;
    Ok((name, port))
}
