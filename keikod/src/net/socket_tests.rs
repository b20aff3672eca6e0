use super::*;

fn settings(folder: &Path, name: &str) -> Settings {
    Settings { path: folder.join(name), group: None, links: vec![folder.join("run/keiko.sock")] }
}

#[test]
fn a_path_that_is_too_long_names_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = Bound::bind(&settings(folder.path(), &"x".repeat(108))).unwrap_err();
    assert_eq!(refusal.code, Code::SocketPath);
    assert!(refusal.hints[0].contains("--socket"));
    let path = Path::new("/tmp").join("x".repeat(PATH_BYTES_MAX - 5));
    check_length(&path).unwrap();
    check_length(&path.with_extension("y")).unwrap_err();
}

#[test]
fn a_full_disk_is_named_as_such() {
    for (kind, expect) in
        [(ErrorKind::StorageFull, Code::DiskFull), (ErrorKind::NotFound, Code::SocketPath)]
    {
        assert_eq!(fault(Path::new("a.sock"), kind.into()).code, expect);
    }
}

#[test]
fn a_socket_is_replaced_only_if_it_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "a.sock");
    let first = Bound::bind(&settings).unwrap();
    assert_eq!(fs::metadata(first.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Bound::bind(&settings).unwrap_err().message.contains("another daemon"));
    // A daemon that was killed leaves its files behind.
    let (listener, files) = first.into_parts();
    std::mem::forget(files);
    drop(listener);
    let second = Bound::bind(&settings).unwrap();
    assert!(second.is_linked());
    UnixStream::connect(folder.path().join("run/keiko.sock")).unwrap();

    fs::write(folder.path().join("b.sock"), "a file").unwrap();
    let taken = Settings { path: folder.path().join("b.sock"), ..settings };
    assert!(Bound::bind(&taken).unwrap_err().message.contains("something else"));
    assert_eq!(fs::read(folder.path().join("b.sock")).unwrap(), b"a file");
}

#[test]
fn the_first_live_daemon_has_the_link() {
    let folder = tempfile::tempdir().unwrap();
    let first = Bound::bind(&settings(folder.path(), "a.sock")).unwrap();
    let second = Bound::bind(&settings(folder.path(), "b.sock")).unwrap();
    assert!(first.is_linked());
    assert!(!second.is_linked());
    let link = folder.path().join("run/keiko.sock");
    assert_eq!(fs::read_link(&link).unwrap(), first.path());

    let (listener, files) = second.into_parts();
    drop(listener);
    drop(files);
    assert!(link.exists(), "the link is the first one's");
    let (listener, files) = first.into_parts();
    drop(listener);
    drop(files);
    assert!(fs::symlink_metadata(&link).is_err());
    assert!(fs::symlink_metadata(folder.path().join("a.sock")).is_err());
}

#[test]
fn an_unknown_group_is_a_fault_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        Settings { group: Some("no-such-group-here".into()), ..settings(folder.path(), "a.sock") };
    assert_eq!(Bound::bind(&settings).unwrap_err().code, Code::ConfigInvalid);
    assert!(!folder.path().join("a.sock").exists());
}

#[test]
fn a_group_is_named_or_numbered() {
    let check = |text: &str, expect: Option<u32>| {
        assert_eq!(group_named(text).ok().map(Gid::as_raw), expect, "{text:?}");
    };
    check("root", Some(0));
    check("1001", Some(1001));
    check("4294967295", None);
    check("-1", None);
    check("", None);
}

#[test]
fn a_group_needs_a_way_to_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    // Its own group: that can be given without being root.
    let own = Some(nix::unistd::getegid().to_string());
    let settings = Settings { group: own, links: vec![], ..settings(folder.path(), "a.sock") };
    let check = |mode: u32, expect: Option<Code>| {
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        let bound = Bound::bind(&settings);
        assert_eq!(bound.as_ref().err().map(|refusal| refusal.code), expect, "{mode:o}");
        if let Ok(bound) = bound {
            let mode = fs::metadata(bound.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o660);
        }
    };
    check(0o700, Some(Code::SocketPath));
    check(0o710, None);
    check(0o755, None);
    check_way(&folder.path().join("not-made-yet/s")).unwrap_err();
}
