//! Maintenance windows: what is expected to be down, from when to when.

use super::query;
use super::state::{WINDOWS, tell};
use crate::house::Emit;
use crate::id::Name;
use crate::limits::{REASON_CHARS_MAX, WINDOW_KEPT_MS, WINDOW_MS_MAX, WINDOWS_MAX};
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::txn::Txn;
use keiko_proto::v1::MaintenanceWindow;
use keiko_proto::v1::coordination_event::Event;

/// What a window may be about.
const KINDS: [&str; 3] = ["node", "agent", "mcp"];

/// True if what a scope names is `subject` or holds it: `agent/default` holds
/// `agent/default/hello`, and `*` everything.
pub(super) fn covers(scope: &str, subject: &str) -> bool {
    let rest = subject.strip_prefix(scope);
    scope == "*" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn check(window: &MaintenanceWindow, unix_ms: u64) -> Result<()> {
    Name::parse("window", &window.name)?;
    check_scope(&window.scope)?;
    if window.reason.chars().count() > REASON_CHARS_MAX || window.reason.contains(char::is_control)
    {
        return refuse(
            Code::InvalidArgument,
            format!("a reason has at most {REASON_CHARS_MAX} characters on one line"),
        );
    }
    let starts_ms = starts(window, unix_ms);
    if window.ends_ms <= starts_ms || window.ends_ms <= unix_ms {
        return refuse(
            Code::InvalidArgument,
            "a maintenance window ends after it starts, and after now",
        );
    }
    if window.ends_ms - starts_ms > WINDOW_MS_MAX {
        return Err(Refusal::new(
            Code::LimitExceeded,
            "a maintenance window lasts at most 90 days",
        )
        .hint("what is down for longer is removed: keikoctl node remove"));
    }
    Ok(())
}

/// Without a start it starts now.
fn starts(window: &MaintenanceWindow, unix_ms: u64) -> u64 {
    if window.starts_ms == 0 { unix_ms } else { window.starts_ms }
}

fn check_scope(scope: &str) -> Result<()> {
    let mut parts = scope.split('/');
    let kind = parts.next().unwrap_or_default();
    let names: Vec<_> = parts.collect();
    let fits = match kind {
        "*" => names.is_empty(),
        "node" => names.len() == 1,
        kind => KINDS.contains(&kind) && (1..=2).contains(&names.len()),
    };
    if !fits {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("{scope:?} is not the scope of a maintenance window"),
        )
        .hint("one of *, node/NAME, agent/NAMESPACE[/NAME], mcp/NAMESPACE[/NAME]"));
    }
    names.into_iter().try_for_each(|name| Name::parse("scope", name).map(drop))
}

/// In place of one with the same name.
pub(super) fn declare(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    window: MaintenanceWindow,
    emit: Emit<'_>,
) -> Result<MaintenanceWindow> {
    let before = query::window(txn, stamp.group, &window.name);
    let all = query::windows(txn, stamp.group);
    if before.is_none() && all.len() >= WINDOWS_MAX {
        let forgotten = |window: &MaintenanceWindow| {
            window.ends_ms.saturating_add(WINDOW_KEPT_MS) <= stamp.unix_ms
        };
        let (old, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(forgotten);
        if kept.len() >= WINDOWS_MAX {
            return Err(Refusal::new(
                Code::LimitExceeded,
                format!("there are {WINDOWS_MAX} maintenance windows"),
            )
            .hint("delete those that are over"));
        }
        for window in old {
            remove(txn, stamp, window, emit);
        }
    }
    let window = MaintenanceWindow {
        starts_ms: starts(&window, stamp.unix_ms),
        created_by: Some(stamp.actor.clone()),
        created_ms: stamp.unix_ms,
        ..window
    };
    WINDOWS.put(txn, WINDOWS.key(stamp.group).text(&window.name), &window);
    tell("window.declared", subject(&window), Event::WindowDeclared(window.clone()), emit);
    Ok(window)
}

pub(super) fn delete(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    name: &Name,
    emit: Emit<'_>,
) -> Result<MaintenanceWindow> {
    let Some(window) = query::window(txn, stamp.group, name.as_str()) else {
        return refuse(Code::NotFound, format!("no maintenance window is called {name}"));
    };
    remove(txn, stamp, window.clone(), emit);
    Ok(window)
}

fn remove(txn: &mut Txn<'_>, stamp: &Stamp, window: MaintenanceWindow, emit: Emit<'_>) {
    WINDOWS.delete(txn, WINDOWS.key(stamp.group).text(&window.name));
    tell("window.deleted", subject(&window), Event::WindowDeleted(window), emit);
}

fn subject(window: &MaintenanceWindow) -> String {
    format!("window/{}", window.name)
}
