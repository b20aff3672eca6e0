//! An agent card, 1.0 or 0.3, read leniently where a mistake does no harm.

use crate::outbound::a2a::signature::SignatureState;
use crate::outbound::http::{parse_url, same_origin, shown};
use crate::outbound::words;
use a2a::{TRANSPORT_PROTOCOL_GRPC, TRANSPORT_PROTOCOL_HTTP_JSON, TRANSPORT_PROTOCOL_JSONRPC};
use keiko_core::limits::PARTS_MAX;
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::{Map, Value};
use url::Url;

/// Interfaces that a refusal names, and how much of each word of theirs.
const CAUSES_MAX: usize = 5;
const WORD_CHARS_MAX: usize = 100;

/// How the bytes travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// JSON-RPC 2.0 over HTTP.
    JsonRpc,
    /// REST.
    HttpJson,
    /// gRPC; known, not called.
    Grpc,
    /// Anything newer.
    Other(String),
}

impl Binding {
    fn read(text: &str) -> Self {
        match text.to_ascii_uppercase().as_str() {
            TRANSPORT_PROTOCOL_JSONRPC => Self::JsonRpc,
            TRANSPORT_PROTOCOL_HTTP_JSON => Self::HttpJson,
            TRANSPORT_PROTOCOL_GRPC => Self::Grpc,
            _ => Self::Other(text.to_owned()),
        }
    }

    /// As the standard writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::JsonRpc => TRANSPORT_PROTOCOL_JSONRPC,
            Self::HttpJson => TRANSPORT_PROTOCOL_HTTP_JSON,
            Self::Grpc => TRANSPORT_PROTOCOL_GRPC,
            Self::Other(text) => text,
        }
    }
}

/// Which words are spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.0 and what follows it compatibly.
    V1,
    /// 0.3.
    V03,
    /// Anything else.
    Other(String),
}

impl Version {
    fn read(text: &str) -> Self {
        let is = |prefix: &str| {
            text == prefix || text.strip_prefix(prefix).is_some_and(|r| r.starts_with('.'))
        };
        if is("1") {
            Self::V1
        } else if is("0.3") {
            Self::V03
        } else {
            Self::Other(text.to_owned())
        }
    }

    /// Major and minor.
    pub fn as_str(&self) -> &str {
        match self {
            Self::V1 => "1.0",
            Self::V03 => "0.3",
            Self::Other(text) => text,
        }
    }
}

/// One address at which the agent can be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// As the card gives it.
    pub url: String,
    /// How.
    pub binding: Binding,
    /// In which words.
    pub version: Version,
    /// Part of every request to it.
    pub tenant: Option<String>,
}

/// One thing that the agent can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skill {
    /// Should be unique within the card.
    pub id: String,
    /// For people.
    pub name: String,
    /// For people and models.
    pub description: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Media types; empty means the agent's own.
    pub input_modes: Vec<String>,
    /// Media types; empty means the agent's own.
    pub output_modes: Vec<String>,
    /// What one might ask.
    pub examples: Vec<String>,
}

/// A card as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Where it was found.
    pub url: Url,
    /// The agent's name for itself.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its release.
    pub version: String,
    /// On the card's own origin, in the card's order of preference.
    pub interfaces: Vec<Interface>,
    /// On other origins: reported, never called.
    pub foreign_interfaces: Vec<Interface>,
    /// What it can do; an id may come twice.
    pub skills: Vec<Skill>,
    /// Whether somebody known vouches for it.
    pub signature: SignatureState,
    /// To ask for changes only.
    pub etag: Option<String>,
    /// The whole card.
    pub raw: Value,
}

impl Card {
    /// Reads a card that was found at `url`. Signature and ETag are filled in by who fetched it.
    pub(super) fn read(url: &Url, raw: Value) -> Result<Self> {
        let Value::Object(map) = &raw else {
            return Err(invalid(url, "it is not an object"));
        };
        let read = Reader { url, path: "", map };
        let mut interfaces = if map.contains_key("supportedInterfaces") {
            interfaces(&read)?
        } else {
            interfaces_03(&read)?
        };
        let foreign = interfaces.extract_if(.., |interface| !is_own(url, interface)).collect();
        Ok(Self {
            url: url.clone(),
            name: read.required("name")?,
            description: read.text("description").unwrap_or_default(),
            version: read.required("version")?,
            interfaces,
            foreign_interfaces: foreign,
            skills: skills(&read)?,
            signature: SignatureState::None,
            etag: None,
            raw,
        })
    }

    /// The interface that a call uses: 1.0 before 0.3, JSON-RPC before HTTP+JSON.
    pub fn preferred(&self) -> Result<&Interface> {
        let rank = |interface: &Interface| match (&interface.version, &interface.binding) {
            (Version::V1, Binding::JsonRpc) => Some(0),
            (Version::V1, Binding::HttpJson) => Some(1),
            (Version::V03, Binding::JsonRpc) => Some(2),
            _ => None,
        };
        let usable = self
            .interfaces
            .iter()
            .filter_map(|i| Some((rank(i)?, i)))
            .min_by_key(|(rank, _)| *rank);
        usable.map(|(_, interface)| interface).ok_or_else(|| self.not_callable())
    }

