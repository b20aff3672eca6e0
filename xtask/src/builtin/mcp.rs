//! An MCP server over stdio with one tool: `get_current_time`.

use super::stdio::{Server, text};
use crate::{Outcome, checkout::Checkout};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) fn run(_checkout: &Checkout, _arguments: &[String]) -> Outcome {
    let call = |_: &Value| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        text(&json!({"timezone": "UTC", "datetime": utc(now)}).to_string(), false)
    };
    Server { name: "builtin-time", tool: tool(), call }.run()
}

fn tool() -> Value {
    json!({
        "name": "get_current_time",
        "description": "The current time in UTC.",
        "inputSchema": {
            "type": "object",
            "properties": {"timezone": {"type": "string", "enum": ["UTC"]}},
            "required": ["timezone"],
        },
        "annotations": {"readOnlyHint": true},
    })
}

/// Seconds since 1970 as RFC 3339. The calendar arithmetic is Howard Hinnant's `civil_from_days`.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let check = |seconds, expect: &str| assert_eq!(utc(seconds), expect);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_735_689_599, "2024-12-31T23:59:59Z");
        check(1_767_225_600, "2026-01-01T00:00:00Z");
    }
}
