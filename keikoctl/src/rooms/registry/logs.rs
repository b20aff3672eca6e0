//! `mcp logs`: what a stdio server wrote to its standard error.

use super::args::LogsArgs;
use super::object::KindWord;
use crate::exit::Exit;
use crate::fault::{Outcome, Stop, usage};
use crate::print::{Format, FormatKind};
use crate::session::{QUICK, Session};
use keiko_client::Error;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{Kind, LogsRequest};

/// Runs `mcp logs`.
pub(crate) async fn run(args: LogsArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    let as_json = match &printer.format {
        Format::Plain(FormatKind::Json | FormatKind::Jsonl) => true,
        Format::Plain(FormatKind::Table | FormatKind::Wide) => false,
        _ => {
            return Err(usage("logs are text or lines of JSON")
                .hint("-o jsonl, or no -o at all")
                .into());
        }
    };
    let request = LogsRequest {
        namespace: args.namespace.one(),
        name: KindWord::of(Kind::McpServer).name(&args.name)?,
        tail: args.tail.unwrap_or(0),
        follow: args.follow,
    };
    let client = session.client(QUICK).await?;
    if args.follow {
        session.detaches();
    }
    let mut lines = client
        .open(request, |client, request| async move { client.registry().logs(request).await })
        .await?;
    let mut is_silent = true;
    while let Some(line) =
        lines.message().await.map_err(|status| Stop::from(Error::from(status)))?
    {
        is_silent = false;
        if as_json {
            printer.json_line(to_json("keiko.v1.LogLine", &line))?;
        } else {
            printer.foreign(&line.text)?;
        }
    }
    if is_silent && !as_json {
        printer.note("nothing was written to standard error");
    }
    Ok(Exit::Done)
}
