//! What a server or an agent offers is another than before: the difference, field by field.

use super::model::ObjectKey;
use crate::house::{Emit, Emitted};
use crate::limits::{OFFER_FIELD_CHARS_MAX, OFFER_PARTS_SHOWN_MAX};
use keiko_proto::v1::{
    FieldChange, Object, OfferChanged, PartChange, RegistryEvent, SkillSpec, ToolSpec, event::Body,
    object::Object as Inner, registry_event,
};

/// True once a probe found what the owner speaks: only then can a difference be news.
pub(super) fn was_seen(owner: &Object) -> bool {
    match &owner.object {
        Some(Inner::Agent(agent)) => {
            agent.spec.as_ref().is_some_and(|spec| !spec.protocol_version.is_empty())
        }
        Some(Inner::McpServer(server)) => {
            server.spec.as_ref().is_some_and(|spec| !spec.protocol_version.is_empty())
        }
        Some(Inner::Tool(_) | Inner::Skill(_)) | None => false,
    }
}

/// One part that differs.
pub(super) fn change(part: &ObjectKey, change: &str, fields: Vec<FieldChange>) -> PartChange {
    let name = part.name.split_once('.').map_or(part.name.as_str(), |(_, name)| name);
    PartChange { name: name.to_owned(), change: change.to_owned(), fields }
}

/// The fields of a part that differ.
pub(super) fn fields(before: &Object, after: &Object) -> Vec<FieldChange> {
    match (&before.object, &after.object) {
        (Some(Inner::Tool(before)), Some(Inner::Tool(after))) => {
            let fields = |spec: &Option<ToolSpec>| tool(&spec.clone().unwrap_or_default());
            differing(&fields(&before.spec), &fields(&after.spec))
        }
        (Some(Inner::Skill(before)), Some(Inner::Skill(after))) => {
            let fields = |spec: &Option<SkillSpec>| skill(&spec.clone().unwrap_or_default());
            differing(&fields(&before.spec), &fields(&after.spec))
        }
        _ => Vec::new(),
    }
}

/// Tells it, in one event of the owner.
pub(super) fn tell(owner: &ObjectKey, mut parts: Vec<PartChange>, emit: Emit<'_>) {
    for part in parts.iter_mut().skip(OFFER_PARTS_SHOWN_MAX) {
        part.fields.clear();
    }
    let changed = OfferChanged { owner: Some(owner.to_wire()), parts };
    let event = registry_event::Event::OfferChanged(changed);
    emit(Emitted {
        kind: format!("keiko.registry.{}.offer-changed", owner.kind),
        subject: owner.subject(),
        body: Body::Registry(RegistryEvent { event: Some(event) }),
    });
}

type Fields = Vec<(&'static str, String)>;

fn tool(spec: &ToolSpec) -> Fields {
    let hints = spec.hints.unwrap_or_default();
    vec![
        ("spec.title", spec.title.clone()),
        ("spec.description", spec.description.clone()),
        ("spec.inputSchema", spec.input_schema.clone()),
        ("spec.outputSchema", spec.output_schema.clone()),
        ("spec.hints.readOnly", hints.read_only.to_string()),
        ("spec.hints.idempotent", hints.idempotent.to_string()),
    ]
}

fn skill(spec: &SkillSpec) -> Fields {
    vec![
        ("spec.title", spec.title.clone()),
        ("spec.description", spec.description.clone()),
        ("spec.tags", spec.tags.join(", ")),
        ("spec.inputModes", spec.input_modes.join(", ")),
        ("spec.outputModes", spec.output_modes.join(", ")),
        ("spec.examples", spec.examples.join("\n")),
    ]
}

fn differing(before: &Fields, after: &Fields) -> Vec<FieldChange> {
    let cut = |text: &str| text.chars().take(OFFER_FIELD_CHARS_MAX).collect();
    before
        .iter()
        .zip(after)
        .filter(|(before, after)| before != after)
        .map(|((field, before), (_, after))| FieldChange {
            field: (*field).to_owned(),
            before: cut(before),
            after: cut(after),
        })
        .collect()
}
