//! Who offers what: the room's objects as calls need them, in memory.
//!
//! Keeps of each agent and server where it is and whether it works, of each part its names. It is
//! a projection: feeding it every object and every change, in any order, gives what a scan of the
//! tables would find. It is small (text is kept once) and pure: what only one node knows, as load
//! and leases, comes in from outside when somebody is chosen.
//!
//! ```text
//! directory.rs  the projection                      choice.rs  power of two choices
//! words.rs      every text once                     record.rs  what is kept of an object
//! entry.rs      an owner with its parts
//! ```

mod choice;
mod entry;
mod record;
#[cfg(test)]
mod tests;
mod words;

pub use choice::choose;
pub use record::{Owner, Part, Standing};

use super::capability::Capability;
use super::model::Kind;
use crate::selector::Selector;
use entry::Entry;
use keiko_proto::v1::{Object, object::Object as Inner};
use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;
use words::Words;

/// Tags of one skill that lead to it: a card of 256 KiB could hold thousands.
const TAGS_MAX: usize = 32;

/// What is asked of the directory.
#[derive(Clone, Copy, Debug)]
pub struct Query<'q> {
    /// One namespace.
    pub namespace: &'q str,
    /// What is to be offered.
    pub capability: &'q Capability,
    /// On the labels of the owner.
    pub selector: &'q Selector,
}

/// Something that is offered, and who offers it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'d> {
    /// Its namespace.
    pub namespace: &'d str,
    /// Agent or server.
    pub owner_kind: Kind,
    /// The owner's name.
    pub owner_name: &'d str,
    /// The owner.
    pub owner: &'d Owner,
    /// The tool or skill.
    pub part: &'d Part,
}

impl Candidate<'_> {
    /// Tool or skill.
    pub fn kind(&self) -> Kind {
        match self.owner_kind {
            Kind::McpServer | Kind::Tool => Kind::Tool,
            Kind::Agent | Kind::Skill => Kind::Skill,
        }
    }

    /// As in `time.now`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.owner_name, self.part.name)
    }
}

/// The projection.
#[derive(Debug, Default)]
pub struct Directory {
    words: Words,
    namespaces: BTreeMap<Arc<str>, Namespace>,
    /// By number; a number is used again once its owner and all its parts are gone.
    entries: Vec<Option<Box<Entry>>>,
    free: Vec<u32>,
    owners: usize,
    parts: usize,
}

#[derive(Debug, Default)]
struct Namespace {
    agents: BTreeMap<Arc<str>, u32>,
    servers: BTreeMap<Arc<str>, u32>,
    /// Entries with a part that the word leads to, ascending.
    offers: BTreeMap<Arc<str>, Vec<u32>>,
}

impl Namespace {
    fn of_kind(&self, kind: Kind) -> &BTreeMap<Arc<str>, u32> {
        match kind {
            Kind::Agent | Kind::Skill => &self.agents,
            Kind::McpServer | Kind::Tool => &self.servers,
        }
    }

    fn of_kind_mut(&mut self, kind: Kind) -> &mut BTreeMap<Arc<str>, u32> {
        match kind {
            Kind::Agent | Kind::Skill => &mut self.agents,
            Kind::McpServer | Kind::Tool => &mut self.servers,
        }
    }
}

impl Directory {
    /// Takes in an object as it is from now on.
    pub fn put(&mut self, object: &Object) {
        match &object.object {
            Some(Inner::Agent(agent)) => {
                let owner = Owner::agent(agent, &mut self.words);
                self.put_owner(Kind::Agent, agent.metadata.as_ref(), owner);
            }
            Some(Inner::McpServer(server)) => {
                let owner = Owner::server(server, &mut self.words);
                self.put_owner(Kind::McpServer, server.metadata.as_ref(), owner);
            }
            Some(Inner::Tool(tool)) => {
                let (Some(metadata), Some(spec)) = (&tool.metadata, &tool.spec) else { return };
                let part = Part::tool(metadata, spec, &mut self.words);
                self.put_part(Kind::McpServer, &metadata.namespace, &spec.server, part);
            }
            Some(Inner::Skill(skill)) => {
                let (Some(metadata), Some(spec)) = (&skill.metadata, &skill.spec) else { return };
                let part = Part::skill(metadata, spec, &mut self.words);
                self.put_part(Kind::Agent, &metadata.namespace, &spec.agent, part);
            }
            None => {}
        }
    }

