//! What is kept of an object: where it is, whether it works, and what leads to it.

use super::TAGS_MAX;
use super::words::{ARC_BYTES, Words};
use crate::id::is_part_name;
use crate::registry::capability::CAPABILITY_CHARS_MAX;
use crate::registry::health::{FailureClass, State};
use crate::registry::model::{AdminState, READY};
use keiko_proto::v1 as wire;
use std::mem::size_of;
use std::sync::Arc;

/// Whether calls go to an agent or a server, and if not, why: what is worst is last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is called.
    Ready,
    /// It is called when nobody better is there.
    Degraded,
    /// It answers again, or was never asked.
    Recovering,
    /// It failed.
    CoolingDown,
    /// It failed for long.
    Dead,
    /// An operator lets it finish.
    Draining,
    /// An operator stopped it.
    Suspended,
}

impl Standing {
    /// What follows from a status: what the operator says counts first.
    pub fn of(status: Option<&wire::ObjectStatus>) -> Self {
        let Some(status) = status else { return Self::Recovering };
        match AdminState::parse(&status.admin_state) {
            Ok(AdminState::Active) => {}
            Ok(AdminState::Draining) => return Self::Draining,
            // A word that this release does not know surely means no calls.
            Ok(AdminState::Suspended) | Err(_) => return Self::Suspended,
        }
        let health = status.health.as_ref();
        match health.and_then(|health| State::parse(&health.state)) {
            Some(State::Ready) => Self::Ready,
            Some(State::Degraded) => Self::Degraded,
            Some(State::Recovering) => Self::Recovering,
            Some(State::CoolingDown) => Self::CoolingDown,
            Some(State::Dead) => Self::Dead,
            None => {
                let ready =
                    |known: &wire::Condition| known.r#type == READY && known.status == "True";
                if status.conditions.iter().any(ready) { Self::Ready } else { Self::Recovering }
            }
        }
    }

    /// As in [`wire::Candidate`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Recovering => "recovering",
            Self::CoolingDown => "cooling-down",
            Self::Dead => "dead",
            Self::Draining => "draining",
            Self::Suspended => "suspended",
        }
    }

    /// True if calls may be sent to it.
    pub const fn is_callable(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded)
    }
}

/// An agent or a server.
#[derive(Debug)]
pub struct Owner {
    /// One life of it.
    pub uid: Arc<str>,
    /// Whether it is called.
    pub standing: Standing,
    /// Since when its health is what it is.
    pub since_ms: u64,
    /// Why it is not well.
    pub failure: Option<FailureClass>,
    /// It changed so often that it is held back.
    pub flapping: bool,
    /// The server's own, or that of the card.
    pub version: Arc<str>,
    /// Where an agent is called; empty for servers.
    pub url: Arc<str>,
    /// Why an operator decided about calls.
    pub admin_reason: Arc<str>,
    /// The revision of the last declared change.
    pub generation: u64,
    /// Time to live and grace, both in milliseconds.
    pub lease: Option<wire::Lease>,
    labels: Box<[(Arc<str>, Arc<str>)]>,
}

impl Owner {
    pub(super) fn agent(agent: &wire::Agent, words: &mut Words) -> Self {
        let spec = agent.spec.as_ref();
        let mut owner = Self::new(agent.metadata.as_ref(), agent.status.as_ref(), words);
        if let Some(spec) = spec {
            let url = spec.interfaces.first().map_or(&spec.url, |interface| &interface.url);
            (owner.url, owner.version) = (words.take(url), words.take(&spec.version));
            owner.lease = spec.lease;
        }
        owner
    }

    pub(super) fn server(server: &wire::McpServer, words: &mut Words) -> Self {
        let mut owner = Self::new(server.metadata.as_ref(), server.status.as_ref(), words);
        if let Some(spec) = &server.spec {
            owner.version = words.take(&spec.version);
        }
        owner
    }

    fn new(
        metadata: Option<&wire::Metadata>,
        status: Option<&wire::ObjectStatus>,
        words: &mut Words,
    ) -> Self {
        let health = status.and_then(|status| status.health.as_ref());
        let nothing = words.take("");
        let labels = metadata.map(|metadata| {
            let pair = |(key, value): (&String, &String)| (words.take(key), words.take(value));
            metadata.labels.iter().map(pair).collect()
        });
        Self {
            uid: metadata.map_or_else(|| "".into(), |metadata| metadata.uid.as_str().into()),
            standing: Standing::of(status),
            since_ms: health.map_or(0, |health| health.since_ms),
            failure: health.and_then(|health| FailureClass::parse(&health.failure_class)),
            flapping: health.is_some_and(|health| health.flapping),
            version: Arc::clone(&nothing),
            url: nothing,
            admin_reason: words.take(status.map_or("", |status| &status.admin_reason)),
            generation: metadata.map_or(0, |metadata| metadata.generation),
            lease: None,
            labels: labels.unwrap_or_default(),
        }
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        Some(&self.labels[at].1)
    }

    pub(super) fn release(self, words: &mut Words) {
        for word in [self.version, self.url, self.admin_reason] {
            words.give_back(word);
        }
        for (key, value) in self.labels {
            words.give_back(key);
            words.give_back(value);
        }
    }

    /// Beside the record itself, which lies in its entry.
    pub(super) fn memory(&self) -> usize {
        self.uid.len() + ARC_BYTES + size_of_val(&*self.labels)
    }
}

/// A tool or a skill.
#[derive(Debug)]
pub struct Part {
    /// As its owner calls it.
    pub name: Arc<str>,
    /// The revision that last changed it.
    pub revision: u64,
    /// The beginning of the hash of a tool's schema: who has the same takes the same arguments.
    pub schema: u128,
    /// Calling it again does no harm: it is read-only or idempotent.
    pub repeatable: bool,
    tags: Box<[Arc<str>]>,
}

impl Part {
    pub(super) fn tool(
        metadata: &wire::Metadata,
        spec: &wire::ToolSpec,
        words: &mut Words,
    ) -> Self {
        let hints = spec.hints.unwrap_or_default();
        let start = spec.schema_hash.get(..32).unwrap_or_default();
        Self {
            name: words.take(&spec.tool_name),
            revision: metadata.revision,
            schema: u128::from_str_radix(start, 16).unwrap_or_default(),
            repeatable: hints.read_only || hints.idempotent,
            tags: Box::default(),
        }
    }

    pub(super) fn skill(
        metadata: &wire::Metadata,
        spec: &wire::SkillSpec,
        words: &mut Words,
    ) -> Self {
        let fits = |tag: &&String| {
            **tag != spec.skill_id && !tag.is_empty() && tag.chars().count() <= CAPABILITY_CHARS_MAX
        };
        let tags = spec.tags.iter().filter(fits).take(TAGS_MAX);
        Self {
            tags: tags.map(|tag| words.take(tag)).collect(),
            name: words.take(&spec.skill_id),
            revision: metadata.revision,
            schema: 0,
            repeatable: false,
        }
    }

    /// What leads to it. The same word may come twice.
    pub(super) fn words(&self) -> impl Iterator<Item = &Arc<str>> {
        debug_assert!(is_part_name(&self.name), "the law checks names");
        std::iter::once(&self.name).chain(&self.tags)
    }

    /// There is one copy of each text, so that its address says which it is.
    pub(super) fn has(&self, word: &Arc<str>) -> bool {
        self.words().any(|known| Arc::ptr_eq(known, word))
    }

    pub(super) fn release(self, words: &mut Words) {
        for tag in self.tags {
            words.give_back(tag);
        }
        words.give_back(self.name);
    }

    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.tags)
    }
}
