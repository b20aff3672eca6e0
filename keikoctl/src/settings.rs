//! What holds where no flag and no variable says otherwise, and who said so.
//!
//! Files, the first that says it counts: the project's `.keiko.toml`, found upwards from where the
//! command starts; the user's `config.toml`; the machine's. A project travels with whoever copies
//! it, so its file may set the output and the namespace and nothing else: it never says where
//! commands go, nor as whom. One that belongs to another user is not read.

use crate::cli::Globals;
use crate::context::file::{self, Context, File, invalid};
use crate::context::{Surroundings, set};
use crate::print::{ColorChoice, Format, time};
use crate::usage;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, ValueEnum};
use keiko_core::refusal::{Code, Refusal, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The project's file.
const PROJECT_FILE: &str = ".keiko.toml";
/// What each kind of file may set, besides contexts.
const KEYS: &[&str] = &["output", "namespace", "color", "timeout"];
const PROJECT_KEYS: &[&str] = &["output", "namespace"];
/// The flags of every command whose origin is worth knowing.
const FLAGS: &[&str] =
    &["endpoint", "context", "token_file", "ca", "output", "color", "timeout", "no_input"];

/// Who set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Flag(String),
    /// The environment.
    Variable(String),
    /// A file, or a context in it.
    File(PathBuf, Option<String>),
    /// Nobody.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Variable(name) => write!(f, "${name}"),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::File(path, Some(name)) => write!(f, "context {name} in {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What the command line and the environment said, as it was typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(BTreeMap<&'static str, (Origin, String)>);

impl Given {
    /// Of a parsed command line.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let mut given = BTreeMap::new();
        for id in FLAGS {
            let long = id.replace('_', "-");
            let origin = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => Origin::Flag(format!("--{long}")),
                Some(ValueSource::EnvVariable) => {
                    Origin::Variable(format!("KEIKO_{}", id.to_ascii_uppercase()))
                }
                _ => continue,
            };
            let raw = matches.get_raw(id).into_iter().flatten();
            let text = raw.map(|raw| raw.to_string_lossy()).collect::<Vec<_>>().join(",");
            if !text.is_empty() {
                given.insert(*id, (origin, text));
            }
        }
        Self(given)
    }

    /// As if only this flag had been given.
    #[cfg(test)]
    pub(crate) fn flag(id: &'static str) -> Self {
        Self(BTreeMap::from([(id, (Origin::Flag(format!("--{id}")), String::new()))]))
    }

    /// Who gave a flag, and what.
    pub(crate) fn get(&self, id: &str) -> Option<&(Origin, String)> {
        self.0.get(id)
    }

    /// True if it stood on the command line.
    pub(crate) fn is_flag(&self, id: &str) -> bool {
        matches!(self.get(id), Some((Origin::Flag(_), _)))
    }
}

/// One file of settings.
#[derive(Clone, Debug)]
struct Layer {
    path: PathBuf,
    values: BTreeMap<&'static str, String>,
}

/// A context and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chosen {
    pub name: String,
    pub context: Context,
    /// The file that it stands in; for the throw-away node's, the one that notes it.
    pub path: PathBuf,
}

/// All files together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// As they count.
    layers: Vec<Layer>,
    /// The user's, then the machine's.
    contexts: Vec<(PathBuf, File)>,
    /// A project's file that was not read.
    pub foreign: Option<PathBuf>,
}

impl Files {
    /// Reads them. One that is not there says nothing.
    pub(crate) fn read(around: &Surroundings) -> Result<Self> {
        let mut files = Self::default();
        if let Some(path) = &around.project {
            match is_foreign(path) {
                true => files.foreign = Some(path.clone()),
                false => files.layers.push(project(path)?),
            }
        }
        for path in [&around.config, &around.system].into_iter().flatten() {
            let file = File::read(path)?;
            let texts = [&file.output, &file.namespace, &file.color, &file.timeout];
            let values =
                KEYS.iter().zip(texts).filter_map(|(key, text)| Some((*key, text.clone()?)));
            let layer = Layer { path: path.clone(), values: values.collect() };
            layer.check()?;
            files.layers.push(layer);
            files.contexts.push((path.clone(), file));
        }
        Ok(files)
    }

