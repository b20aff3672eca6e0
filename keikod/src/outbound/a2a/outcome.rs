//! What an agent answered, whichever version it speaks.

use serde_json::Value;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentOutcome {
    /// All text of the answer, parts separated by line breaks.
    pub text: String,
    /// `completed`, `failed`, `canceled`, `rejected`, `input-required`, `auth-required`; nothing if
    /// the agent answered with a message instead of a task.
    pub task_state: Option<String>,
    /// The message or task itself.
    pub raw: Value,
    /// The task ended badly.
    pub failed: bool,
}

/// A result that may not be the last.
pub(super) enum Progress {
    Done(AgentOutcome),
    /// The id of the task that goes on.
    Working(String),
}

/// Reads the result of a send or of a look at the task; `None` if it is neither message nor task.
pub(super) fn read(result: &Value) -> Option<Progress> {
    if let Some(task) = result.get("task").filter(|task| task.is_object()) {
        return read_task(task);
    }
    if let Some(message) = result.get("message").filter(|message| message.is_object()) {
        return Some(Progress::Done(of_message(message)));
    }
    match result.get("kind").and_then(Value::as_str) {
        Some("message") => Some(Progress::Done(of_message(result))),
        // A look at a task gives it bare, in both versions.
        _ if result.get("status").is_some() => read_task(result),
        _ if result.get("parts").is_some() => Some(Progress::Done(of_message(result))),
        _ => None,
    }
}

fn read_task(task: &Value) -> Option<Progress> {
    let state = state(task.pointer("/status/state")?.as_str()?);
    let over = matches!(
        state.as_str(),
        "completed" | "failed" | "canceled" | "rejected" | "input-required" | "auth-required"
    );
    if !over {
        return Some(Progress::Working(task.get("id")?.as_str()?.to_owned()));
    }
    Some(Progress::Done(AgentOutcome {
        text: task_text(task),
        failed: matches!(state.as_str(), "failed" | "canceled" | "rejected"),
        task_state: Some(state),
        raw: task.clone(),
    }))
}

/// `TASK_STATE_INPUT_REQUIRED` and `input-required` are the same.
fn state(text: &str) -> String {
    text.strip_prefix("TASK_STATE_").unwrap_or(text).to_ascii_lowercase().replace('_', "-")
}

fn of_message(message: &Value) -> AgentOutcome {
    AgentOutcome {
        text: parts_text(message),
        task_state: None,
        raw: message.clone(),
        failed: false,
    }
}

/// What the task made; if it made nothing, what it says about its end.
fn task_text(task: &Value) -> String {
    let artifacts = task.get("artifacts").and_then(Value::as_array);
    let texts: Vec<_> =
        artifacts.into_iter().flatten().map(parts_text).filter(|text| !text.is_empty()).collect();
    if !texts.is_empty() {
        return texts.join("\n");
    }
    if let Some(message) = task.pointer("/status/message") {
        return parts_text(message);
    }
    let history = task.get("history").and_then(Value::as_array);
    let is_agent =
        |message: &&Value| matches!(message["role"].as_str(), Some("agent" | "ROLE_AGENT"));
    history.into_iter().flatten().rfind(is_agent).map(parts_text).unwrap_or_default()
}

fn parts_text(holder: &Value) -> String {
    let parts = holder.get("parts").and_then(Value::as_array);
    let texts: Vec<_> = parts
        .into_iter()
        .flatten()
        .filter_map(|part| part.get("text").and_then(Value::as_str))
        .collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_versions() {
        let done = |result: Value| match read(&result) {
            Some(Progress::Done(outcome)) => (outcome.text, outcome.task_state, outcome.failed),
            Some(Progress::Working(id)) => (id, Some("…".to_owned()), false),
            None => (String::new(), None, true),
        };
        let state = |text: &str| Some(text.to_owned());
        let text = |text: &str| json!([{"text": text}]);
        for (result, expect) in [
            (json!({"message": {"parts": text("hi")}}), ("hi", None, false)),
            (
                json!({"kind": "message", "parts": [{"kind": "text", "text": "hi"}, {"data": 1}, {"text": "ho"}]}),
                ("hi\nho", None, false),
            ),
            (
                json!({"task": {"id": "t", "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": [{"parts": text("a")}, {"parts": text("b")}]}}),
                ("a\nb", state("completed"), false),
            ),
            (
                json!({"kind": "task", "id": "t", "status": {"state": "failed", "message": {"parts": text("no")}}}),
                ("no", state("failed"), true),
            ),
            (
                json!({"id": "t", "status": {"state": "TASK_STATE_INPUT_REQUIRED"}, "history": [{"role": "ROLE_AGENT", "parts": text("which?")}]}),
                ("which?", state("input-required"), false),
            ),
            (
                json!({"task": {"id": "t", "status": {"state": "TASK_STATE_WORKING"}}}),
                ("t", state("…"), false),
            ),
            (json!({"id": "t", "status": {"state": "submitted"}}), ("t", state("…"), false)),
            (json!({}), ("", None, true)),
            (json!("x"), ("", None, true)),
        ] {
            let (text, task_state, failed) = done(result.clone());
            assert_eq!((text.as_str(), task_state, failed), expect, "{result}");
        }
    }
}
