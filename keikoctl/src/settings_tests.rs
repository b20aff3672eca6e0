//! Which file says what, and what a project may not say.

use super::*;
use crate::cli::Cli;
use clap::{CommandFactory, FromArgMatches};
use std::fs;

fn around(folder: &Path) -> Surroundings {
    Surroundings {
        config: Some(folder.join("user.toml")),
        system: Some(folder.join("system.toml")),
        project: find_project(&folder.join("home/a/b"), Some(&folder.join("home"))),
        links: Vec::new(),
        token: None,
    }
}

fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("home/a/b")).unwrap();
    folder
}

#[test]
fn a_project_sets_output_and_namespace_and_nothing_else() {
    let folder = place();
    let path = folder.path().join("home/a/.keiko.toml");
    for (text, expect) in [
        ("output = 'json'\nnamespace = 'team-a'\n", None),
        ("", None),
        ("endpoint = 'x:1'\n", Some("may not set \"endpoint\"")),
        ("context = 'x'\n", Some("may not set \"context\"")),
        ("current = 'x'\n", Some("may not set \"current\"")),
        ("token_file = 'x'\n", Some("may not set \"token_file\"")),
        ("ca = 'x'\n", Some("may not set \"ca\"")),
        ("[contexts.a]\nendpoint = 'x'\n", Some("may not set \"contexts\"")),
        ("color = 'never'\n", Some("may not set \"color\"")),
        ("output = 'xml'\n", Some("bad value for \"output\"")),
        ("output = 1\n", Some("bad value for \"output\"")),
        ("namespace = 'Ä'\n", Some("bad value for \"namespace\"")),
        ("output = \n", Some("is malformed")),
    ] {
        fs::write(&path, text).unwrap();
        match (Files::read(&around(folder.path())), expect) {
            (Ok(_), None) => {}
            (Err(refusal), Some(words)) => {
                assert_eq!(refusal.code, Code::ContextInvalid, "{text}");
                assert!(refusal.message.contains(words), "{text}: {refusal:?}");
                assert!(refusal.message.contains(".keiko.toml"), "{text}: {refusal:?}");
            }
            (other, _) => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn a_project_file_is_found_upwards_and_no_further_than_home() {
    let folder = place();
    let (home, start) = (folder.path().join("home"), folder.path().join("home/a/b"));
    let found = || find_project(&start, Some(&home));
    fs::write(folder.path().join(PROJECT_FILE), "").unwrap();
    assert_eq!(found(), None, "above the home folder");
    fs::write(home.join(PROJECT_FILE), "").unwrap();
    assert_eq!(found(), Some(home.join(PROJECT_FILE)));
    fs::write(start.join(PROJECT_FILE), "").unwrap();
    assert_eq!(found(), Some(start.join(PROJECT_FILE)));
    let outside = find_project(folder.path(), Some(&home));
    assert_eq!(outside, Some(folder.path().join(PROJECT_FILE)));
}

#[test]
fn the_first_file_that_says_it_counts() {
    let folder = place();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let read = || Files::read(&around(folder.path())).unwrap();
    let namespace = |files: &Files| {
        let current = files.current().unwrap();
        files.namespace(current.as_ref()).map(|(text, _)| text)
    };
    assert_eq!(namespace(&read()), None);
    put(
        "system.toml",
        "namespace = 's'\noutput = 'yaml'\ncurrent = 'far'\n[contexts.far]\nendpoint = 'f:1'\n",
    );
    let files = read();
    assert_eq!(namespace(&files).as_deref(), Some("s"));
    assert_eq!(files.current().unwrap().unwrap().name, "far");
    put("user.toml", "namespace = 'u'\ncurrent = 'near'\n[contexts.near]\nendpoint = 'n:1'\n");
    let files = read();
    assert_eq!(namespace(&files).as_deref(), Some("u"));
    assert_eq!(files.value("output").unwrap().0, "yaml");
    assert_eq!(files.contexts().len(), 2);
    put(
        "user.toml",
        "namespace = 'u'\ncurrent = 'near'\n[contexts.near]\nendpoint = 'n:1'\nnamespace = 'c'\n",
    );
    let files = read();
    assert_eq!(namespace(&files).as_deref(), Some("c"), "the context's own");
    put("home/a/.keiko.toml", "namespace = 'p'\n");
    assert_eq!(namespace(&read()).as_deref(), Some("p"));
    put("user.toml", "current = 'gone'\n");
    let refusal = read().current().unwrap_err();
    assert_eq!(refusal.code, Code::ContextInvalid);
    assert_eq!(read().named("farr").unwrap_err().causes, ["there are far"]);
}

#[test]
fn an_endpoint_has_nothing_of_the_current_context() {
    let folder = place();
    let text = "current = 'near'\n[contexts.near]\nendpoint = 'n:1'\nnamespace = 'near'\n\
                [contexts.far]\nendpoint = 'f:1'\nnamespace = 'far'\n";
    fs::write(folder.path().join("user.toml"), text).unwrap();
    let files = Files::read(&around(folder.path())).unwrap();
    for (line, endpoint, context, expect) in [
        ("agent list", None, None, Some("near")),
        ("agent list --endpoint x:1", None, None, None),
        ("agent list --endpoint=x:1", None, Some("far"), None),
        ("agent list", Some("x:1"), None, None),
        ("agent list --context far", Some("x:1"), None, Some("far")),
        ("agent list", None, Some("far"), Some("far")),
        ("agent list --context near", None, Some("far"), Some("near")),
    ] {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let variable = |name: &str| {
            let value = if name == "KEIKO_ENDPOINT" { endpoint } else { context };
            value.map(str::to_owned)
        };
        let meant = files.meant(&words, variable).and_then(|chosen| chosen.context.namespace);
        assert_eq!(meant.as_deref(), expect, "{line} {endpoint:?} {context:?}");
    }
}

#[test]
fn a_link_of_another_user_is_not_followed() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can give a link away.
        return;
    }
    let folder = place();
    let (file, link) = (folder.path().join("mine"), folder.path().join("home/a/.keiko.toml"));
    fs::write(&file, "namespace = 'theirs'\n").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(!is_foreign(&link));
    std::os::unix::fs::lchown(&link, Some(12_345), None).unwrap();
    assert!(is_foreign(&link), "the link");
    std::os::unix::fs::lchown(&link, Some(0), None).unwrap();
    std::os::unix::fs::chown(&file, Some(12_345), None).unwrap();
    assert!(is_foreign(&link), "what it leads to");
    assert_eq!(Files::read(&around(folder.path())).unwrap().foreign, Some(link));
}

#[test]
fn files_say_what_the_command_line_left_open() {
    let folder = place();
    let text = "output = 'json'\ntimeout = '3s'\ncolor = 'never'\nnamespace = 'u'\n\
                [contexts.a]\nendpoint = 'a:1'\nnamespace = 'n'\n";
    fs::write(folder.path().join("user.toml"), text).unwrap();
    let files = Files::read(&around(folder.path())).unwrap();
    let parse = |line: &str| {
        let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        let command = files.dress(Cli::command(), &words);
        let matches = command.try_get_matches_from(&words).unwrap();
        let mut globals = Cli::from_arg_matches(&matches).unwrap().globals;
        globals.given = Given::of(&matches);
        files.fill(&mut globals);
        let (_, agent) = matches.subcommand().unwrap();
        let namespace: Option<&String> = agent.subcommand().unwrap().1.get_one("namespace");
        (globals, namespace.cloned().unwrap())
    };
    let (globals, namespace) = parse("keikoctl agent list");
    assert_eq!(globals.output, "json".parse().ok());
    assert_eq!(globals.timeout, time::duration("3s").ok());
    assert_eq!(globals.color, ColorChoice::Never);
    assert_eq!(namespace, "u");
    let (globals, namespace) =
        parse("keikoctl agent list -o yaml --timeout 9s --color always -n mine --context a");
    assert_eq!(globals.output, "yaml".parse().ok());
    assert_eq!(globals.timeout, time::duration("9s").ok());
    assert_eq!(globals.color, ColorChoice::Always);
    assert_eq!(namespace, "mine");
    assert!(globals.given.is_flag("output") && !globals.given.is_flag("endpoint"));
    assert_eq!(parse("keikoctl agent list --context a").1, "n");
}
