//! Roles and bindings as they are asked for: names, shapes and sizes, checked without state.

use super::grants::{By, Grant};
use super::permission::Role;
use crate::id::Name;
use crate::limits::{
    BINDING_SUBJECTS_MAX, REASON_CHARS_MAX, ROLE_BYTES_MAX, ROLE_RULES_MAX, RULE_WORDS_MAX,
};
use crate::refusal::{Code, Refusal, Result, refuse};
use keiko_proto::v1 as wire;
use prost::Message as _;

/// As in [`super::wire`]: a token's id is never longer.
const TOKEN_ID_CHARS_MAX: usize = 32;

/// Refuses the name of a built-in role.
pub(super) fn check_role_name(name: &str) -> Result<()> {
    if Role::parse(name).is_some() {
        return Err(Refusal::new(Code::InvalidArgument, format!("the role {name} is built in"))
            .cause("a built-in role is never changed, and never deleted")
            .hint("declare one with another name: keikoctl role create NAME --allow PERMISSION"));
    }
    Name::parse("role's name", name).map(drop)
}

/// A role that can be kept.
pub(super) fn role(role: wire::Role) -> Result<wire::Role> {
    check_role_name(&role.name)?;
    check_description(&role.description)?;
    if role.rules.is_empty() || role.rules.len() > ROLE_RULES_MAX {
        return refuse(Code::LimitExceeded, format!("a role has 1 to {ROLE_RULES_MAX} rules"));
    }
    let by = By::Binding { binding: String::new(), role: String::new() };
    for rule in &role.rules {
        let words = rule.permissions.len().max(rule.resources.len());
        if rule.permissions.is_empty() || words > RULE_WORDS_MAX {
            return refuse(
                Code::LimitExceeded,
                format!("a rule has 1 to {RULE_WORDS_MAX} permissions, and as many resources"),
            );
        }
        Grant::of_rule(by.clone(), rule)?;
    }
    // When it was declared is the law's to say.
    let role = wire::Role { created_ms: 0, changed_ms: 0, built_in: false, ..role };
    if role.encoded_len() > ROLE_BYTES_MAX {
        return refuse(Code::LimitExceeded, format!("a role has at most {ROLE_BYTES_MAX} bytes"));
    }
    Ok(role)
}

/// A binding that can be kept. Whether its role is there, and may be handed on, is asked of the
/// state.
pub(super) fn binding(binding: wire::Binding, unix_ms: u64) -> Result<wire::Binding> {
    Name::parse("binding's name", &binding.name)?;
    let role = Role::parse(&binding.role);
    match role {
        Some(Role::Agent | Role::Guest | Role::Node) => {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!("the role {} is not handed out by a binding", binding.role),
            )
            .hint("bind admin, operator, viewer, or a declared role"));
        }
        Some(Role::Admin | Role::Operator | Role::Viewer) => {}
        None => drop(Name::parse("role's name", &binding.role)?),
    }
    if !binding.namespace.is_empty() {
        Name::parse("namespace", &binding.namespace)?;
    }
    if binding.expires_ms != 0 && binding.expires_ms <= unix_ms {
        return Err(Refusal::new(Code::InvalidArgument, "the binding ended before it began")
            .cause(format!("it ends at {} ms, it is {unix_ms} ms", binding.expires_ms)));
    }
    let mut subjects = binding.subjects.clone();
    subjects.sort();
    subjects.dedup();
    if subjects.is_empty() || subjects.len() > BINDING_SUBJECTS_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("a binding has 1 to {BINDING_SUBJECTS_MAX} subjects"),
        );
    }
    for subject in &subjects {
        check_subject(subject)?;
        let bearer = subject.starts_with("token/");
        if bearer && role.is_some_and(|role| !role.fits_bearer()) {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!("no bearer token has the role {}", binding.role),
            )
            .cause("what is shown at each call is lost sooner")
            .hint("declare a role with what it needs: keikoctl role create"));
        }
    }
    Ok(wire::Binding { subjects, created_ms: 0, changed_ms: 0, set_by: None, ..binding })
}

/// Refuses what no binding can name.
pub fn check_subject(subject: &str) -> Result<()> {
    let parts: Vec<&str> = subject.split('/').collect();
    match parts[..] {
        ["person", name] => Name::parse("person's name", name).map(drop),
        ["agent", namespace, name] => {
            Name::parse("namespace", namespace)?;
            Name::parse("agent name", name).map(drop)
        }
        ["token", id] if is_token_id(id) => Ok(()),
        _ => Err(Refusal::new(Code::InvalidArgument, format!("{subject:?} is nobody"))
            .hint("as in: person/ann, agent/team-a/hello, token/ID")),
    }
}

fn is_token_id(id: &str) -> bool {
    (1..=TOKEN_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphanumeric())
}

fn check_description(text: &str) -> Result<()> {
    if text.chars().count() > REASON_CHARS_MAX || text.contains(char::is_control) {
        return refuse(
            Code::LimitExceeded,
            format!("a description is a line of at most {REASON_CHARS_MAX} characters"),
        );
    }
    Ok(())
}
