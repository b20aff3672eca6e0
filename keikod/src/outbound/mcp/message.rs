//! Reading one message of a server.
//!
//! rmcp reads a message the general way: it is copied into a tree, and some twenty types are tried
//! on it one after the other, each failure with its text. That costs more than the rest of a call.
//! What a called tool answers is therefore read straight, and all else as rmcp does.

use rmcp::model::{
    CallToolResult, JsonRpcResponse, JsonRpcVersion2_0, RequestId, ServerJsonRpcMessage,
    ServerResult,
};
use serde::Deserialize;

/// The answer of a tool. With anything beside these fields it is a message of another shape.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Called {
    jsonrpc: JsonRpcVersion2_0,
    id: RequestId,
    result: CallToolResult,
}

/// One message.
pub(super) fn read(bytes: &[u8]) -> serde_json::Result<ServerJsonRpcMessage> {
    match serde_json::from_slice(bytes) {
        Ok(Called { jsonrpc, id, result }) => {
            let result = ServerResult::CallToolResult(result);
            Ok(ServerJsonRpcMessage::Response(JsonRpcResponse { jsonrpc, id, result }))
        }
        Err(_) => serde_json::from_slice(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn an_answer_is_read_as_rmcp_reads_it() {
        let text = json!([{"type": "text", "text": "hello"}]);
        for result in [
            json!({"content": text}),
            json!({"content": text, "isError": true, "_meta": {"a": 1}}),
            json!({"content": [], "structuredContent": {"sum": 3}, "resultType": "complete"}),
            json!({"content": text, "structuredContent": null}),
            json!({"tools": []}),
            json!({"resultType": "input_required", "inputRequests": {}}),
            json!({}),
        ] {
            let message = json!({"jsonrpc": "2.0", "id": 7, "result": result});
            check(&message);
        }
        check(&json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32601, "message": "no"}}));
        check(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
        check(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
        let both = json!({"jsonrpc": "2.0", "id": 7, "result": {"content": text}, "error": {}});
        check(&both);
        check(&json!({"jsonrpc": "1.0", "id": 7, "result": {"content": text}}));
    }

    fn check(message: &Value) {
        let bytes = message.to_string().into_bytes();
        let shown = |read: serde_json::Result<ServerJsonRpcMessage>| {
            read.ok().map(|message| format!("{message:?}"))
        };
        assert_eq!(shown(read(&bytes)), shown(serde_json::from_slice(&bytes)), "{message}");
    }
}
