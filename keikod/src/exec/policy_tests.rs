use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn policy(root: bool, user: Option<&str>, allow: &[&str]) -> Policy {
    let allow = allow.iter().map(|line| words(line)).collect();
    Policy::new("n1", root, user.map(str::to_owned), allow).unwrap()
}

fn grant(node: &str, uid: u32) -> Option<Grant> {
    Some(Grant { node: node.into(), uid })
}

#[test]
fn decides_by_grant_and_by_line() {
    let allow = ["/usr/bin/node /opt/srv/index.js", "/opt/time"];
    let check = |argv: &str, grant: Option<Grant>, allowed: bool| {
        let decided = policy(false, None, &allow).decide(&words(argv), grant.as_ref());
        match decided {
            Ok(run_as) => assert!(allowed && run_as == RunAs::Daemon, "{argv}"),
            Err(refusal) => assert!(!allowed && refusal.code == Code::ExecRefused, "{refusal}"),
        }
    };
    check("/bin/anything", grant("n1", 0), true);
    check("/bin/anything", grant("n1", 1000), true);
    check("/bin/anything", grant("n2", 0), false);
    check("/bin/anything", None, false);
    check("/usr/bin/node /opt/srv/index.js", None, true);
    check("/usr/bin/node /opt/srv/index.js --port 1", None, true);
    check("/usr/bin/node /opt/srv/index.js", grant("n2", 0), true);
    check("/usr/bin/node /opt/srv/index.jsx", None, false);
    check("/usr/bin/node /opt/srv/other.js /opt/srv/index.js", None, false);
    check("/usr/bin/node", None, false);
    check("/opt/time --utc", None, true);
    check("/opt/timer", None, false);
    check("/opt/../opt/time", None, false);
    check("time", grant("n1", 0), false);
    check("./time", grant("n1", 0), false);
}

#[test]
fn says_as_whom() {
    let check = |root, user, grant: Option<Grant>, expect: RunAs| {
        let decided =
            policy(root, user, &["/opt/time"]).decide(&words("/opt/time"), grant.as_ref());
        assert_eq!(decided, Ok(expect));
    };
    check(false, None, None, RunAs::Daemon);
    check(false, Some("mcp"), grant("n1", 1000), RunAs::Daemon);
    check(true, None, grant("n1", 1000), RunAs::Uid(1000));
    check(true, Some("mcp"), grant("n1", 1000), RunAs::Uid(1000));
    check(true, Some("mcp"), grant("n1", 0), RunAs::User("mcp".into()));
    check(true, Some("mcp"), None, RunAs::User("mcp".into()));
    check(true, None, grant("n1", 0), RunAs::ConfinedRoot);
    check(true, None, None, RunAs::ConfinedRoot);
    // The uid of another node means nothing here.
    check(true, None, grant("n2", 1000), RunAs::ConfinedRoot);
}

#[test]
fn the_hint_is_a_line_that_the_check_takes() {
    let check = |argv: &str, expect: &str| {
        let refusal = policy(false, None, &[]).decide(&words(argv), None).unwrap_err();
        let line = refusal.hints.last().unwrap();
        assert!(line.ends_with(expect), "{line}");
    };
    check("/opt/time --key private", r#"allow = [["/opt/time"]]"#);
    check("/usr/bin/node /opt/a.js private", r#"allow = [["/usr/bin/node", "/opt/a.js"]]"#);
    check("/usr/bin/env -S python3 a.py", r#"allow = [["/usr/bin/env", "-S", "python3", "a.py"]]"#);
}

#[test]
fn refuses_an_argv_that_cannot_run() {
    let check = |argv: Vec<String>, expect: Code| {
        let refusal = policy(false, None, &[]).decide(&argv, grant("n1", 0).as_ref());
        assert_eq!(refusal.unwrap_err().code, expect);
    };
    check(vec![], Code::InvalidArgument);
    check(vec!["/bin/a\0b".into()], Code::InvalidArgument);
    check(vec!["/bin/a".into(); ARGV_WORDS_MAX + 1], Code::LimitExceeded);
    check(vec!["/bin/a".into(), "x".repeat(ARGV_BYTES_MAX)], Code::LimitExceeded);
}

#[test]
fn the_configuration_is_checked() {
    let check = |line: &str, expect: Option<&str>| {
        let checked = Policy::check_config(&[words("/opt/time"), words(line)]);
        match (checked, expect) {
            (Ok(()), None) => {}
            (Err(refusal), Some(expect)) => {
                assert_eq!(refusal.code, Code::ConfigInvalid);
                assert!(refusal.message.contains(expect), "{refusal}");
            }
            (checked, _) => panic!("{line}: {checked:?}"),
        }
    };
    check("", Some("empty line"));
    check("node /opt/a.js", Some("absolute path"));
    check("/usr/bin/node", Some("whatever node can run"));
    check("/bin/sh -c", Some("whatever sh can run"));
    check("/usr/bin/env", Some("whatever env can run"));
    check("/usr/bin/node /opt/a.js", None);
    assert!(Policy::new("n1", true, None, vec![words("/bin/sh")]).is_err());
}