    /// The files that are there.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.layers.iter().map(|layer| layer.path.as_path()).filter(|path| path.exists())
    }

    /// What the files say of a key.
    pub(crate) fn value(&self, key: &str) -> Option<(String, Origin)> {
        self.layers.iter().find_map(|layer| {
            let text = layer.values.get(key)?.clone();
            Some((text, Origin::File(layer.path.clone(), None)))
        })
    }

    /// The namespace. That of a context counts before that of the file which it stands in.
    pub(crate) fn namespace(&self, chosen: Option<&Chosen>) -> Option<(String, Origin)> {
        let of_context = chosen.and_then(|chosen| {
            let origin = Origin::File(chosen.path.clone(), Some(chosen.name.clone()));
            Some((chosen.context.namespace.clone()?, origin))
        });
        let is_project = |layer: &&Layer| layer.path.ends_with(PROJECT_FILE);
        let project = self.layers.first().filter(is_project).and_then(|layer| {
            let text = layer.values.get("namespace")?.clone();
            Some((text, Origin::File(layer.path.clone(), None)))
        });
        project.or(of_context).or_else(|| self.value("namespace"))
    }

    /// Every context; the user's hides the machine's of the same name.
    pub(crate) fn contexts(&self) -> BTreeMap<String, Chosen> {
        let mut all = BTreeMap::new();
        for (path, file) in self.contexts.iter().rev() {
            for (name, context) in &file.contexts {
                let (name, context, path) = (name.clone(), context.clone(), path.clone());
                all.insert(name.clone(), Chosen { name, context, path });
            }
        }
        if let Some(dev) = self.dev() {
            all.insert("dev".to_owned(), dev);
        }
        all
    }

    fn dev(&self) -> Option<Chosen> {
        let (path, dev) =
            self.contexts.iter().find_map(|(path, file)| Some((path, file.dev.as_ref()?)))?;
        let context = Context { endpoint: dev.endpoint.clone(), ..Context::default() };
        dev.lives().then(|| Chosen { name: "dev".to_owned(), context, path: path.clone() })
    }

    /// A context by its name.
    pub(crate) fn named(&self, name: &str) -> Result<Chosen> {
        let mut all = self.contexts();
        if let Some(found) = all.remove(name) {
            return Ok(found);
        }
        let refusal = Refusal::new(Code::ContextInvalid, format!("there is no context {name:?}"));
        let refusal = match all.is_empty() {
            true => refusal.cause("there is none at all"),
            false => {
                let names: Vec<String> = all.into_keys().collect();
                refusal.cause(format!("there are {}", names.join(", ")))
            }
        };
        Err(refusal.hint(format!("keikoctl context add {name} --endpoint https://HOST:7340")))
    }

    /// The context that counts where none is named: that of `keikoctl dev` while it lives.
    pub(crate) fn current(&self) -> Result<Option<Chosen>> {
        if let Some(dev) = self.dev() {
            return Ok(Some(dev));
        }
        let Some((path, name)) =
            self.contexts.iter().find_map(|(path, file)| Some((path, file.current.as_ref()?)))
        else {
            return Ok(None);
        };
        self.named(name).map(Some).map_err(|refusal| Refusal {
            message: format!("the current context {name:?} is not among the contexts"),
            causes: vec![format!("{} names it", path.display())],
            hints: vec!["keikoctl context use NAME chooses another; keikoctl context list".into()],
            ..refusal
        })
    }

    /// The command with the namespace of the files as its default. The words are looked at before
    /// they are parsed, as the namespace depends on the context.
    pub(crate) fn dress(&self, command: Command, words: &[OsString]) -> Command {
        match self.namespace(self.meant(words, set).as_ref()) {
            Some((namespace, _)) => with_namespace(command, &namespace),
            None => command,
        }
    }

    /// The context that the words go by; none if an endpoint leads elsewhere. `variable` reads the
    /// environment.
    fn meant(
        &self,
        words: &[OsString],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Option<Chosen> {
        let flag = |long| usage::flag(words, long, None).filter(|value| !value.is_empty());
        let named = flag("--context");
        let to_endpoint = flag("--endpoint").is_some()
            || (named.is_none() && variable("KEIKO_ENDPOINT").is_some());
        if to_endpoint {
            return None;
        }
        // A context that can't be used is refused where it is used.
        match named.map(str::to_owned).or_else(|| variable("KEIKO_CONTEXT")) {
            Some(name) => self.named(&name).ok(),
            None => self.current().ok().flatten(),
        }
    }

    /// What the command line left open.
    pub(crate) fn fill(&self, globals: &mut Globals) {
        let open = |key: &str| match globals.given.get(key) {
            Some(_) => None,
            None => self.value(key).map(|(text, _)| text),
        };
        // The texts were checked when they were read.
        let output = open("output").and_then(|text| text.parse().ok());
        let timeout = open("timeout").and_then(|text| time::duration(&text).ok());
        let color = open("color").and_then(|text| ColorChoice::from_str(&text, false).ok());
        globals.output = globals.output.take().or(output);
        globals.timeout = globals.timeout.or(timeout);
        globals.color = color.unwrap_or(globals.color);
    }
}