    /// What stands against the interfaces, as far as few words can say.
    fn not_callable(&self) -> Refusal {
        let of_other_version =
            |interface: &Interface| matches!(interface.version, Version::Other(_));
        let code = match self.interfaces.iter().any(of_other_version) {
            true => Code::PeerVersion,
            false => Code::CardInvalid,
        };
        let name = words(&self.name, WORD_CHARS_MAX);
        let message = format!("the agent \"{name}\" has no interface that Keiko can call");
        let told = |i: &Interface| {
            let (binding, version) = (i.binding.as_str(), i.version.as_str());
            [binding, version, "at", &i.url].map(|word| words(word, WORD_CHARS_MAX)).join(" ")
        };
        let own = self.interfaces.iter().map(|own| format!("{} is not spoken", told(own)));
        let place = shown(&self.url);
        let foreign = self.foreign_interfaces.iter();
        let foreign = foreign.map(|foreign| format!("{} is not on {place}", told(foreign)));
        let causes = own.chain(foreign).take(CAUSES_MAX);
        let refusal = causes.fold(Refusal::new(code, message), |refusal, why| refusal.cause(why));
        match code {
            Code::CardInvalid => {
                refusal.hint("register the agent by the address that its card names")
            }
            _ => refusal,
        }
    }
}

fn is_own(card: &Url, interface: &Interface) -> bool {
    // gRPC has no scheme of its own: what counts is that it is not called.
    interface.binding == Binding::Grpc
        || parse_url(&interface.url).is_ok_and(|url| same_origin(&url, card))
}

/// Fields of one object of the card.
struct Reader<'a> {
    url: &'a Url,
    path: &'a str,
    map: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn text(&self, field: &str) -> Option<String> {
        self.map.get(field).and_then(Value::as_str).map(str::to_owned)
    }

    fn required(&self, field: &str) -> Result<String> {
        match self.text(field).filter(|text| !text.trim().is_empty()) {
            Some(text) => Ok(text),
            None => Err(invalid(self.url, &format!("the field {}{field} is missing", self.path))),
        }
    }

    fn texts(&self, field: &str) -> Vec<String> {
        let items = self.map.get(field).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// A list of objects; nothing and null are the empty list.
    fn objects(&self, field: &str) -> Result<Vec<&Map<String, Value>>> {
        let wrong = || {
            invalid(self.url, &format!("the field {}{field} is not a list of objects", self.path))
        };
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) if items.len() > PARTS_MAX => {
                let message = format!("the agent card lists more than {PARTS_MAX} {field}");
                Err(Refusal::new(Code::PeerTooLarge, message))
            }
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_object().ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }
}

fn interfaces(card: &Reader<'_>) -> Result<Vec<Interface>> {
    let listed = card.objects("supportedInterfaces")?;
    if listed.is_empty() {
        return Err(invalid(card.url, "the field supportedInterfaces is empty"));
    }
    let mut interfaces = Vec::with_capacity(listed.len());
    for (at, map) in listed.into_iter().enumerate() {
        let read = Reader { url: card.url, path: &format!("supportedInterfaces[{at}]."), map };
        interfaces.push(Interface {
            url: read.required("url")?,
            binding: Binding::read(&read.required("protocolBinding")?),
            version: Version::read(&read.required("protocolVersion")?),
            tenant: read.text("tenant").filter(|tenant| !tenant.is_empty()),
        });
    }
    Ok(interfaces)
}

fn interfaces_03(card: &Reader<'_>) -> Result<Vec<Interface>> {
    if !card.map.contains_key("url") {
        return Err(invalid(card.url, "it has neither supportedInterfaces (1.0) nor url (0.3)"));
    }
    let version = Version::read(card.text("protocolVersion").as_deref().unwrap_or("0.3"));
    let interface = |url, transport: Option<String>| Interface {
        url,
        binding: transport.map_or(Binding::JsonRpc, |text| Binding::read(&text)),
        version: version.clone(),
        tenant: None,
    };
    let mut interfaces = vec![interface(card.required("url")?, card.text("preferredTransport"))];
    for (at, map) in card.objects("additionalInterfaces")?.into_iter().enumerate() {
        let read = Reader { url: card.url, path: &format!("additionalInterfaces[{at}]."), map };
        let more = interface(read.required("url")?, Some(read.required("transport")?));
        // Many cards repeat the main one in the list.
        if !interfaces.contains(&more) {
            interfaces.push(more);
        }
    }
    Ok(interfaces)
}

fn skills(card: &Reader<'_>) -> Result<Vec<Skill>> {
    let listed = card.objects("skills")?;
    let mut skills: Vec<Skill> = Vec::with_capacity(listed.len());
    for (at, map) in listed.into_iter().enumerate() {
        let read = Reader { url: card.url, path: &format!("skills[{at}]."), map };
        skills.push(Skill {
            id: read.required("id")?,
            name: read.required("name")?,
            description: read.text("description").unwrap_or_default(),
            tags: read.texts("tags"),
            input_modes: read.texts("inputModes"),
            output_modes: read.texts("outputModes"),
            examples: read.texts("examples"),
        });
    }
    Ok(skills)
}

fn invalid(url: &Url, why: &str) -> Refusal {
    Refusal::new(
        Code::CardInvalid,
        format!("the agent card at {}{} is not valid", shown(url), url.path()),
    )
    .cause(why)
}
