//! Who may what: asked in advance, and what nobody needs.

use super::service::Service;
use crate::net::{Identity, Permission, Resource};
use crate::store::View;
use keiko_core::id::{GroupId, Name};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_core::security::{self, By, DAY_MS, Grants, Pattern, day_of};
use keiko_core::store::Store;
use keiko_proto::v1::{
    Actor, Binding, CanIRequest, CanIResponse, Consistency, ListUnusedRequest, ListUnusedResponse,
    Person, TokenBearer, UnusedGrant, UsedPermission, actor::Who,
};
use std::collections::BTreeMap;
use tonic::Request;

const GROUP: GroupId = GroupId::CONTROL;
/// What is not used for this long is not needed, as a rule: a quarter has every routine in it.
const UNUSED_DAYS: u32 = 90;

pub(super) async fn can_i(
    service: &Service,
    request: Request<CanIRequest>,
) -> Result<CanIResponse> {
    let identity = Identity::of(&request)?.clone();
    let asked = request.into_inner();
    let (permission, pattern) = meant(&asked)?;
    let own = subject_of(&identity);
    let by = if asked.subject.is_empty() || asked.subject == own {
        identity.by(permission, &pattern.resource())
    } else {
        identity.require(Permission::SecurityRead, &Resource::All("person"))?;
        security::check_subject(&asked.subject)?;
        let now_ms = service.control.now_ms();
        let subject = asked.subject.clone();
        let query = move |view: &View<'_>| held_by(view, &subject, now_ms);
        let held = service.control.read(Consistency::Unspecified.into(), query).await?.value?;
        held.find(permission, &pattern.resource()).cloned()
    };
    let subject = if asked.subject.is_empty() { own } else { asked.subject };
    Ok(CanIResponse {
        allowed: by.is_some(),
        permission: permission.name().to_owned(),
        resource: pattern.to_string(),
        subject,
        by: by.as_ref().map(By::to_string).unwrap_or_default(),
        binding: by.as_ref().map(By::binding).unwrap_or_default().to_owned(),
        role: by.as_ref().map(By::role).unwrap_or_default().to_owned(),
    })
}

/// The permission and the resource that somebody asks about.
fn meant(asked: &CanIRequest) -> Result<(Permission, Pattern)> {
    if !asked.permission.is_empty() {
        let permission = Permission::parse(&asked.permission).ok_or_else(|| {
            Refusal::new(
                Code::InvalidArgument,
                format!("there is no permission {:?}", asked.permission),
            )
            .hint("all of them: keikoctl role get admin -o yaml")
        })?;
        let pattern = match asked.resource.as_str() {
            "" => Pattern::ANY,
            text => Pattern::parse(text)?,
        };
        return Ok((permission, pattern));
    }
    let (permission, kind) = security::meant(&asked.verb, &asked.noun)?;
    let declared = ["agent", "mcp", "tool", "skill", "lock", "barrier"].contains(&kind);
    let namespace = Name::parse_namespace(&asked.namespace)?;
    let resource = match (declared, asked.name.as_str()) {
        (false, _) => Resource::All(kind),
        // What depends on an entry may lie anywhere, and who gives no name may get any.
        (true, name) if asked.verb == "impact" || (name.is_empty() && asked.verb == "register") => {
            Resource::All(kind)
        }
        (true, "") if asked.all_namespaces => Resource::All(kind),
        (true, "") => Resource::among(kind, Some(namespace.as_str())),
        (true, name) => Resource::object(kind, namespace.as_str(), name),
    };
    Ok((permission, Pattern::of(&resource)))
}

/// As bindings name a caller; empty for a socket.
pub(super) fn subject_of(identity: &Identity) -> String {
    match identity.actor().who {
        Some(Who::Token(bearer)) => format!("token/{}", bearer.id),
        Some(Who::Person(person)) => match identity.scope() {
            "" => format!("person/{}", person.name),
            scope => scope.to_owned(),
        },
        Some(Who::Socket(_) | Who::Node(_)) | None => String::new(),
    }
}