    /// Forgets an object that was deleted.
    pub fn remove(&mut self, object: &Object) {
        match &object.object {
            Some(Inner::Agent(agent)) => self.remove_owner(Kind::Agent, agent.metadata.as_ref()),
            Some(Inner::McpServer(server)) => {
                self.remove_owner(Kind::McpServer, server.metadata.as_ref());
            }
            Some(Inner::Tool(tool)) => {
                let (Some(metadata), Some(spec)) = (&tool.metadata, &tool.spec) else { return };
                let (server, name) = (&spec.server, &spec.tool_name);
                self.remove_part(Kind::McpServer, &metadata.namespace, server, name);
            }
            Some(Inner::Skill(skill)) => {
                let (Some(metadata), Some(spec)) = (&skill.metadata, &skill.spec) else { return };
                let (agent, id) = (&spec.agent, &spec.skill_id);
                self.remove_part(Kind::Agent, &metadata.namespace, agent, id);
            }
            None => {}
        }
    }

    /// One agent or server.
    pub fn owner(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Owner> {
        let number = self.number(kind, namespace, name)?;
        self.entry(number)?.owner.as_ref()
    }

    /// One tool or skill by its owner and its own name.
    pub fn part(
        &self,
        owner: Kind,
        namespace: &str,
        owner_name: &str,
        name: &str,
    ) -> Option<Candidate<'_>> {
        let number = self.number(owner, namespace, owner_name)?;
        self.entry(number)?.offered(name)
    }

    /// Who offers what is asked for, in no particular order. A name with its owner in front means
    /// just that one; any other leads to every part that has it as its own name or its tag.
    pub fn find(&self, query: &Query<'_>) -> Vec<Candidate<'_>> {
        let fits = |candidate: &Candidate<'_>| {
            let owner = candidate.owner;
            query.capability.accepts(&owner.version)
                && query.selector.matches_by(|key| owner.label(key))
        };
        let named = self.named(query.namespace, query.capability.name());
        if !named.is_empty() {
            return named.into_iter().filter(fits).collect();
        }
        self.offering(query.namespace, query.capability.name()).filter(fits).collect()
    }

    /// True if anybody offers it, whatever its version and labels.
    pub fn is_offered(&self, namespace: &str, name: &str) -> bool {
        !self.named(namespace, name).is_empty() || self.offering(namespace, name).next().is_some()
    }

    /// Agents and servers.
    pub fn len(&self) -> usize {
        self.owners
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.owners == 0
    }

    /// Tools and skills.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// About how many bytes it takes: what it allocated, and a third for what trees leave free.
    pub fn memory(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Option<Box<Entry>>>();
        let inner: usize = self.entries.iter().flatten().map(|entry| entry.memory()).sum();
        let tree = |rows: usize, value: usize| rows * (size_of::<Arc<str>>() + value) * 4 / 3;
        let indexes: usize = self
            .namespaces
            .values()
            .map(|space| {
                let numbers: usize = space.offers.values().map(|list| list.capacity() * 4).sum();
                tree(space.agents.len() + space.servers.len(), size_of::<u32>())
                    + tree(space.offers.len(), size_of::<Vec<u32>>())
                    + numbers
            })
            .sum();
        entries + inner + indexes + self.words.memory()
    }

