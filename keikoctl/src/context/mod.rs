//! Which daemon, and as whom: the first way that is set, without falling through.
//!
//! `--endpoint` or `--context`, their variables, the current context (that of `keikoctl dev` while
//! it lives), then the sockets of this user's and of root's first daemon. A way that is set and does
//! not work is an error: no command ever reaches another cluster than the one that was meant.

mod args;
mod enroll;
pub(crate) mod file;
mod renew;
mod show;
mod test;
mod verbs;

pub(crate) use args::ContextVerb;
pub(crate) use renew::Renewal;
pub(crate) use test::{run as test, who};
pub(crate) use verbs::run;

use crate::cli::Globals;
use crate::fault::{Outcome, usage};
use crate::settings::{self, Chosen, Files, Origin};
use file::Context;
use keiko_client::{Endpoint, Identity, Settings, Trust};
use keiko_core::refusal::{Code, Refusal};
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The machine's file of contexts and settings.
const SYSTEM_FILE: &str = "/etc/keiko/config.toml";

/// What the machine around the command says.
pub(crate) struct Surroundings {
    /// Where the user's contexts are kept; none without a home.
    pub config: Option<PathBuf>,
    /// Where the machine's are.
    pub system: Option<PathBuf>,
    /// The project's file, if there is one.
    pub project: Option<PathBuf>,
    /// The links that daemons leave, in the order in which they count.
    pub links: Vec<PathBuf>,
    /// `$KEIKO_TOKEN`.
    pub token: Option<String>,
}

impl Surroundings {
    /// Of this process.
    pub(crate) fn of_process() -> Self {
        let runtime =
            set("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("keiko/keiko.sock"));
        let links = runtime.into_iter().chain(["/run/keiko/keiko.sock".into()]).collect();
        let home = set("HOME").map(PathBuf::from);
        let here = env::current_dir().ok();
        Self {
            config: file::path(),
            system: Some(SYSTEM_FILE.into()),
            project: here.and_then(|here| settings::find_project(&here, home.as_deref())),
            links,
            token: set("KEIKO_TOKEN"),
        }
    }
}

/// A variable that is set and not empty.
pub(crate) fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A way to a daemon.
#[derive(Debug, PartialEq)]
pub(crate) struct Way {
    /// What set it, for `-v` and for errors.
    pub origin: String,
    /// Where.
    pub endpoint: Endpoint,
    /// What its context says of the identity.
    pub context: Context,
    /// Its name; empty without one.
    pub name: String,
}

impl Way {
    fn of(chosen: Chosen) -> Outcome<Self> {
        let Chosen { name, context, path } = chosen;
        let origin = Origin::File(path, Some(name.clone()));
        let endpoint = context.endpoint.parse::<Endpoint>().map_err(|error| {
            let error = Refusal::from_wire(*error.refusal);
            Refusal::new(Code::ContextInvalid, format!("the context {name} has no endpoint"))
                .cause(error.message)
                .hint(format!("keikoctl context add {name} --replace --endpoint https://HOST:7340"))
        })?;
        Ok(Self { origin: origin.to_string(), endpoint, context, name })
    }
}

/// Finds the way.
pub(crate) fn way(globals: &Globals, around: &Surroundings) -> Outcome<Way> {
    let named = globals.context.as_deref().filter(|text| !text.is_empty());
    let flags = (globals.given.is_flag("endpoint"), globals.given.is_flag("context"));
    match (globals.endpoint(), named) {
        (Some(_), Some(_)) if flags.0 == flags.1 => {
            return Err(Refusal::new(
                Code::ContextInvalid,
                "two ways are set: an endpoint and a context",
            )
            .cause("a command goes where one of them says, and nobody knows which is meant")
            .hint("drop one of --endpoint ($KEIKO_ENDPOINT) and --context ($KEIKO_CONTEXT)")
            .into());
        }
        (Some(endpoint), named) if named.is_none() || flags.0 => {
            let origin = globals.given.get("endpoint").map(|(origin, _)| origin.to_string());
            return Ok(Way {
                origin: origin.unwrap_or_else(|| "--endpoint".to_owned()),
                endpoint: endpoint?,
                context: Context::default(),
                name: String::new(),
            });
        }
        _ => {}
    }
    let files = Files::read(around)?;
    let chosen = match named {
        Some(name) => Some(files.named(name)?),
        None => files.current()?,
    };
    if let Some(chosen) = chosen {
        return Way::of(chosen);
    }
    let link = around.links.iter().find(|link| link.symlink_metadata().is_ok());
    match link {
        Some(link) => Ok(Way {
            origin: "the first daemon's link".to_owned(),
            endpoint: Endpoint::Unix(link.clone()),
            context: Context::default(),
            name: String::new(),
        }),
        None => Err(Refusal::new(Code::NoEndpoint, "no daemon is configured and none runs here")
            .cause("neither --endpoint, $KEIKO_ENDPOINT nor a context is set")
            .hint("a throw-away node: keikoctl dev")
            .hint("a node of your own: keikod run --data-dir D --init")
            .hint("another machine's: keikoctl --endpoint https://HOST:7340 --token-file FILE")
            .into()),
    }
}

/// Identity and trust for a way.
pub(crate) fn settings(
    way: Way,
    globals: &Globals,
    around: &Surroundings,
    timeout: Duration,
) -> Outcome<Settings> {
    let Way { endpoint, context, .. } = way;
    let file = globals.token_file.clone().filter(|path| !path.as_os_str().is_empty());
    let identity = if let Some(path) = file {
        token(&path)?
    } else if let Some(text) = &around.token {
        text.parse()?
    } else if let Some(path) = &context.token_file {
        token(path)?
    } else {
        certificate(&endpoint, &context)?.unwrap_or(Identity::Process)
    };
    let ca = globals.ca.clone().filter(|path| !path.as_os_str().is_empty()).or(context.ca);
    let trust = ca.map(|path| -> Outcome<Trust> { Ok(Trust::from_pem(&read(&path)?)?) });
    let fence = globals.fence.clone();
    Ok(Settings { endpoint, identity, trust: trust.transpose()?, timeout, fence })
}

pub(crate) fn token(path: &Path) -> Outcome<Identity> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    Ok(text.parse::<Identity>()?)
}

