//! Who may what: declared roles, and bindings that hand them out.
//!
//! Invariants: nobody hands on what they lack, by a role, by a binding or by a token; a role that is
//! bound stays; what is built in is never redefined; what nobody granted is not allowed. Whoever
//! keeps rules compiled looks at [`changed_at`]: it moves with each of these ops, and with no other.

use super::grants::{By, Grant, Grants, Resource, built_in};
use super::model::person_name;
use super::permission::{Permission, Role};
use super::query;
use super::state::{PEOPLE, TOKENS, body, tell};
use super::uses;
use crate::house::{Emit, Emitted};
use crate::id::GroupId;
use crate::limits::{BINDINGS_MAX, ROLES_MAX};
use crate::refusal::{Code, Refusal, Result, refuse};
use crate::stamp::Stamp;
use crate::store::Store;
use crate::table::{RoomByte, Table};
use crate::txn::Txn;
use keiko_proto::v1::{
    self as wire, Actor, Binding, BindingChanged, PersonEntry, RoleChanged, Token, actor::Who,
    security_event,
};
use std::collections::BTreeSet;

pub(super) const ROLES: Table<wire::Role> = Table::new(RoomByte::Security, 4, 1);
pub(super) const BINDINGS: Table<Binding> = Table::new(RoomByte::Security, 5, 1);
/// One row: the revision of the last change of roles and bindings.
const CHANGED: Table<wire::WriteInfo> = Table::new(RoomByte::Security, 6, 1);

/// The revision of the last change of roles or bindings; zero if there was none.
pub fn changed_at(store: &dyn Store, group: GroupId) -> u64 {
    CHANGED.get(store, &CHANGED.key(group)).map_or(0, |changed| changed.revision)
}

/// A declared role.
pub fn role(store: &dyn Store, group: GroupId, name: &str) -> Option<wire::Role> {
    ROLES.get(store, &ROLES.key(group).text(name))
}

/// The declared roles, by name.
pub fn roles(store: &dyn Store, group: GroupId) -> Vec<wire::Role> {
    ROLES.scan(store, &ROLES.key(group)).map(|(_, role)| role).collect()
}

/// What a built-in role grants, as a declared one would say it.
pub fn built_in_role(role: Role) -> wire::Role {
    let all = Permission::ALL.iter().filter(|permission| role.grants(**permission));
    let permissions: Vec<String> = all.map(|permission| permission.name().to_owned()).collect();
    let resources = match role {
        Role::Agent => vec!["agent/NAMESPACE/NAME".to_owned()],
        _ => vec!["*".to_owned()],
    };
    let rules = match permissions.is_empty() {
        true => Vec::new(),
        false => vec![wire::Rule { permissions, resources }],
    };
    let description = match role {
        Role::Admin => "everything that can be done from afar",
        Role::Operator => "declares, calls and operates",
        Role::Viewer => "looks",
        Role::Agent => "keeps one agent's entry; cluster.read and lock.read are not bound to it",
        Role::Guest => "nothing but what bindings add",
        Role::Node => "becomes a member, and nothing else",
    };
    let (name, description) = (role.name().to_owned(), description.to_owned());
    wire::Role { name, rules, description, built_in: true, ..wire::Role::default() }
}

/// A binding.
pub fn binding(store: &dyn Store, group: GroupId, name: &str) -> Option<Binding> {
    BINDINGS.get(store, &BINDINGS.key(group).text(name))
}

/// The bindings, by name.
pub fn bindings(store: &dyn Store, group: GroupId) -> Vec<Binding> {
    BINDINGS.scan(store, &BINDINGS.key(group)).map(|(_, binding)| binding).collect()
}

/// True if it counts at this time.
pub fn is_live(binding: &Binding, now_ms: u64) -> bool {
    binding.expires_ms == 0 || binding.expires_ms > now_ms
}

/// Under which names bindings know a person.
pub fn subject_of_person(person: &PersonEntry) -> String {
    match person.scope.as_str() {
        "" => format!("person/{}", person.name),
        scope => scope.to_owned(),
    }
}

