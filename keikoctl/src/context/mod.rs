//! Which daemon, and as whom: the first way that is set, without falling through.
//!
//! `--endpoint`, `$KEIKO_ENDPOINT`, the current context (that of `keikoctl dev` while it lives),
//! then the sockets of this user's and of root's first daemon. A way that is set and does not work
//! is an error: no command ever reaches another cluster than the one that was meant.

pub(crate) mod file;

use crate::cli::Globals;
use crate::fault::{Outcome, usage};
use file::{Context, File};
use keiko_client::{Endpoint, Identity, Settings, Trust};
use keiko_core::refusal::{Code, Refusal};
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the machine around the command says.
pub(crate) struct Surroundings {
    /// Where contexts are kept; none without a home.
    pub config: Option<PathBuf>,
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
        Self { config: file::path(), links, token: set("KEIKO_TOKEN") }
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
}

/// Finds the way.
pub(crate) fn way(globals: &Globals, around: &Surroundings) -> Outcome<Way> {
    let parse = |text: &str| text.parse::<Endpoint>();
    if let Some(text) = globals.endpoint.as_deref().filter(|text| !text.is_empty()) {
        let origin = "--endpoint or $KEIKO_ENDPOINT".to_owned();
        return Ok(Way { origin, endpoint: parse(text)?, context: Context::default() });
    }
    let file = around.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
    if let Some((name, context)) = file.current()? {
        let origin = format!("the context {name}");
        return Ok(Way { origin, endpoint: parse(&context.endpoint)?, context });
    }
    let link = around.links.iter().find(|link| link.symlink_metadata().is_ok());
    match link {
        Some(link) => Ok(Way {
            origin: "the first daemon's link".to_owned(),
            endpoint: Endpoint::Unix(link.clone()),
            context: Context::default(),
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
        Identity::Process
    };
    let ca = globals.ca.clone().filter(|path| !path.as_os_str().is_empty()).or(context.ca);
    let trust = ca.map(|path| -> Outcome<Trust> { Ok(Trust::from_pem(&read(&path)?)?) });
    Ok(Settings { endpoint, identity, trust: trust.transpose()?, timeout })
}

fn token(path: &Path) -> Outcome<Identity> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    Ok(text.parse::<Identity>()?)
}

fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
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
        fs::write(&config, "current = 'gone'\n").unwrap();
        assert_eq!(found(&[]), "KEIKO-0063");
        fs::write(&config, "curent = 'a'\n").unwrap();
        assert_eq!(found(&[]), "KEIKO-0063");
    }
}