/// The client certificate of a context. A unix socket knows its callers without one.
fn certificate(endpoint: &Endpoint, context: &Context) -> Outcome<Option<Identity>> {
    let (Some(certificate), Some(key)) = (&context.certificate, &context.key) else {
        return Ok(None);
    };
    if matches!(endpoint, Endpoint::Unix(_)) {
        return Ok(None);
    }
    let text = |path: &Path| Ok::<_, Refusal>(String::from_utf8_lossy(&read(path)?).into_owned());
    Ok(Some(Identity::Certificate { chain_pem: text(certificate)?, key_pem: text(key)? }))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
    std::fs::read(path)
        .map_err(|error| usage(format!("{} can't be read", path.display())).cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;
    use std::fs;

    fn globals(words: &[&str]) -> Globals {
        let line = ["keikoctl", "version"].iter().chain(words);
        Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).globals
    }

    #[test]
    fn the_first_way_that_is_set_counts() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml");
        let (near, far) = (folder.path().join("near"), folder.path().join("far"));
        let around = Surroundings {
            config: Some(config.clone()),
            system: None,
            project: None,
            links: vec![near.clone(), far.clone()],
            token: None,
        };
        let found = |words: &[&str]| match way(&globals(words), &around) {
            Ok(way) => way.endpoint.to_string(),
            Err(crate::fault::Stop::Refused(fault)) => fault.refusal.code.to_string(),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(found(&[]), "KEIKO-0011");
        fs::write(&far, "").unwrap();
        assert_eq!(found(&[]), format!("unix:{}", far.display()));
        // A link whose daemon is gone is set all the same.
        std::os::unix::fs::symlink("/nowhere", &near).unwrap();
        assert_eq!(found(&[]), format!("unix:{}", near.display()));
        fs::write(&config, "current = 'a'\n[contexts.a]\nendpoint = 'a:1'\n").unwrap();
        assert_eq!(found(&[]), "https://a:1");
        let own = file::started(std::process::id());
        let dev = |pid: u32, started: u64| {
            let text = fs::read_to_string(&config).unwrap();
            let base = text.split("[dev]").next().unwrap();
            let dev = format!("[dev]\nendpoint = 'unix:/d'\npid = {pid}\nstarted = {started}\n");
            fs::write(&config, format!("{base}{dev}")).unwrap();
        };
        dev(std::process::id(), own);
        assert_eq!(found(&[]), "unix:/d");
        dev(std::process::id(), own + 1);
        assert_eq!(found(&[]), "https://a:1", "the same pid, but another process");
        dev(u32::MAX >> 1, 1);
        assert_eq!(found(&[]), "https://a:1");
        assert_eq!(found(&["--endpoint", "b:2"]), "https://b:2");
        assert_eq!(found(&["--endpoint", "http://b"]), "KEIKO-0002");
        let members = "https://b:2,https://c:3,https://d:4";
        assert_eq!(found(&["--endpoint", "b:2,c:3", "--endpoint", "d:4"]), members);
        assert_eq!(found(&["--endpoint", "b:2", "--endpoint", ""]), "https://b:2");
        assert_eq!(found(&["--endpoint", "unix:/d", "--endpoint", "b:2"]), "KEIKO-0002");
        assert_eq!(found(&["--context", "a"]), "https://a:1");
        assert_eq!(found(&["--context", "nobody"]), "KEIKO-0084");
        assert_eq!(found(&["--endpoint", "b:2", "--context", "a"]), "KEIKO-0084");
        fs::write(&config, "current = 'gone'\n").unwrap();
        assert_eq!(found(&[]), "KEIKO-0084");
        fs::write(&config, "curent = 'a'\n").unwrap();
        assert_eq!(found(&[]), "KEIKO-0084");
    }

    #[test]
    fn a_flag_wins_over_the_others_variable() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml");
        fs::write(&config, "[contexts.a]\nendpoint = 'a:1'\n").unwrap();
        let around = Surroundings {
            config: Some(config),
            system: None,
            project: None,
            links: Vec::new(),
            token: None,
        };
        for (flag, expect) in [("endpoint", "https://b:2"), ("context", "https://a:1")] {
            let mut globals = globals(&["--endpoint", "b:2", "--context", "a"]);
            globals.given = settings::Given::flag(flag);
            let found = way(&globals, &around).unwrap();
            assert_eq!(found.endpoint.to_string(), expect);
        }
    }
}
