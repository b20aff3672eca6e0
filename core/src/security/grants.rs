//! What somebody holds, as rules that are compared and never parsed again; and what a call touches.
//!
//! Invariants: what no rule reaches is not granted; a set of things is reached only by a rule that
//! reaches all of it; a pattern covers another one only if it covers whatever that may come to mean.

use super::model::ROLE_ADMIN;
use super::permission::{Permission, Role};
use crate::id::Name;
use crate::limits::{NAME_CHARS_MAX, PART_NAME_CHARS_MAX};
use crate::refusal::{Code, Refusal, Result};
use keiko_proto::v1 as wire;
use std::fmt;

/// What a call touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'r> {
    /// One declared object, its namespace resolved. The kind as in `agent`, `mcp`.
    Object {
        /// As in names: lower case.
        kind: &'r str,
        /// Never empty.
        namespace: &'r str,
        /// As in its metadata.
        name: &'r str,
    },
    /// Everything of a kind in one namespace.
    Within {
        /// As in names: lower case.
        kind: &'r str,
        /// Never empty.
        namespace: &'r str,
    },
    /// Everything of a kind or room, as in `agent`, `journal`, `cluster`.
    All(&'r str),
}

impl<'r> Resource<'r> {
    /// One declared object.
    pub const fn object(kind: &'r str, namespace: &'r str, name: &'r str) -> Self {
        Self::Object { kind, namespace, name }
    }

    /// Everything of a kind in a namespace, or in all of them.
    pub const fn among(kind: &'r str, namespace: Option<&'r str>) -> Self {
        match namespace {
            Some(namespace) => Self::Within { kind, namespace },
            None => Self::All(kind),
        }
    }

    /// True if `scope` is exactly this object.
    pub fn is(&self, scope: &str) -> bool {
        let Self::Object { kind, namespace, name } = self else { return false };
        let mut parts = scope.splitn(3, '/');
        // An empty part names nothing: it must not match an empty scope.
        !namespace.is_empty()
            && !name.is_empty()
            && parts.next() == Some(kind)
            && parts.next() == Some(namespace)
            && parts.next() == Some(name)
    }

    fn parts(&self) -> [Option<&'r str>; 3] {
        match *self {
            Self::Object { kind, namespace, name } => [Some(kind), Some(namespace), Some(name)],
            Self::Within { kind, namespace } => [Some(kind), Some(namespace), None],
            Self::All(kind) => [Some(kind), None, None],
        }
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object { kind, namespace, name } => write!(f, "{kind}/{namespace}/{name}"),
            Self::Within { kind, namespace } => write!(f, "{kind}/{namespace}/*"),
            Self::All(what) => write!(f, "{what}/*"),
        }
    }
}

/// Which resources a rule reaches: kind, namespace and name, each one or any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern([Option<String>; 3]);

impl Pattern {
    /// Reaches everything.
    pub const ANY: Self = Self([None, None, None]);

    /// As in `agent/team-a/hello`, `agent/team-a/*`, `agent/*`, `*/team-a/*` or `*`.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.splitn(3, '/').collect();
        let [kind, namespace, name] = match parts[..] {
            ["*"] => ["*"; 3],
            [kind, "*"] if kind != "*" => [kind, "*", "*"],
            [kind, namespace, name] => [kind, namespace, name],
            _ => return Err(shapeless(text)),
        };
        let one = |what: &str, part: &str| match part {
            "*" => Ok(None),
            part => Name::parse(what, part).map(|name| Some(name.as_str().to_owned())),
        };
        let name = match name {
            "*" => None,
            name if is_object_name(name) => Some(name.to_owned()),
            _ => return Err(shapeless(text)),
        };
        Ok(Self([one("kind", kind)?, one("namespace", namespace)?, name]))
    }

    /// What a call touches, as a pattern that reaches exactly that.
    pub fn of(resource: &Resource<'_>) -> Self {
        Self(resource.parts().map(|part| part.map(str::to_owned)))
    }

    /// As a resource; of any kind is of a kind that is none. What names a thing in no one namespace is
    /// taken for all of its kind.
    pub fn resource(&self) -> Resource<'_> {
        let [kind, namespace, name] = [&self.0[0], &self.0[1], &self.0[2]].map(Option::as_deref);
        let kind = kind.unwrap_or("*");
        match (namespace, name) {
            (Some(namespace), Some(name)) => Resource::Object { kind, namespace, name },
            (Some(namespace), None) => Resource::Within { kind, namespace },
            (None, _) => Resource::All(kind),
        }
    }

    /// True if all of it is reached.
    pub fn reaches(&self, resource: &Resource<'_>) -> bool {
        let mut parts = self.0.iter().zip(resource.parts());
        parts.all(|(own, part)| own.as_deref().is_none_or(|own| part == Some(own)))
    }

    /// True if whatever the other one reaches is reached.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, part)| own.is_none() || own == part)
    }

    /// What of it lies in a namespace; none if nothing does.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Option<Self> {
        match &self.0[1] {
            Some(own) if own != namespace => return None,
            _ => self.0[1] = Some(namespace.to_owned()),
        }
        Some(self)
    }

    /// True if it reaches more than one thing.
    pub fn is_wide(&self) -> bool {
        self.0.iter().any(Option::is_none)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, namespace, name] = [&self.0[0], &self.0[1], &self.0[2]].map(Option::as_deref);
        match (kind, namespace, name) {
            (None, None, None) => f.write_str("*"),
            (Some(kind), None, None) => write!(f, "{kind}/*"),
            (kind, namespace, name) => {
                let any = |part: Option<&str>| part.unwrap_or("*").to_owned();
                write!(f, "{}/{}/{}", any(kind), any(namespace), any(name))
            }
        }
    }
}

