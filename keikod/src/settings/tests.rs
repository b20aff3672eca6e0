//! The file, the merge and the reload, as tables.

use super::*;
use std::fs;

fn parsed(text: &str) -> Result<File> {
    File::parse(Path::new("keiko.toml"), text)
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let check = |text: &str, message: &str, also: &str| {
        let refusal = parsed(text).unwrap_err();
        assert_eq!(refusal.code, Code::ConfigInvalid, "{text}");
        assert!(refusal.message.starts_with(message), "{:?} for\n{text}", refusal.message);
        let rest = [refusal.causes, refusal.hints].concat().join("\n");
        assert!(rest.contains(also), "{also:?} is not in {rest:?}");
    };
    check("\n[listen]\napii = 1", "keiko.toml:3: unknown key \"listen.apii\"", "\"listen.api\"?");
    check("[lisen]", "keiko.toml:1: unknown table \"lisen\"", "did you mean \"listen\"?");
    check("filter = 'info'", "keiko.toml:1: unknown key \"filter\"", "\"log.filter\"?");
    check("listen = 7340", "keiko.toml:1: listen is a table", "[listen]");
    check(
        "[node]\nname = 7",
        "keiko.toml:2: node.name has a bad value",
        "expected a text in quotes",
    );
    check("[node]\nname = 'A B'", "keiko.toml:2: node.name has a bad value", "try \"a-b\"");
    check("[node]\nnames = ['a:1']", "keiko.toml:2: node.names", "without a port");
    check(
        "[node]\nnames = ['1','2','3','4','5','6','7','8','9']",
        "keiko.toml:2: node.names",
        "at most 8",
    );
    check("[listen]\napi = '7340'", "keiko.toml:2: listen.api", "expected IP:PORT");
    check("[listen]\nmetrics = '0.0.0.0:1'", "keiko.toml:2: listen.metrics", "loopback");
    check("[socket]\nuids = [1, -1]", "keiko.toml:2: socket.uids", "whole numbers");
    check("[socket]\nuids = [4294967296]", "keiko.toml:2: socket.uids", "32 bits");
    check("[security]\ntls = 'classic'", "keiko.toml:2: security.tls", "require-hybrid");
    check("[socket]\npath = 'here'", "keiko.toml:2: socket.path", "absolute path");
    check("[exec]\nallow = ['/bin/true']", "keiko.toml:2: exec.allow", "each a list");
    check("[exec]\n\nallow = [['/bin/sh']]", "keiko.toml:3: [exec] allow", "add the program");
    check(
        "[credentials.hub]\nto = ['hub']",
        "keiko.toml:2: [credentials.hub]",
        "https://host:port",
    );
    check("[credentials.hub]\ntoo = []", "keiko.toml:2: unknown key", "\"credentials.hub.to\"?");
    check("[egress]\nallow = ['10.0.0.0/99']", "keiko.toml:2: ", "");
    check("[consensus]\nheartbeat_ms = 1", "keiko.toml:2: consensus.heartbeat_ms", "100 to");
    check("[consensus]\nsnapshot_entries = 10", "keiko.toml:2: consensus.snapshot_entries", "1000");
    check("[log]\nformat = 'xml'", "keiko.toml:2: log.format", "auto, human or json");
    check("[log]\nfilter = 'a=loud'", "keiko.toml:2: log.filter", "info,");
    check("[log]\nfilter = ", "keiko.toml:2: ", "TOML");
    check("[log]\nfilter = 'info'\nfilter = 'warn'", "keiko.toml:3: ", "TOML");
}

#[test]
fn a_flag_wins_over_the_file_and_that_over_the_default() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("keiko.toml");
    fs::write(&config, "[listen]\napi = '127.0.0.1:1'\nmetrics = '127.0.0.1:2'\n").unwrap();
    let flag = |value: SocketAddr| Valued { value, origin: Origin::Flag("--listen") };
    let flags = Flags {
        config: Some(Valued { value: config.clone(), origin: Origin::Flag("--config") }),
        data_dir: Some(Valued { value: "/d".into(), origin: Origin::Env("KEIKOD_DATA_DIR") }),
        api: Some(flag(loopback(9))),
        ..Flags::default()
    };
    let settings = Settings::load(&flags).unwrap();
    assert_eq!(settings.api, flag(loopback(9)));
    assert_eq!(*settings.metrics, loopback(2));
    assert_eq!(settings.metrics.origin.to_string(), format!("{}:3", config.display()));
    assert_eq!(*settings.socket_path, PathBuf::from("/d/keiko.sock"));
    assert_eq!(*settings.live.credentials_dir, PathBuf::from("/d/credentials"));
    assert_eq!(settings.keep_days, Valued::default(30));
    assert_eq!(settings.data_dir.origin.to_string(), "environment KEIKOD_DATA_DIR");
}

#[test]
fn elections_wait_for_heartbeats() {
    let check = |text: &str, expect: Option<&str>| {
        let place = tempfile::tempdir().unwrap();
        let config = place.path().join("keiko.toml");
        fs::write(&config, format!("[consensus]\n{text}")).unwrap();
        let config = Some(Valued { value: config, origin: Origin::Flag("--config") });
        let loaded = Settings::load(&Flags { config, ..Flags::default() });
        match expect {
            None => assert!(loaded.is_ok(), "{text}"),
            Some(hint) => assert_eq!(loaded.unwrap_err().hints, [hint], "{text}"),
        }
    };
    check("", None);
    check("heartbeat_ms = 200", Some("set election_ms_min = 600 and election_ms_max = 1200"));
    check("heartbeat_ms = 200\nelection_ms_min = 600\nelection_ms_max = 1200", None);
    check("election_ms_min = 700", Some("set election_ms_max = 1400"));
}

