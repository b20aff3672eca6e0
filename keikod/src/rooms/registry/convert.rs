//! From what peers say to what is declared. A peer's text is data: bounded here, escaped where it
//! is shown.

use super::link::Inventory;
use crate::outbound::a2a::{self, Binding, Card, SignatureState, Version};
use crate::outbound::mcp::{self, Session};
use crate::outbound::schema::schema_hash;
use crate::outbound::{TEXT_CHARS_MAX, cut};
use keiko_core::hash::hex;
use keiko_core::id::is_part_name;
use keiko_core::refusal::Result;
use keiko_proto::v1::{
    AgentInterface, AgentSpec, McpServerSpec, Skill, SkillSpec, Tool, ToolHints, ToolSpec,
};
use std::collections::BTreeSet;

/// Skills that are left out, as far as a message can name them.
const LEFT_OUT_SHOWN: usize = 8;

/// What a server says of itself, in the law's form.
pub(super) fn inventory(
    spec: &McpServerSpec,
    session: &Session,
    listed: &mcp::Listed,
) -> Inventory {
    let server = session.server.clone();
    let (name, title, version) = match server {
        Some(server) => (server.name, server.title.unwrap_or_default(), server.version),
        None => (spec.server_name.clone(), spec.title.clone(), spec.version.clone()),
    };
    let spec = McpServerSpec {
        protocol_version: session.protocol_version.clone(),
        server_name: cut(&name, 256),
        title: cut(&title, 256),
        version: cut(&version, 128),
        instructions: cut(session.instructions.as_deref().unwrap_or_default(), TEXT_CHARS_MAX),
        ..spec.clone()
    };
    Inventory {
        spec,
        tools: listed.tools.iter().map(declared).collect(),
        left_out: listed.left_out.count,
        reasons: listed.left_out.lines(),
    }
}

fn declared(tool: &mcp::Tool) -> Tool {
    let spec = ToolSpec {
        server: String::new(),
        tool_name: tool.name.clone(),
        title: cut(tool.title.as_deref().unwrap_or_default(), 256),
        // Cut when it was listed.
        description: tool.description.clone().unwrap_or_default(),
        input_schema: tool.input_schema.to_string(),
        output_schema: tool.output_schema.as_ref().map(ToString::to_string).unwrap_or_default(),
        schema_hash: hex(&schema_hash(&tool.input_schema)),
        hints: Some(ToolHints { read_only: tool.read_only, idempotent: tool.idempotent }),
    };
    Tool { spec: Some(spec), ..Default::default() }
}

/// What a card says, in the law's form. Refused if it has no interface that Keiko can call.
pub(super) fn agent(spec: &AgentSpec, card: &Card) -> Result<AgentSpec> {
    let preferred = card.preferred()?;
    let others = card.interfaces.iter().filter(|interface| *interface != preferred);
    let signature = match card.signature {
        SignatureState::None => "none",
        SignatureState::Unverified => "unverified",
        SignatureState::Verified { .. } => "verified",
        SignatureState::Bad => "bad",
    };
    Ok(AgentSpec {
        protocol: "a2a".to_owned(),
        protocol_version: preferred.version.as_str().to_owned(),
        title: cut(&card.name, 256),
        description: cut(&card.description, TEXT_CHARS_MAX),
        version: cut(&card.version, 128),
        interfaces: std::iter::once(preferred).chain(others).map(interface).collect(),
        card: card.raw.to_string(),
        card_url: card.url.to_string(),
        card_etag: card.etag.clone().unwrap_or_default(),
        signature: signature.to_owned(),
        ..spec.clone()
    })
}

/// The skills of a card that can be kept, how many can't, and which those are.
pub(super) fn skills(card: &Card) -> (Vec<Skill>, usize, Vec<String>) {
    let (mut kept, mut left_out, mut reasons) = (Vec::new(), 0, Vec::new());
    let mut ids = BTreeSet::new();
    for found in &card.skills {
        let why = if !is_part_name(&found.id) {
            "its id is not safe in a shell, a URL and on a screen"
        } else if ids.contains(found.id.as_str()) {
            "it is listed twice"
        } else {
            ids.insert(found.id.as_str());
            kept.push(skill(found));
            continue;
        };
        left_out += 1;
        if reasons.len() < LEFT_OUT_SHOWN {
            reasons.push(format!("{:?}: {why}", cut(&found.id, 64)));
        }
    }
    if left_out > reasons.len() {
        reasons.push(format!("and {} more", left_out - reasons.len()));
    }
    (kept, left_out, reasons)
}

fn skill(skill: &a2a::Skill) -> Skill {
    let spec = SkillSpec {
        agent: String::new(),
        skill_id: skill.id.clone(),
        title: cut(&skill.name, 256),
        description: cut(&skill.description, TEXT_CHARS_MAX),
        tags: skill.tags.clone(),
        input_modes: skill.input_modes.clone(),
        output_modes: skill.output_modes.clone(),
        examples: skill.examples.clone(),
    };
    Skill { spec: Some(spec), ..Default::default() }
}

fn interface(interface: &a2a::Interface) -> AgentInterface {
    AgentInterface {
        url: interface.url.clone(),
        binding: interface.binding.as_str().to_owned(),
        protocol_version: interface.version.as_str().to_owned(),
        tenant: interface.tenant.clone().unwrap_or_default(),
    }
}

/// The interface that calls use; the first that is kept.
pub(super) fn callable(spec: &AgentSpec) -> Option<a2a::Interface> {
    let interface = spec.interfaces.first()?;
    let binding = match interface.binding.as_str() {
        "JSONRPC" => Binding::JsonRpc,
        "HTTP+JSON" => Binding::HttpJson,
        other => Binding::Other(other.to_owned()),
    };
    let version = match interface.protocol_version.as_str() {
        "1.0" => Version::V1,
        "0.3" => Version::V03,
        other => Version::Other(other.to_owned()),
    };
    let tenant = (!interface.tenant.is_empty()).then(|| interface.tenant.clone());
    Some(a2a::Interface { url: interface.url.clone(), binding, version, tenant })
}