    /// SERVER.TOOL and AGENT.SKILL of this name: both may be there.
    fn named(&self, namespace: &str, name: &str) -> Vec<Candidate<'_>> {
        let Some((owner, part)) = name.split_once('.') else { return Vec::new() };
        let of = |kind| self.part(kind, namespace, owner, part);
        [of(Kind::McpServer), of(Kind::Agent)].into_iter().flatten().collect()
    }

    fn offering(&self, namespace: &str, word: &str) -> impl Iterator<Item = Candidate<'_>> {
        let space = self.namespaces.get(namespace);
        let found = space.and_then(|space| space.offers.get_key_value(word));
        found.into_iter().flat_map(move |(word, numbers)| {
            numbers
                .iter()
                .filter_map(|number| self.entry(*number))
                .flat_map(move |entry| entry.parts_of(word))
        })
    }

    fn number(&self, kind: Kind, namespace: &str, name: &str) -> Option<u32> {
        self.namespaces.get(namespace)?.of_kind(kind).get(name).copied()
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get(number as usize)?.as_deref()
    }

    fn entry_mut(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.get_mut(number as usize)?.as_deref_mut()
    }

    /// The number of an owner's entry, which is made if it is new.
    fn make(&mut self, kind: Kind, namespace: &str, name: &str) -> u32 {
        if let Some(number) = self.number(kind, namespace, name) {
            return number;
        }
        let (namespace, name) = (self.words.take(namespace), self.words.take(name));
        let (key, row) = (Arc::clone(&namespace), Arc::clone(&name));
        let entry = Entry { namespace, kind, name, owner: None, parts: Vec::new() };
        let entry = Some(Box::new(entry));
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).expect("invariant: memory ends before this")
            }
        };
        self.namespaces.entry(key).or_default().of_kind_mut(kind).insert(row, number);
        number
    }

    fn put_owner(
        &mut self,
        kind: Kind,
        metadata: Option<&keiko_proto::v1::Metadata>,
        owner: Owner,
    ) {
        let Some(metadata) = metadata else { return };
        let number = self.make(kind, &metadata.namespace, &metadata.name);
        let Some(entry) = self.entry_mut(number) else { return };
        let before = entry.owner.replace(owner);
        self.owners += usize::from(before.is_none());
        if let Some(before) = before {
            before.release(&mut self.words);
        }
    }

    fn remove_owner(&mut self, kind: Kind, metadata: Option<&keiko_proto::v1::Metadata>) {
        let Some(metadata) = metadata else { return };
        let Some(number) = self.number(kind, &metadata.namespace, &metadata.name) else { return };
        if let Some(owner) = self.entry_mut(number).and_then(|entry| entry.owner.take()) {
            self.owners -= 1;
            owner.release(&mut self.words);
        }
        self.forget_if_empty(number);
    }

    fn put_part(&mut self, kind: Kind, namespace: &str, owner: &str, part: Part) {
        let number = self.make(kind, namespace, owner);
        let words: Vec<_> = part.words().cloned().collect();
        let Some(entry) = self.entry_mut(number) else { return };
        let before = match entry.place(&part.name) {
            Ok(at) => Some(std::mem::replace(&mut entry.parts[at], part)),
            Err(at) => {
                // Most have a handful, and doubling would waste half of them.
                entry.parts.reserve_exact(1 + entry.parts.len() / 8);
                entry.parts.insert(at, part);
                None
            }
        };
        self.parts += usize::from(before.is_none());
        let space = self.namespaces.entry(self.words.take(namespace)).or_default();
        for word in words {
            let numbers = space.offers.entry(word).or_default();
            if let Err(at) = numbers.binary_search(&number) {
                numbers.insert(at, number);
            }
        }
        if let Some(before) = before {
            self.unlink(number, before);
        }
    }

    fn remove_part(&mut self, kind: Kind, namespace: &str, owner: &str, name: &str) {
        let Some(number) = self.number(kind, namespace, owner) else { return };
        let Some(entry) = self.entry_mut(number) else { return };
        let Ok(at) = entry.place(name) else { return };
        let part = entry.parts.remove(at);
        if entry.parts.is_empty() {
            entry.parts = Vec::new();
        }
        self.parts -= 1;
        self.unlink(number, part);
        self.forget_if_empty(number);
    }

    /// Takes back the words of a part that is gone from its entry, but for those that another part
    /// of the entry has too.
    fn unlink(&mut self, number: u32, part: Part) {
        let Some(entry) = self.entries.get(number as usize).and_then(Option::as_ref) else {
            return;
        };
        let Some(space) = self.namespaces.get_mut(&*entry.namespace) else { return };
        for word in part.words() {
            if entry.parts.iter().any(|other| other.has(word)) {
                continue;
            }
            let Some(numbers) = space.offers.get_mut(&**word) else { continue };
            if let Ok(at) = numbers.binary_search(&number) {
                numbers.remove(at);
            }
            if numbers.is_empty() {
                space.offers.remove(&**word);
            }
        }
        part.release(&mut self.words);
    }

    fn forget_if_empty(&mut self, number: u32) {
        let Some(place) = self.entries.get_mut(number as usize) else { return };
        if !place.as_ref().is_some_and(|entry| entry.owner.is_none() && entry.parts.is_empty()) {
            return;
        }
        let Some(entry) = place.take() else { return };
        let Entry { namespace, kind, name, .. } = *entry;
        self.free.push(number);
        if let Some(space) = self.namespaces.get_mut(&*namespace) {
            space.of_kind_mut(kind).remove(&*name);
            if space.agents.is_empty() && space.servers.is_empty() {
                self.namespaces.remove(&*namespace);
            }
        }
        self.words.give_back(name);
        self.words.give_back(namespace);
    }
}