/// Everything that a subject holds.
fn held_by(view: &dyn Store, subject: &str, now_ms: u64) -> Result<Grants> {
    let who = match subject.split_once('/') {
        Some(("person", name)) => Who::Person(Person { name: name.to_owned() }),
        Some(("token", id)) => Who::Token(TokenBearer { id: id.to_owned() }),
        // An agent is known by its entry's name, whatever it shows.
        _ => Who::Person(Person { name: subject.replace('/', ".") }),
    };
    let known = match &who {
        // One that expired stays for a while, so that its bearer is told why.
        Who::Token(bearer) => {
            security::token(view, GROUP, &bearer.id).is_some_and(|token| token.expires_ms > now_ms)
        }
        Who::Person(person) => security::person(view, GROUP, &person.name).is_some(),
        Who::Socket(_) | Who::Node(_) => false,
    };
    if !known {
        return Err(Refusal::new(Code::NotFound, format!("nobody is known as {subject}"))
            .hint("keikoctl person list, or: keikoctl cluster token list"));
    }
    Ok(security::holds(view, GROUP, &Actor { who: Some(who) }, now_ms))
}

pub(super) async fn unused(
    service: &Service,
    request: Request<ListUnusedRequest>,
) -> Result<ListUnusedResponse> {
    Identity::of(&request)?.require(Permission::SecurityRead, &Resource::All("person"))?;
    let ListUnusedRequest { days, consistency } = request.into_inner();
    let days = days.unwrap_or(UNUSED_DAYS);
    let now_ms = service.control.now_ms();
    let query = move |view: &View<'_>| find_unused(view, days, now_ms);
    let read = service.control.read(consistency, query).await?;
    Ok(ListUnusedResponse { items: read.value, revision: read.revision })
}

/// Somebody who holds something, by their own role and by bindings.
struct Holder {
    /// As uses are told.
    subject: String,
    actor: Actor,
    since_ms: u64,
}

fn find_unused(view: &dyn Store, days: u32, now_ms: u64) -> Vec<UnusedGrant> {
    // What was used before anybody looked is not known: an upgrade makes nothing unused.
    let begun_ms = security::uses_begun(view, GROUP);
    let begun_ms = begun_ms.map_or(now_ms, |day| u64::from(day) * DAY_MS);
    let people = security::people(view, GROUP).into_iter().map(|person| Holder {
        subject: format!("person/{}", person.name),
        since_ms: person.enrolled_ms.max(begun_ms),
        actor: Actor { who: Some(Who::Person(Person { name: person.name })) },
    });
    let tokens = security::tokens(view, GROUP).into_iter();
    let tokens = tokens.filter(|token| !token.one_use && token.expires_ms > now_ms);
    let tokens = tokens.map(|token| Holder {
        subject: format!("token/{}", token.id),
        since_ms: token.created_ms.max(begun_ms),
        actor: Actor { who: Some(Who::Token(TokenBearer { id: token.id })) },
    });
    let roles = security::roles(view, GROUP).into_iter();
    let roles: BTreeMap<String, u64> = roles.map(|role| (role.name, role.changed_ms)).collect();
    // A role that grants more since yesterday is not unused since its binding.
    let since = |binding: &Binding| {
        binding.changed_ms.max(roles.get(&binding.role).copied().unwrap_or_default())
    };
    let bindings = security::bindings(view, GROUP);
    let bound_ms: BTreeMap<String, u64> =
        bindings.iter().map(|binding| (binding.name.clone(), since(binding))).collect();
    let of = |holder: Holder| {
        let used = security::used(view, GROUP, &holder.subject);
        let held = security::holds_by(view, GROUP, &bindings, &holder.actor, now_ms);
        let rows: Vec<UnusedGrant> = of_holder(&holder, &held, &used, &bound_ms);
        rows.into_iter().filter_map(|row| judge(row, &used, days, now_ms)).collect::<Vec<_>>()
    };
    people.chain(tokens).flat_map(of).collect()
}

