use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

const ORIGIN: &str = "https://api.example.com:443";

/// A folder with one of each kind, and a line that lets `github` go to one origin and one command.
fn folder() -> (tempfile::TempDir, Credentials) {
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("credentials");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.join("github"), "s3cret\n").unwrap();
    fs::write(dir.join("windows"), "s3cret\r\n").unwrap();
    fs::write(dir.join("pem"), "line\nline\n\n").unwrap();
    fs::write(dir.join("empty"), "\n").unwrap();
    fs::write(dir.join("largest"), vec![b'x'; CREDENTIAL_BYTES_MAX]).unwrap();
    fs::write(dir.join("larger"), vec![b'x'; CREDENTIAL_BYTES_MAX + 1]).unwrap();
    fs::create_dir(dir.join("folder")).unwrap();
    nix::unistd::mkfifo(&dir.join("fifo"), Mode::S_IRUSR).unwrap();
    fs::write(outside.path().join("outside"), "s3cret").unwrap();
    symlink(outside.path().join("outside"), dir.join("link")).unwrap();
    symlink("github", dir.join("inner-link")).unwrap();
    let to = BTreeMap::from([(
        "github".into(),
        vec!["https://API.example.com".into(), "/opt/time".into()],
    )]);
    let credentials = Credentials::new(dir, &to).unwrap();
    (outside, credentials)
}

fn origin(text: &str) -> Destination {
    Destination::origin(&Url::parse(text).unwrap()).unwrap()
}

#[test]
fn reads_regular_files_only() {
    let (_outside, credentials) = folder();
    let check = |name: &str, expect: std::result::Result<&str, Code>| {
        let value = credentials.value_for(name, &origin(ORIGIN), true);
        match (value, expect) {
            (Ok(value), Ok(expect)) => assert_eq!(value.expose(), expect.as_bytes(), "{name}"),
            (Err(refusal), Err(code)) => {
                assert_eq!(refusal.code, code, "{name}: {refusal}");
                assert!(!format!("{refusal:?}").contains("s3cret"));
            }
            (value, _) => panic!("{name}: {value:?}"),
        }
    };
    check("github", Ok("s3cret"));
    check("windows", Ok("s3cret"));
    check("pem", Ok("line\nline\n"));
    check("largest", Ok(&"x".repeat(CREDENTIAL_BYTES_MAX)));
    check("larger", Err(Code::CredentialRefused));
    check("empty", Err(Code::CredentialRefused));
    check("folder", Err(Code::CredentialRefused));
    check("fifo", Err(Code::CredentialRefused));
    check("link", Err(Code::CredentialRefused));
    check("inner-link", Err(Code::CredentialRefused));
    check("absent", Err(Code::CredentialMissing));
    for path in ["", ".", "..", ".hidden", "../outside", "/etc/hostname", "a/b", "a\0b", "a\nb"] {
        check(path, Err(Code::CredentialRefused));
    }
}

#[test]
fn goes_only_where_it_may() {
    let (_outside, credentials) = folder();
    let check = |name: &str, to: Destination, bound: bool, allowed: bool| {
        let value = credentials.value_for(name, &to, bound);
        match value {
            Ok(_) => assert!(allowed, "{name} to {to}"),
            Err(refusal) => {
                assert!(
                    !allowed && refusal.code == Code::CredentialRefused,
                    "{name} to {to}: {refusal}"
                );
                assert!(refusal.hints[0].contains(&to.to_string()), "{refusal:?}");
            }
        }
    };
    check("github", origin("https://api.example.com/v1?q#f"), false, true);
    check("github", origin("https://api.example.com:8443"), false, false);
    check("github", origin("http://api.example.com"), false, false);
    check("github", origin("https://evil.example.com"), false, false);
    check("github", origin("https://evil.example.com"), true, true);
    check("github", Destination::Command("/opt/time".into()), false, true);
    check("github", Destination::Command("/opt/other".into()), false, false);
    check("pem", origin(ORIGIN), false, false);
    check("pem", origin(ORIGIN), true, true);
}

#[test]
fn refuses_a_folder_that_others_may_use() {
    let (_outside, credentials) = folder();
    let check = |mode: u32, allowed: bool| {
        fs::set_permissions(credentials.dir(), fs::Permissions::from_mode(mode)).unwrap();
        let value = credentials.value_for("github", &origin(ORIGIN), true);
        assert_eq!(value.is_ok(), allowed, "{mode:o}");
    };
    check(0o755, false);
    check(0o770, false);
    check(0o750, true);
    check(0o500, true);
    check(0o700, true);
}

#[test]
fn the_configuration_is_checked() {
    let check = |name: &str, to: &str, valid: bool| {
        let to = BTreeMap::from([(name.to_owned(), vec![to.to_owned()])]);
        let made = Credentials::new("/nowhere", &to);
        match made {
            Ok(_) => assert!(valid, "{to:?}"),
            Err(refusal) => {
                assert!(!valid && refusal.code == Code::ConfigInvalid, "{to:?}: {refusal}");
            }
        }
    };
    check("a", "https://host:1", true);
    check("a", "https://host", true);
    check("a", "https://[::1]:8443/", true);
    check("a", "/opt/time", true);
    check("a", "https://host/path", false);
    check("a", "https://user@host", false);
    check("a", "host:443", false);
    check("a", "time", false);
    check("../a", "/opt/time", false);
}
