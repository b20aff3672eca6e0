use super::*;
use keiko_core::refusal::Code;

const QUICK: Grace = Grace {
    close: Duration::from_millis(50),
    term: Duration::from_millis(50),
    kill: Duration::from_secs(60),
};

#[tokio::test]
async fn speaks_through_pipes_and_ends_with_its_input() {
    let place = Place::new();
    let mut child = place.spawn(&["/bin/cat"]).await;
    assert!(
        place.children.process("a").is_some_and(|process| process.pid() == child.process.pid())
    );
    child.stdin.write_all(b"hello\n").await.unwrap();
    assert_eq!(line(&mut child).await, "hello");
    let grace = Grace { close: DEADLINE, ..QUICK };
    let exit = child.stop(grace).await.unwrap();
    assert_eq!((exit.code, exit.signal), (Some(0), None));
    assert!(place.children.process("a").is_none(), "its id is free when its end is told");
}

#[tokio::test]
async fn is_stopped_step_by_step() {
    let check = async |script: &str, code: Option<i32>, signal: Option<i32>| {
        let place = Place::new();
        let mut child = place.spawn(&shell(script)).await;
        assert_eq!(line(&mut child).await, "ready", "{script}");
        let exit = child.stop(QUICK).await.unwrap();
        assert_eq!((exit.code, exit.signal), (code, signal), "{script}: {exit}");
    };
    check("echo ready; exec sleep 1000", None, Some(15)).await;
    check("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done", Some(7), None).await;
    check("trap '' TERM; echo ready; while :; do sleep 0.01; done", None, Some(9)).await;
}

#[tokio::test]
async fn what_it_forks_ends_with_it() {
    let place = Place::new();
    // One stays in the group, one leaves it; both outlive the command itself.
    let script = "sleep 1000 & echo $!; setsid sleep 1000 & echo $!; read end; exit 3";
    let mut child = place.spawn(&shell(script)).await;
    let stays: i32 = line(&mut child).await.parse().unwrap();
    let leaves: i32 = line(&mut child).await.parse().unwrap();
    assert!(lives(stays) && lives(leaves));
    child.stdin.write_all(b"\n").await.unwrap();
    let exit = timeout(DEADLINE, child.process.wait()).await.unwrap();
    assert_eq!(exit.code, Some(3));
    until("the one in the group ends", || !lives(stays)).await;
    if place.children.isolation().cgroup.is_on() {
        until("the one outside of the group ends", || !lives(leaves)).await;
    } else {
        let _ =
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(leaves), nix::sys::signal::SIGKILL);
    }
}

#[tokio::test]
async fn ends_if_nobody_takes_it_over() {
    let place = Place::new();
    // Dropped at any moment after the request: before, while and after the reply comes.
    for pause_ms in [0, 5, 50] {
        let spawning = place.children.spawn(command("a", &["/bin/sleep", "1000"]));
        let mut spawning = Box::pin(spawning);
        assert!(futures::poll!(&mut spawning).is_pending());
        until("it is started", || place.children.process("a").is_some()).await;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        drop(spawning);
        until("it is ended", || place.children.process("a").is_none()).await;
    }
}

#[tokio::test]
async fn ends_when_the_last_handle_goes() {
    let place = Place::new();
    let child = place.spawn(&["/bin/sleep", "1000"]).await;
    let again = place.children.clone();
    drop(place.children);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(child.process.exit(), None);
    drop(again);
    let exit = timeout(DEADLINE, child.process.wait()).await.unwrap();
    assert_eq!(exit.signal, Some(9));
}

#[tokio::test]
async fn all_are_stopped_at_the_same_time() {
    let place = Place::new();
    for id in ["a", "b", "c"] {
        place.children.spawn(command(id, &["/bin/sleep", "1000"])).await.unwrap();
    }
    let exits = place.children.stop_all(QUICK).await;
    assert_eq!(exits.len(), 3);
    assert!(exits.into_iter().all(|exit| exit.is_ok_and(|exit| exit.signal == Some(15))));
}

#[tokio::test]
async fn its_log_survives_a_restart() {
    let place = Place::new();
    for number in 0..2 {
        let mut command = command("a", &shell("echo \"run $TOKEN\" >&2"));
        command.env = vec![("TOKEN".into(), Secret::new(format!("hunter2{number}").into_bytes()))];
        output(place.children.spawn(command).await.unwrap()).await;
    }
    let logged = || place.children.follow("a", 10).lines;
    until("both lines are kept", || logged().len() == 2).await;
    let lines = logged();
    assert!(lines.iter().all(|line| line.text == "run ***" && line.unix_ms > 0), "{lines:?}");
    assert_eq!(place.children.follow("a", 1).lines[0].number, 1);
    let home = place.folder.path().join("homes/a");
    assert!(home.exists());
    place.children.forget_home("a").unwrap();
    assert!(!home.exists());
    assert_eq!(logged().len(), 2, "why it failed is still to be read");
    place.children.forget("a").unwrap();
    assert!(logged().is_empty());
}

#[tokio::test]
async fn says_why_it_did_not_start() {
    let place = Place::new();
    let script = place.folder.path().join("script");
    fs::write(&script, "echo no first line\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let plain = place.folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    let check = async |argv: &[&str], code: Code, expect: &str| {
        let refusal = place.children.spawn(command("b", argv)).await.unwrap_err();
        assert_eq!(refusal.code, code, "{refusal:?}");
        assert!(format!("{refusal:?}").contains(expect), "{refusal:?}");
    };
    check(&["/no/such/command"], Code::ChildFailed, "can't run the command: No such file").await;
    check(&[plain.to_str().unwrap()], Code::ChildFailed, "Permission denied").await;
    check(&[script.to_str().unwrap()], Code::ChildFailed, "#!/bin/sh").await;
    check(&["cat"], Code::InvalidArgument, "absolute").await;
    let _running = place.spawn(&["/bin/cat"]).await;
    let refusal = place.children.spawn(command("a", &["/bin/cat"])).await.unwrap_err();
    assert!(refusal.message.contains("runs already"), "{refusal}");
    for refusal in [place.children.forget("a"), place.children.forget_home("a")] {
        let refusal = refusal.unwrap_err();
        assert!(refusal.message.contains("still runs"), "{refusal}");
    }
    assert!(place.children.process("a").is_some() && place.children.process("b").is_none());
}