/// An object's name, or a tool's behind its server's.
fn is_object_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte);
    (1..=NAME_CHARS_MAX + 1 + PART_NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(fits)
}

fn shapeless(text: &str) -> Refusal {
    Refusal::new(Code::InvalidArgument, format!("{text:?} names no resources"))
        .cause("it is KIND/NAMESPACE/NAME; * stands for any of a part, KIND/* for all of a kind")
        .hint("as in: agent/team-a/hello, agent/team-a/*, agent/*, */team-a/*, *")
}

/// The permissions of a word, as in `registry.write`, `registry.*` or `*`.
pub(super) fn permissions_of(word: &str) -> Result<u32> {
    let room = word.strip_suffix(".*");
    let fits = |permission: &&Permission| match (word, room) {
        ("*", _) => true,
        (_, Some(room)) => {
            permission.name().strip_prefix(room).is_some_and(|rest| rest.starts_with('.'))
        }
        (word, None) => permission.name() == word,
    };
    let bindable = Permission::ALL.iter().filter(|permission| permission.is_bindable());
    match bindable.filter(fits).fold(0, |mask, permission| mask | permission.bit()) {
        0 => Err(Refusal::new(
            Code::InvalidArgument,
            format!("{word:?} is no permission that can be granted"),
        )
        .hint(
            "as in: registry.write, registry.*, *; all of them: keikoctl role get admin -o yaml",
        )),
        mask => Ok(mask),
    }
}

fn covers_word(own: &str, word: &str) -> bool {
    let in_room = |own: &str| {
        own.strip_suffix('*')
            .filter(|room| room.ends_with('.'))
            .is_some_and(|room| word.starts_with(room))
    };
    own == "*" || own == word || in_room(own)
}

/// Where a grant comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Whoever has the role by itself.
    BuiltIn(&'static str),
    /// A process on a node's socket.
    Socket,
    /// A binding and its role.
    Binding {
        /// Its name.
        binding: String,
        /// What it hands out.
        role: String,
    },
}

impl By {
    /// The binding's name, or empty.
    pub fn binding(&self) -> &str {
        match self {
            Self::BuiltIn(_) | Self::Socket => "",
            Self::Binding { binding, .. } => binding,
        }
    }

    /// The role.
    pub fn role(&self) -> &str {
        match self {
            Self::BuiltIn(role) => role,
            Self::Socket => ROLE_ADMIN,
            Self::Binding { role, .. } => role,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(role) => write!(f, "the built-in role {role}"),
            Self::Socket => f.write_str("the unix socket of a node"),
            Self::Binding { binding, role } => write!(f, "binding {binding}, role {role}"),
        }
    }
}

/// Some permissions on some resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    by: By,
    words: Vec<String>,
    permissions: u32,
    resources: Vec<Pattern>,
}

impl Grant {
    /// Everything that can be bound, on everything.
    pub(super) fn everything(by: By) -> Self {
        let permissions = permissions_of("*").unwrap_or_default();
        Self { by, words: vec!["*".to_owned()], permissions, resources: vec![Pattern::ANY] }
    }

    /// Of a declared rule; checked when it was declared.
    pub(super) fn of_rule(by: By, rule: &wire::Rule) -> Result<Self> {
        let masks: Result<Vec<u32>> =
            rule.permissions.iter().map(|word| permissions_of(word)).collect();
        let permissions = masks?.into_iter().fold(0, |all, mask| all | mask);
        let patterns = rule.resources.iter().map(|text| Pattern::parse(text));
        let mut resources: Vec<Pattern> = patterns.collect::<Result<_>>()?;
        if resources.is_empty() {
            resources.push(Pattern::ANY);
        }
        Ok(Self { by, words: rule.permissions.clone(), permissions, resources })
    }

