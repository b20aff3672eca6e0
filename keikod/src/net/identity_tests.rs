use super::*;

fn token(role: &str, scope: &str, one_use: bool) -> Identity {
    let (id, role, scope) = ("t1".into(), role.into(), scope.into());
    Identity::Token { id, role, scope, expires_ms: u64::MAX, one_use, bound: Bound::default() }
}

fn bearer(role: &str, scope: &str) -> Identity {
    token(role, scope, false)
}

fn person(role: &str, scope: &str) -> Identity {
    let (name, role, scope) = ("ann".into(), role.into(), scope.into());
    Identity::Person { name, role, scope, expires_ms: u64::MAX, bound: Bound::default() }
}

fn remote(role: &str, scope: &str) -> Identity {
    Identity::on_behalf(person(role, scope).actor(), role.into(), scope.into(), Bound::default())
}

#[test]
fn an_agent_touches_its_entry_only() {
    let mine = Resource::object("agent", "default", "hello");
    let elsewhere = [
        Resource::object("agent", "default", "hello2"),
        Resource::object("agent", "default", "hell"),
        Resource::object("agent", "other", "hello"),
        Resource::object("tool", "default", "hello"),
        Resource::object("agent", "", ""),
        Resource::All("agent"),
        Resource::All("agent/default/hello"),
    ];
    let scope = "agent/default/hello";
    for agent in [bearer("agent", scope), person("agent", scope), remote("agent", scope)] {
        for permission in Permission::ALL {
            let granted = Role::Agent.grants(*permission);
            assert_eq!(agent.require(*permission, &mine).is_ok(), granted, "{permission}");
            let members = [Permission::ClusterRead, Permission::LockRead].contains(permission);
            for resource in &elsewhere {
                let refused = agent.require(*permission, resource).is_err();
                assert_eq!(refused, !members, "{permission} {resource}");
            }
        }
    }
    for other in [bearer("admin", "*"), bearer("", ""), person("", ""), person("root", "")] {
        for permission in Permission::ALL {
            assert!(other.require(*permission, &mine).is_err(), "{other} {permission}");
        }
    }
    let nameless = bearer("agent", "agent//");
    let empty = Resource::object("agent", "", "");
    assert!(nameless.require(Permission::RegistryRead, &empty).is_err());
}

#[test]
fn who_has_which_role_by_what() {
    let resource = Resource::object("tool", "default", "time");
    for role in [Role::Admin, Role::Operator, Role::Viewer, Role::Node] {
        let name = role.name();
        for permission in Permission::ALL {
            let check = |identity: Identity, expect: bool| {
                let got = identity.require(*permission, &resource).is_ok();
                assert_eq!(got, expect, "{identity:?} {permission}");
                assert_eq!(identity.permissions().contains(permission), expect);
            };
            let granted = role.grants(*permission);
            check(person(name, ""), granted);
            check(remote(name, ""), granted);
            check(bearer(name, ""), granted && role == Role::Viewer);
            check(token(name, "", true), granted && role == Role::Node);
        }
    }
}

#[test]
fn the_socket_is_admin() {
    let admin = Identity::Socket { node: "n1".into(), uid: 0 };
    for permission in Permission::ALL {
        admin.require(*permission, &Resource::All("cluster")).unwrap();
    }
    assert_eq!((admin.socket_uid(), admin.role()), (Some(0), "admin"));
    assert_eq!(admin.permissions(), Permission::ALL);
}

#[test]
fn what_a_node_vouches_for() {
    let told = |identity: &Identity| {
        let (actor, role, scope) = identity.vouch();
        Identity::on_behalf(actor, role, scope, Bound::default())
    };
    let socket = Identity::Socket { node: "n1".into(), uid: 0 };
    let there = told(&socket);
    assert_eq!((there.actor(), there.role()), (socket.actor(), "admin"));
    assert_eq!(there.socket_uid(), None, "only that node knows its uids");
    let refused = there.require(Permission::ClusterInit, &Resource::All("cluster"));
    assert!(refused.is_err());
    assert!(!there.permissions().is_empty());
    for role in ["admin", "node"] {
        let there = told(&token(role, "", true));
        assert!(there.permissions().is_empty(), "it may only be traded");
    }
    assert_eq!(told(&remote("viewer", "")), remote("viewer", ""));
}

#[test]
fn a_refusal_names_what_is_missing_and_is_counted() {
    let before = metrics::refusals(Code::PermissionDenied, "mcp.exec");
    let resource = Resource::object("mcp", "default", "time");
    let refused =
        |identity: Identity, permission| identity.require(permission, &resource).unwrap_err();
    let refusal = refused(bearer("agent", "agent/default/hello"), Permission::McpExec);
    assert_eq!(refusal.code, Code::PermissionDenied);
    assert!(refusal.message.contains("mcp.exec"));
    assert!(refusal.message.contains("mcp/default/time"));
    assert!(metrics::refusals(Code::PermissionDenied, "mcp.exec") > before);

    let write = Permission::RegistryWrite;
    assert!(refused(person("viewer", ""), write).hints[0].contains("admin, operator, an agent"));
    assert!(refused(token("viewer", "", true), write).hints[0].contains("traded"));
    assert!(refused(token("node", "", true), write).hints[0].contains("--join"));
    let found = refused(person("admin", ""), Permission::ClusterInit);
    assert!(found.hints[0].contains("unix socket"));
}

/// What a role of one rule hands out.
fn handed(permissions: &[&str], resources: &[&str]) -> Bound {
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let rule = wire::Rule { permissions: texts(permissions), resources: texts(resources) };
    let role = wire::Role { name: "deployer".into(), rules: vec![rule], ..wire::Role::default() };
    Arc::new(Grants::of_role("ann-deploys", &role).unwrap())
}

fn guest(bound: Bound) -> Identity {
    let (name, role) = ("ann".into(), "guest".into());
    Identity::Person { name, role, scope: String::new(), expires_ms: u64::MAX, bound }
}

#[test]
fn a_binding_adds_to_the_role() {
    let ann = guest(handed(&["registry.write"], &["agent/team-a/*"]));
    let mine = Resource::object("agent", "team-a", "x");
    ann.require(Permission::RegistryWrite, &mine).unwrap();
    let by = ann.by(Permission::RegistryWrite, &mine).unwrap().to_string();
    assert_eq!(by, "binding ann-deploys, role deployer");
    assert_eq!(ann.permissions(), [Permission::RegistryWrite]);
    for (permission, resource) in [
        (Permission::RegistryWrite, Resource::object("agent", "team-b", "x")),
        (Permission::RegistryWrite, Resource::All("agent")),
        (Permission::RegistryRead, mine),
    ] {
        assert!(ann.require(permission, &resource).is_err(), "{permission} {resource}");
        assert_eq!(ann.by(permission, &resource), None);
    }
    assert!(person("guest", "").permissions().is_empty());
    let by = person("viewer", "").by(Permission::RegistryRead, &mine).unwrap().to_string();
    assert_eq!(by, "the built-in role viewer");
}

#[test]
fn who_lost_nothing_is_still_the_same() {
    let less = guest(handed(&["registry.read"], &["agent/team-a/*"]));
    let more = guest(handed(&["registry.*"], &["agent/*"]));
    assert!(more.is_still(&less) && less.is_still(&less));
    assert!(!less.is_still(&more));
    assert!(!guest(Bound::default()).is_still(&less));
    assert!(!person("viewer", "").is_still(&person("operator", "")));
}