/// A row for each role and binding of somebody, with all that it grants.
fn of_holder(
    holder: &Holder,
    held: &Grants,
    used: &[UsedPermission],
    bound_ms: &BTreeMap<String, u64>,
) -> Vec<UnusedGrant> {
    let mut rows: Vec<(u32, UnusedGrant)> = Vec::new();
    for grant in held.iter() {
        let (binding, role) = (grant.by().binding(), grant.by().role());
        let known = rows.iter().position(|(_, row)| row.binding == binding && row.role == role);
        let at = known.unwrap_or_else(|| {
            let since_ms = bound_ms.get(binding).copied().unwrap_or(holder.since_ms);
            let row = UnusedGrant {
                subject: holder.subject.clone(),
                role: role.to_owned(),
                binding: binding.to_owned(),
                since_ms: since_ms.max(holder.since_ms),
                ..UnusedGrant::default()
            };
            rows.push((0, row));
            rows.len() - 1
        });
        let (mask, row) = &mut rows[at];
        *mask |= grant.permissions();
        // Who has a built-in role has it as it is.
        if !binding.is_empty() {
            row.wildcards.extend(grant.wildcards());
        }
    }
    let with_permissions = |(mask, row): (u32, UnusedGrant)| {
        let all = Permission::ALL.iter().filter(|permission| mask & permission.bit() != 0);
        let permissions: Vec<String> = all.map(|permission| permission.name().to_owned()).collect();
        let days = used.iter().filter(|used| permissions.contains(&used.permission));
        let last = days.map(|used| used.day).max().unwrap_or_default();
        UnusedGrant { permissions, last_used_ms: u64::from(last) * DAY_MS, ..row }
    };
    rows.into_iter().map(with_permissions).collect()
}

/// Leaves of a row what nobody used for so many days; none if there is nothing to say.
fn judge(row: UnusedGrant, used: &[UsedPermission], days: u32, now_ms: u64) -> Option<UnusedGrant> {
    let today = day_of(now_ms);
    let unused = |permission: &String| {
        let last = used.iter().find(|used| used.permission == *permission);
        let last = last.map(|last| last.day);
        // What was used before it was held was another grant.
        let since = day_of(row.since_ms).max(last.unwrap_or_default());
        // What was used today is used, however few days are asked about.
        today.saturating_sub(since) >= days && last.is_none_or(|last| last < today)
    };
    let permissions: Vec<String> = row.permissions.iter().filter(|p| unused(p)).cloned().collect();
    let all = !permissions.is_empty() && permissions.len() == row.permissions.len();
    let worth_a_word = !permissions.is_empty() || !row.wildcards.is_empty();
    worth_a_word.then_some(UnusedGrant { permissions, all, ..row })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant() {
        let asked = |verb: &str, noun: &str, name: &str| CanIRequest {
            verb: verb.into(),
            noun: noun.into(),
            name: name.into(),
            namespace: "team-a".into(),
            ..CanIRequest::default()
        };
        for (asked, expect) in [
            (asked("register", "agent", "x"), "registry.write on agent/team-a/x"),
            (asked("list", "agent", ""), "registry.read on agent/team-a/*"),
            (asked("register", "agent", ""), "registry.write on agent/*"),
            (asked("impact", "agent", "x"), "registry.read on agent/*"),
            (asked("drain", "node", "n1"), "cluster.operate on cluster/*"),
            (asked("create", "token", ""), "security.write on token/*"),
        ] {
            let (permission, pattern) = meant(&asked).unwrap();
            assert_eq!(format!("{permission} on {pattern}"), expect);
        }
        let by_permission = |permission: &str, resource: &str| CanIRequest {
            permission: permission.into(),
            resource: resource.into(),
            ..CanIRequest::default()
        };
        assert_eq!(meant(&by_permission("tool.call", "")).unwrap().1, Pattern::ANY);
        for (permission, resource) in [("tool.*", ""), ("fly", ""), ("tool.call", "tool")] {
            assert!(meant(&by_permission(permission, resource)).is_err(), "{permission}");
        }
    }

    #[test]
    fn what_nobody_used() {
        let now_ms = 200 * DAY_MS;
        let check = |since_day: u64, used_day: Option<u32>, days: u32, expect: Option<bool>| {
            let row = UnusedGrant {
                permissions: vec!["tool.call".into(), "agent.call".into()],
                since_ms: since_day * DAY_MS,
                ..UnusedGrant::default()
            };
            let used = used_day.map(|day| UsedPermission { permission: "tool.call".into(), day });
            let used: Vec<UsedPermission> = used.into_iter().collect();
            let judged = judge(row, &used, days, now_ms);
            assert_eq!(judged.map(|row| row.all), expect, "{since_day} {used_day:?} {days}");
        };
        check(110, None, 90, Some(true));
        check(111, None, 90, None);
        check(0, Some(200), 90, Some(false));
        check(0, Some(100), 90, Some(true));
        check(150, Some(100), 90, None);
        check(200, None, 0, Some(true));
        check(200, Some(200), 0, Some(false));
    }
}
