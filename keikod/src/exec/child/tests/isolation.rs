use super::*;

#[tokio::test]
async fn its_environment_is_exactly_what_is_promised() {
    let place = Place::new();
    let mut command = command("default/a", &["/usr/bin/env"]);
    command.env = vec![("TOKEN".into(), Secret::new(b"two\nlines".to_vec()))];
    let text = output(place.children.spawn(command).await.unwrap()).await;
    let folder = fs::canonicalize(place.folder.path()).unwrap().join("homes/default%2Fa");
    let folder = folder.display();
    let expect = format!(
        "PATH=/usr/bin:/usr/local/bin:/usr/bin:/bin\nHOME={folder}/home\nTMPDIR={folder}/tmp\nLANG=C.UTF-8\nTOKEN=two\nlines\n"
    );
    assert_eq!(text, expect);
}

#[tokio::test]
async fn inherits_no_descriptor_and_starts_in_its_home() {
    let place = Place::new();
    let (_open, number) = confine::inheritable();
    assert!(number > 2);
    let text = output(place.spawn(&["/bin/ls", "/proc/self/fd"]).await).await;
    // The fourth is the folder that ls itself reads.
    assert_eq!(text, "0\n1\n2\n3\n");
    let text =
        output(place.spawn(&shell("pwd; echo $HOME; umask; ulimit -c; ulimit -n")).await).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[2..], ["0077", "0", "4096"]);
}

#[tokio::test]
async fn leads_a_group_of_its_own_and_dies_with_the_daemon() {
    let place = Place::new();
    let child = place.spawn(&["/bin/cat"]).await;
    let pid = child.process.pid().cast_signed();
    assert_eq!(proc::stat(pid).unwrap().group, pid);
    if place.children.isolation().cgroup.is_on() {
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert!(cgroup.contains("/keiko-"), "{cgroup}");
    }
}

/// The numbers of the capability sets and the no_new_privs flag of a shell.
const POWERS: &str = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status";

// The tests below need root, which CI has; elsewhere there is nobody else to become.

#[tokio::test]
async fn root_is_powerless_and_does_not_see_the_data_folder() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let data = place.data();
    fs::write(data.join("secret"), "s3cret").unwrap();
    let text = output(place.spawn(&shell(POWERS)).await).await;
    for line in text.lines() {
        let (name, value) = line.split_once(":\t").unwrap();
        let expect = if name == "NoNewPrivs" { "1" } else { "0000000000000000" };
        assert_eq!(value, expect, "{line}");
    }
    assert_eq!(text.lines().count(), 6);
    assert!(place.children.isolation().mount_namespace.is_on(), "{:?}", place.children.isolation());
    let data = data.display();
    let script = format!(
        "id -u; cat {data}/secret; ls {data}; chmod 700 {data}; umount {data}; ls /proc/{}/root; echo end",
        std::process::id()
    );
    let text = output(place.spawn(&shell(&script)).await).await;
    assert_eq!(text, "0\nend\n");
    assert!(
        fs::read_to_string(place.data().join("secret")).is_ok(),
        "the cover is the child's alone"
    );
}

#[tokio::test]
async fn files_are_covered_too() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("socket"), folder.path().join("credentials"));
    fs::create_dir(&other).unwrap();
    fs::write(other.join("github"), "s3cret").unwrap();
    let covered = vec![file.clone(), other.clone(), folder.path().join("absent")];
    let children = Children::start(Settings { covered, ..settings(folder.path()) }).unwrap();
    // Made after the thread, as the socket may be.
    fs::write(&file, "s3cret").unwrap();
    let script = format!("cat {} {}/github; echo end", file.display(), other.display());
    let child = children.spawn(command("a", &shell(&script))).await.unwrap();
    assert_eq!(output(child).await, "end\n");
}

#[tokio::test]
async fn runs_as_who_was_said() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    fs::write(place.data().join("secret"), "s3cret").unwrap();
    let script = format!(
        "id -u; id -g; echo kept > \"$HOME/f\"; echo t > \"$TMPDIR/f\"; cat {}/secret; grep CapPrm /proc/self/status",
        place.data().display()
    );
    let run = async |run_as: RunAs| {
        let command = Command { run_as, ..command("a", &shell(&script)) };
        output(place.children.spawn(command).await.unwrap()).await
    };
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let expect = format!("{}\n{}\nCapPrm:\t0000000000000000\n", nobody.uid, nobody.gid);
    assert_eq!(run(RunAs::User("nobody".into())).await, expect);
    assert_eq!(run(RunAs::Uid(nobody.uid.as_raw())).await, expect);
    // By name or not, root is confined.
    assert_eq!(run(RunAs::User("root".into())).await, "0\n0\nCapPrm:\t0000000000000000\n");
    let home = place.folder.path().join("homes/a");
    assert!(home.join("home/f").exists() && !home.join("tmp").exists());
}

#[test]
fn a_machine_that_lacks_a_measure_says_why() {
    let isolation = Isolation::find(false, &Err("no cgroup hierarchy is mounted".into()), &[]);
    for measure in [isolation.cgroup, isolation.own_user, isolation.mount_namespace] {
        assert!(matches!(measure, Measure::Off(why) if !why.is_empty()));
    }
}