#[test]
fn a_reload_takes_over_what_is_live_and_keeps_the_rest() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("keiko.toml");
    fs::write(&config, "[log]\nfilter = 'info'\n").unwrap();
    let origin = Origin::Flag("--config");
    let flags =
        Flags { config: Some(Valued { value: config.clone(), origin }), ..Flags::default() };
    let current = Current::load(flags).unwrap();
    let named = "[credentials.hub]\nto = ['https://hub:443']\n";
    fs::write(&config, format!("{named}[log]\nfilter = 'debug'\nformat = 'json'\n")).unwrap();
    let reloaded = current.reload().unwrap();
    assert_eq!(reloaded.changed, ["credentials.hub.to", "log.filter"]);
    assert_eq!(reloaded.needs_restart, ["log.format"]);
    assert_eq!(*current.live().log_filter, "debug");
    assert_eq!(*current.settings().log_format, LogFormat::Auto);
    assert_eq!(current.reload().unwrap().changed, Vec::<String>::new());
    let moved = format!("{named}[credentials]\ndir = '/elsewhere'\n[log]\nfilter = 'debug'\n");
    fs::write(&config, moved).unwrap();
    for _ in 0..2 {
        assert_eq!(current.reload().unwrap().needs_restart, ["credentials.dir"]);
        let dir = &current.settings().live.credentials_dir;
        assert_eq!(current.live().credentials_dir, *dir, "the folder stays");
    }
    fs::write(&config, "[log]\nfilterr = 'warn'\n").unwrap();
    assert_eq!(current.reload().unwrap_err().code, Code::ConfigInvalid);
    assert_eq!(*current.live().log_filter, "debug");
}

#[test]
fn check_finds_what_would_go_wrong_and_touches_nothing() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("keiko.toml");
    let text = "[socket]\ngroup = 'no such group'\n[exec]\nallow = [['/no/such/command']]\nuser = 'no such user'\n\
                [credentials.hub]\nto = ['https://hub:443']\n[a2a]\ntrusted_keys = ['none.pem']\n";
    fs::write(&config, text).unwrap();
    let taken = std::net::TcpListener::bind(loopback(0)).unwrap();
    let value = |value: PathBuf| Some(Valued { value, origin: Origin::Flag("--data-dir") });
    let flags = Flags {
        config: value(config),
        data_dir: value(place.path().join("data")),
        api: Some(Valued { value: taken.local_addr().unwrap(), origin: Origin::Flag("--listen") }),
        metrics: Some(Valued::default(loopback(0))),
        socket_path: value(place.path().join("s".repeat(110))),
        ..Flags::default()
    };
    let found: Vec<_> = Settings::load(&flags).unwrap().check();
    let codes: Vec<Code> = found.iter().map(|refusal| refusal.code).collect();
    let expect = [
        Code::SocketPath,
        Code::ConfigInvalid,
        Code::ConfigInvalid,
        Code::ConfigInvalid,
        Code::CredentialMissing,
        Code::ConfigInvalid,
        Code::PortInUse,
    ];
    assert_eq!(codes, expect, "{found:#?}");
    assert!(!place.path().join("data").exists());
}

#[test]
fn check_finds_a_group_that_can_not_reach_the_socket() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("keiko.toml");
    let check = |socket: &str, expect: &[Code]| {
        fs::write(&config, format!("[socket]\ngroup = '1001'\n{socket}")).unwrap();
        let value = |value: PathBuf| Some(Valued { value, origin: Origin::Flag("--data-dir") });
        let flags = Flags {
            config: value(config.clone()),
            data_dir: value(place.path().join("data")),
            api: Some(Valued::default(loopback(0))),
            metrics: Some(Valued::default(loopback(0))),
            ..Flags::default()
        };
        let found = Settings::load(&flags).unwrap().check();
        let codes: Vec<Code> = found.iter().map(|refusal| refusal.code).collect();
        assert_eq!(codes, expect, "{found:#?}");
    };
    check("", &[Code::SocketPath]);
    check("path = '/tmp/keiko-never-made.sock'", &[]);
}

#[test]
fn the_sample_and_the_manual_know_every_key() {
    let sample = include_str!("../../../deploy/keiko.toml");
    let manual = include_str!("../../../man/keiko.toml.5");
    assert!(parsed(sample).is_ok(), "the sample as it is says nothing");
    // A setting is commented out without a space, a remark has one.
    let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ");
    let lines = sample.lines().map(|line| if is_setting(line) { &line[1..] } else { line });
    let whole = lines.collect::<Vec<_>>().join("\n");
    let file = parsed(&whole).unwrap();
    assert!(file.credentials_to.contains_key("hub-token"));
    for key in KEYS {
        let (table, word) = key.rsplit_once('.').unwrap();
        let in_sample = whole.contains(&format!("[{}]", table.replace('*', "hub-token")))
            && whole.lines().any(|line| line.starts_with(&format!("{word} = ")));
        assert!(in_sample, "{key} is not in deploy/keiko.toml");
        let in_manual = manual.contains(&format!(".It Ic {} ", key.replace('*', "NAME")));
        assert!(in_manual, "{key} is not in man/keiko.toml.5");
    }
}