    /// The part of it that lies in a namespace; the empty one is all.
    pub(super) fn within(self, namespace: &str) -> Self {
        if namespace.is_empty() {
            return self;
        }
        let resources = self.resources.into_iter();
        let resources = resources.filter_map(|pattern| pattern.within(namespace)).collect();
        Self { resources, ..self }
    }

    /// Where it comes from.
    pub const fn by(&self) -> &By {
        &self.by
    }

    /// What it grants on some resources, one bit for each.
    pub fn permissions(&self) -> u32 {
        if self.resources.is_empty() { 0 } else { self.permissions }
    }

    /// What of it grants more than one thing: words and patterns.
    pub fn wildcards(&self) -> Vec<String> {
        let words = self.words.iter().filter(|word| word.ends_with('*')).cloned();
        let resources = self.resources.iter().filter(|pattern| pattern.is_wide());
        words.chain(resources.map(Pattern::to_string)).collect()
    }

    fn allows(&self, permission: Permission, resource: &Resource<'_>) -> bool {
        self.permissions & permission.bit() != 0
            && self.resources.iter().any(|pattern| pattern.reaches(resource))
    }
}

/// Everything that somebody holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(pub(super) Vec<Grant>);

impl Grants {
    /// What a binding of this name hands out by a role, everywhere.
    pub fn of_role(binding: &str, role: &wire::Role) -> Result<Self> {
        let by = By::Binding { binding: binding.to_owned(), role: role.name.clone() };
        let rules = role.rules.iter().map(|rule| Grant::of_rule(by.clone(), rule));
        rules.collect::<Result<_>>().map(Self)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.0.iter()
    }

    /// The grant that allows this, if there is one.
    pub fn find(&self, permission: Permission, resource: &Resource<'_>) -> Option<&By> {
        let allows = |grant: &&Grant| grant.allows(permission, resource);
        self.0.iter().find(allows).map(Grant::by)
    }

    /// What is granted on anything, one bit for each permission.
    pub fn permissions(&self) -> u32 {
        self.0.iter().fold(0, |all, grant| all | grant.permissions())
    }

    /// True if nothing of the others is missing here.
    pub fn cover(&self, others: &Self) -> bool {
        self.missing(others).is_none()
    }

    /// The first of the others that is not held here: what, and on what.
    ///
    /// A word is covered by a word that includes it now and later: who holds each permission of a
    /// room by name does not hold the room.
    pub(super) fn missing<'o>(&self, others: &'o Self) -> Option<(&'o str, &'o Pattern)> {
        let held = |word: &str, pattern: &Pattern| {
            self.0.iter().any(|grant| {
                grant.words.iter().any(|own| covers_word(own, word))
                    && grant.resources.iter().any(|own| own.covers(pattern))
            })
        };
        let mut asked = others.0.iter().flat_map(|grant| {
            grant.words.iter().flat_map(|word| {
                grant.resources.iter().map(move |pattern| (word.as_str(), pattern))
            })
        });
        asked.find(|(word, pattern)| !held(word, pattern))
    }
}

/// What a built-in role grants; an agent's on its own entry only.
pub(super) fn built_in(role: Role, scope: &str, by: &By) -> Vec<Grant> {
    let grant = |permissions: &[Permission], resource: Pattern| Grant {
        by: by.clone(),
        words: permissions.iter().map(|permission| permission.name().to_owned()).collect(),
        permissions: permissions.iter().fold(0, |mask, permission| mask | permission.bit()),
        resources: vec![resource],
    };
    match role {
        Role::Admin => vec![Grant::everything(by.clone())],
        Role::Operator | Role::Viewer => {
            let all = Permission::ALL.iter().copied();
            let held: Vec<Permission> = all.filter(|permission| role.grants(*permission)).collect();
            vec![grant(&held, Pattern::ANY)]
        }
        Role::Agent => {
            let own = [Permission::RegistryRead, Permission::RegistryWrite];
            // What lies in no entry is the same for all: agents look for a node that is up.
            let held = Permission::ALL.iter().copied().filter(|held| role.grants(*held));
            let others: Vec<Permission> = held.filter(|held| !own.contains(held)).collect();
            let others = grant(&others, Pattern::ANY);
            match Pattern::parse(scope) {
                Ok(scope) if !scope.is_wide() => vec![grant(&own, scope), others],
                _ => vec![others],
            }
        }
        Role::Guest => Vec::new(),
        Role::Node => vec![grant(&[Permission::ClusterJoin], Pattern::ANY)],
    }
}