/// Under which names bindings know the bearer of a token; none if it can only be traded.
pub fn subjects_of_token(token: &Token) -> Vec<String> {
    if token.one_use {
        return Vec::new();
    }
    let scope = (!token.scope.is_empty()).then(|| token.scope.clone());
    std::iter::once(format!("token/{}", token.id)).chain(scope).collect()
}

/// Under which names bindings know an actor: empty for a socket, and for who is not known.
pub fn subjects_of(store: &dyn Store, group: GroupId, actor: &Actor) -> Vec<String> {
    match &actor.who {
        Some(Who::Token(bearer)) => {
            query::token(store, group, &bearer.id).as_ref().map(subjects_of_token)
        }
        Some(Who::Person(person)) => {
            let known = query::person(store, group, &person.name);
            known.as_ref().map(|person| vec![subject_of_person(person)])
        }
        Some(Who::Socket(_) | Who::Node(_)) | None => None,
    }
    .unwrap_or_default()
}

/// What bindings hand to any of these at this time, and when the first of it ends: zero if nothing
/// does.
pub fn bound(store: &dyn Store, group: GroupId, subjects: &[String], now_ms: u64) -> (Grants, u64) {
    bound_by(store, group, &bindings(store, group), subjects, now_ms)
}

fn bound_by(
    store: &dyn Store,
    group: GroupId,
    bindings: &[Binding],
    subjects: &[String],
    now_ms: u64,
) -> (Grants, u64) {
    let (mut grants, mut until_ms) = (Vec::new(), 0);
    for binding in bindings {
        let names = |subject: &String| subjects.contains(subject);
        if !is_live(binding, now_ms) || !binding.subjects.iter().any(names) {
            continue;
        }
        until_ms = match (until_ms, binding.expires_ms) {
            (until_ms, 0) => until_ms,
            (0, expires_ms) => expires_ms,
            (until_ms, expires_ms) => until_ms.min(expires_ms),
        };
        grants.extend(handed(store, group, binding));
    }
    (Grants(grants), until_ms)
}

/// What a binding hands out.
fn handed(store: &dyn Store, group: GroupId, binding: &Binding) -> Vec<Grant> {
    let by = By::Binding { binding: binding.name.clone(), role: binding.role.clone() };
    let grants = match Role::parse(&binding.role) {
        Some(role) => built_in(role, "", &by),
        None => {
            let role = role(store, group, &binding.role).unwrap_or_default();
            role.rules.iter().filter_map(|rule| Grant::of_rule(by.clone(), rule).ok()).collect()
        }
    };
    grants.into_iter().map(|grant| grant.within(&binding.namespace)).collect()
}

/// Everything that an actor holds at this time.
pub fn holds(store: &dyn Store, group: GroupId, actor: &Actor, now_ms: u64) -> Grants {
    holds_by(store, group, &bindings(store, group), actor, now_ms)
}

/// The same, by these bindings: who asks about everybody reads them once.
pub fn holds_by(
    store: &dyn Store,
    group: GroupId,
    bindings: &[Binding],
    actor: &Actor,
    now_ms: u64,
) -> Grants {
    let own = match &actor.who {
        Some(Who::Socket(_)) => vec![Grant::everything(By::Socket)],
        Some(Who::Token(bearer)) => {
            query::token(store, group, &bearer.id).map(of_token).unwrap_or_default()
        }
        Some(Who::Person(person)) => {
            query::person(store, group, &person.name).map(of_person).unwrap_or_default()
        }
        // A daemon declares nothing on its own account.
        Some(Who::Node(_)) | None => Vec::new(),
    };
    let subjects = subjects_of(store, group, actor);
    let (bound, _) = bound_by(store, group, bindings, &subjects, now_ms);
    Grants(own.into_iter().chain(bound.0).collect())
}

