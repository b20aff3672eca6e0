//! How a new token is shown.

use crate::print::time::rfc3339;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::CreateAgentTokenResponse;
use serde_json::{Value, json};

/// The JSON.
pub(crate) fn document(made: &CreateAgentTokenResponse) -> Value {
    let mut document = to_json("keiko.v1.CreateAgentTokenResponse", made);
    document["revision"] = json!(made.write.unwrap_or_default().revision);
    document
}

/// What is worth knowing, for people.
pub(crate) fn note(made: &CreateAgentTokenResponse) -> String {
    format!("it may touch {} until {}; it is not shown again", made.scope, rfc3339(made.expires_ms))
}