impl Layer {
    fn check(&self) -> Result<()> {
        for (key, text) in &self.values {
            let checked = match *key {
                "output" => text.parse::<Format>().map(drop),
                "color" => ColorChoice::from_str(text, false).map(drop),
                "timeout" => time::duration(text).map(drop),
                _ => check_namespace(text),
            };
            checked.map_err(|why| {
                invalid(&self.path, &format!("has a bad value for {key:?}: {text:?}")).cause(why)
            })?;
        }
        Ok(())
    }
}

/// The law's own rule is the daemon's to keep; this only keeps nonsense from being sent.
pub(crate) fn check_namespace(text: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match !text.is_empty() && text.len() <= 63 && text.bytes().all(fits) {
        true => Ok(()),
        false => Err("a namespace is of a-z, 0-9 and -, 63 characters at most".to_owned()),
    }
}

/// The verbs of the rooms get the default; `context add --namespace` is something else.
fn with_namespace(command: Command, namespace: &str) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .filter(|name| name != "context")
        .collect();
    let has = command.get_arguments().any(|argument| argument.get_id() == "namespace");
    let command = match has {
        true => {
            command.mut_arg("namespace", |argument| argument.default_value(namespace.to_owned()))
        }
        false => command,
    };
    names.iter().fold(command, |command, name| {
        command.mut_subcommand(name, |below| with_namespace(below, namespace))
    })
}

/// The nearest project file: from `from` upwards to the home folder or the root.
pub(crate) fn find_project(from: &Path, home: Option<&Path>) -> Option<PathBuf> {
    for folder in from.ancestors() {
        let path = folder.join(PROJECT_FILE);
        if path.is_file() {
            return Some(path);
        }
        if Some(folder) == home {
            return None;
        }
    }
    None
}

/// True if neither this user nor root wrote it, or put a link to it there: what others leave in a
/// shared folder says nothing.
fn is_foreign(path: &Path) -> bool {
    let ours = [0, nix::unistd::geteuid().as_raw()];
    let of_others =
        |file: std::io::Result<Metadata>| file.is_ok_and(|file| !ours.contains(&file.uid()));
    of_others(path.symlink_metadata()) || of_others(path.metadata())
}

fn project(path: &Path) -> Result<Layer> {
    let text = file::text(path)?.unwrap_or_default();
    let table: toml::Table = toml::from_str(&text)
        .map_err(|error| invalid(path, "is malformed").cause(error.to_string().trim()))?;
    let mut values = BTreeMap::new();
    for (key, value) in &table {
        let Some(known) = PROJECT_KEYS.iter().find(|known| *known == key) else {
            return Err(invalid(path, &format!("may not set {key:?}"))
                .cause("a project's file sets output and namespace; where commands go and as whom is yours to say")
                .hint(format!("take {key:?} out of it"))
                .hint("your own settings: keikoctl context show --origin"));
        };
        let Some(text) = value.as_str() else {
            return Err(
                invalid(path, &format!("has a bad value for {key:?}")).cause("it is a text")
            );
        };
        values.insert(*known, text.to_owned());
    }
    let layer = Layer { path: path.to_owned(), values };
    layer.check()?;
    Ok(layer)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