fn of_person(person: PersonEntry) -> Vec<Grant> {
    let role = Role::parse(&person.role).filter(|role| *role != Role::Node);
    let grants = |role: Role| built_in(role, &person.scope, &By::BuiltIn(role.name()));
    role.map(grants).unwrap_or_default()
}

fn of_token(token: Token) -> Vec<Grant> {
    let role = Role::parse(&token.role).filter(|role| !token.one_use && role.fits_bearer());
    let grants = |role: Role| built_in(role, &token.scope, &By::BuiltIn(role.name()));
    role.map(grants).unwrap_or_default()
}

/// Whether something is allowed, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// True if a grant allows it.
    pub allowed: bool,
    /// Which one does.
    pub by: Option<By>,
}

/// Whether an actor may do this to that.
pub fn allowed(
    store: &dyn Store,
    group: GroupId,
    actor: &Actor,
    (permission, resource): (Permission, &Resource<'_>),
    now_ms: u64,
) -> Decision {
    let by = match (&actor.who, permission.is_bindable()) {
        // Only there a cluster is founded.
        (Some(Who::Socket(_)), false) => Some(By::Socket),
        _ => holds(store, group, actor, now_ms).find(permission, resource).cloned(),
    };
    Decision { allowed: by.is_some(), by }
}

/// Refuses to hand on what the one who asks does not hold.
fn check_handed(txn: &Txn<'_>, stamp: &Stamp, handed: &Grants, what: &str) -> Result<()> {
    check_held(txn, stamp, &stamp.actor, handed, what)
        .map_err(|refusal| refusal.hint("ask somebody who holds it: keikoctl can-i"))
}

fn check_held(
    txn: &Txn<'_>,
    stamp: &Stamp,
    maker: &Actor,
    handed: &Grants,
    what: &str,
) -> Result<()> {
    let held = holds(txn, stamp.group, maker, stamp.unix_ms);
    let Some((permission, pattern)) = held.missing(handed) else { return Ok(()) };
    Err(Refusal::new(
        Code::PermissionDenied,
        format!("{what} would grant more than its maker holds"),
    )
    .cause(format!("its maker does not hold {permission} on {pattern}")))
}

/// Refuses a token that would make its bearer more than its maker is: by its role, or because
/// bindings know whom it names.
pub(super) fn check_token(txn: &Txn<'_>, stamp: &Stamp, token: &Token) -> Result<()> {
    check_handed(txn, stamp, &handed_by_token(txn, stamp, token), "this token")
}

/// The same where it is traded, up to 90 days later: its maker may be out by now, and whom it names
/// may have been bound since to what the maker never held.
pub(super) fn check_traded(txn: &Txn<'_>, stamp: &Stamp, token: &Token) -> Result<()> {
    // What says nobody is from before roles could be declared: an admin made it.
    let Some(maker) = &token.made_by else { return Ok(()) };
    check_held(txn, stamp, maker, &handed_by_token(txn, stamp, token), "this token").map_err(
        |refusal| {
            refusal.hint("somebody who holds it makes a new one: keikoctl cluster token create")
        },
    )
}

fn handed_by_token(txn: &Txn<'_>, stamp: &Stamp, token: &Token) -> Grants {
    let by = By::BuiltIn("");
    let own = match Role::parse(&token.role) {
        // A node that votes holds the keys.
        Some(Role::Node) => vec![Grant::everything(by)],
        Some(role) => built_in(role, &token.scope, &by),
        None => Vec::new(),
    };
    let subject = match (token.scope.as_str(), token.one_use) {
        ("", true) => Some(format!("person/{}", person_name(token))),
        // Who shows it is known by its id, which nobody knew before.
        ("", false) => None,
        (scope, _) => Some(scope.to_owned()),
    };
    let subjects: Vec<String> = subject.into_iter().collect();
    let (bound, _) = bound(txn, stamp.group, &subjects, stamp.unix_ms);
    // Whoever trades it takes the place of who has the name: events could not tell them apart.
    let known = query::person(txn, stamp.group, &person_name(token));
    let known = known.filter(|_| token.one_use).map(of_person).unwrap_or_default();
    Grants(own.into_iter().chain(known).chain(bound.0).collect())
}

pub(super) fn set_role(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    role: wire::Role,
    emit: Emit<'_>,
) -> Result<wire::Role> {
    let by = By::Binding { binding: String::new(), role: role.name.clone() };
    let rules: Result<Vec<Grant>> =
        role.rules.iter().map(|rule| Grant::of_rule(by.clone(), rule)).collect();
    check_handed(txn, stamp, &Grants(rules?), &format!("the role {}", role.name))?;
    let known = self::role(txn, stamp.group, &role.name);
    if known.is_none() && roles(txn, stamp.group).len() >= ROLES_MAX {
        return refuse(Code::LimitExceeded, format!("there are {ROLES_MAX} declared roles"));
    }
    let (created_ms, changed_ms) = match &known {
        Some(known) => (known.created_ms, known.changed_ms),
        None => (stamp.unix_ms, stamp.unix_ms),
    };
    let role = wire::Role { created_ms, changed_ms, built_in: false, ..role };
    if known.as_ref() == Some(&role) {
        return Ok(role);
    }
    let role = wire::Role { changed_ms: stamp.unix_ms, ..role };
    ROLES.put(txn, ROLES.key(stamp.group).text(&role.name), &role);
    changed(txn, stamp);
    tell_role(&role, "set", security_event::Event::RoleSet, emit);
    Ok(role)
}

pub(super) fn delete_role(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    name: &str,
    emit: Emit<'_>,
) -> Result<wire::Role> {
    let Some(role) = role(txn, stamp.group, name) else {
        return refuse(Code::NotFound, format!("no declared role {name:?}"));
    };
    let all = bindings(txn, stamp.group);
    let users: Vec<&str> =
        all.iter().filter(|binding| binding.role == name).map(|binding| &*binding.name).collect();
    if let Some(first) = users.first() {
        return Err(Refusal::new(Code::InUse, format!("the role {name} is bound"))
            .cause(format!("bindings that name it: {}", users.join(", ")))
            .hint(format!("keikoctl binding delete {first}")));
    }
    ROLES.delete(txn, ROLES.key(stamp.group).text(name));
    changed(txn, stamp);
    tell_role(&role, "deleted", security_event::Event::RoleDeleted, emit);
    Ok(role)
}

pub(super) fn set_binding(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    binding: Binding,
    emit: Emit<'_>,
) -> Result<Binding> {
    if Role::parse(&binding.role).is_none() && role(txn, stamp.group, &binding.role).is_none() {
        return Err(Refusal::new(Code::NotFound, format!("no role {:?}", binding.role))
            .hint("keikoctl role list"));
    }
    let handed = Grants(handed(txn, stamp.group, &binding));
    check_handed(txn, stamp, &handed, &format!("the binding {}", binding.name))?;
    let known = self::binding(txn, stamp.group, &binding.name);
    if known.is_none() && bindings(txn, stamp.group).len() >= BINDINGS_MAX {
        return Err(Refusal::new(
            Code::LimitExceeded,
            format!("there are {BINDINGS_MAX} bindings"),
        )
        .hint("one binding names up to 64 subjects; expired ones can be deleted"));
    }
    let set_by = Some(stamp.actor.clone());
    let (created_ms, changed_ms, was_by) = match known.clone() {
        Some(known) => (known.created_ms, known.changed_ms, known.set_by),
        None => (stamp.unix_ms, stamp.unix_ms, set_by.clone()),
    };
    let binding = Binding { created_ms, changed_ms, set_by: was_by, ..binding };
    if known.as_ref() == Some(&binding) {
        return Ok(binding);
    }
    let binding = Binding { changed_ms: stamp.unix_ms, set_by, ..binding };
    put_binding(txn, stamp, &binding, emit);
    Ok(binding)
}

pub(super) fn delete_binding(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    name: &str,
    emit: Emit<'_>,
) -> Result<Binding> {
    let Some(binding) = binding(txn, stamp.group, name) else {
        return refuse(Code::NotFound, format!("no binding {name:?}"));
    };
    drop_binding(txn, stamp, &binding, emit);
    Ok(binding)
}

/// Takes somebody out, with every way back in: bindings, and tokens that were not traded.
pub(super) fn remove_person(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    name: &str,
    emit: Emit<'_>,
) -> Result<PersonEntry> {
    let Some(person) = query::person(txn, stamp.group, name) else {
        return Err(Refusal::new(Code::NotFound, format!("nobody is known as {name:?}"))
            .hint("keikoctl person list"));
    };
    PEOPLE.delete(txn, PEOPLE.key(stamp.group).text(name));
    uses::forget(txn, stamp, &format!("person/{name}"));
    let waits = |token: &Token| token.one_use && token.used_ms == 0 && person_name(token) == name;
    for token in query::tokens(txn, stamp.group).iter().filter(|token| waits(token)) {
        TOKENS.delete(txn, TOKENS.key(stamp.group).text(&token.id));
        tell(token, "revoked", security_event::Event::TokenRevoked, emit);
    }
    forget_subjects(txn, stamp, &[subject_of_person(&person)].into(), emit);
    emit(Emitted {
        kind: "keiko.security.person.removed".to_owned(),
        subject: format!("person/{name}"),
        body: body(security_event::Event::PersonRemoved(person.clone())),
    });
    Ok(person)
}

/// Takes names out of every binding; whoever gets one next does not get what it had.
pub(super) fn forget_subjects(
    txn: &mut Txn<'_>,
    stamp: &Stamp,
    gone: &BTreeSet<String>,
    emit: Emit<'_>,
) {
    for binding in bindings(txn, stamp.group) {
        let stay = binding.subjects.iter().filter(|subject| !gone.contains(*subject));
        let subjects: Vec<String> = stay.cloned().collect();
        if subjects.len() == binding.subjects.len() {
            continue;
        }
        if subjects.is_empty() {
            drop_binding(txn, stamp, &binding, emit);
        } else {
            let binding = Binding { subjects, changed_ms: stamp.unix_ms, ..binding };
            put_binding(txn, stamp, &binding, emit);
        }
    }
}

fn put_binding(txn: &mut Txn<'_>, stamp: &Stamp, binding: &Binding, emit: Emit<'_>) {
    BINDINGS.put(txn, BINDINGS.key(stamp.group).text(&binding.name), binding);
    changed(txn, stamp);
    tell_binding(binding, "set", security_event::Event::BindingSet, emit);
}

fn drop_binding(txn: &mut Txn<'_>, stamp: &Stamp, binding: &Binding, emit: Emit<'_>) {
    BINDINGS.delete(txn, BINDINGS.key(stamp.group).text(&binding.name));
    changed(txn, stamp);
    tell_binding(binding, "deleted", security_event::Event::BindingDeleted, emit);
}

fn changed(txn: &mut Txn<'_>, stamp: &Stamp) {
    let at = wire::WriteInfo { revision: stamp.revision, unix_ms: stamp.unix_ms };
    CHANGED.put(txn, CHANGED.key(stamp.group), &at);
}

fn tell_role(
    role: &wire::Role,
    verb: &str,
    event: fn(RoleChanged) -> security_event::Event,
    emit: Emit<'_>,
) {
    emit(Emitted {
        kind: format!("keiko.security.role.{verb}"),
        subject: format!("role/{}", role.name),
        body: body(event(RoleChanged { role: Some(role.clone()) })),
    });
}

fn tell_binding(
    binding: &Binding,
    verb: &str,
    event: fn(BindingChanged) -> security_event::Event,
    emit: Emit<'_>,
) {
    emit(Emitted {
        kind: format!("keiko.security.binding.{verb}"),
        subject: format!("binding/{}", binding.name),
        body: body(event(BindingChanged { binding: Some(binding.clone()) })),
    });
}

#[cfg(test)]
#[path = "roles_tests.rs"]
mod tests;
