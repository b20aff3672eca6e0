use super::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child as Started, Command as Std, Stdio};

/// Tells this test binary to be the daemon that is killed, on the folder that it holds.
const OWNER: &str = "KEIKO_TEST_OWNER";

/// A process as an earlier daemon might have left it, in a group of its own.
fn leftover(home: &Path) -> Started {
    Std::new("/bin/sleep").arg("1000").env("HOME", home).process_group(0).spawn().unwrap()
}

fn note(data: &Path, leftover: &Started, start_ticks: u64, home: &Path) {
    let pid = leftover.id().cast_signed();
    let entry = record::Entry {
        id: "a".into(),
        pid,
        start_ticks,
        group: pid,
        home: home.into(),
        cgroup: None,
    };
    record::write(data, &proc::boot_id(), vec![entry]).unwrap();
}

#[test]
fn ends_only_what_is_surely_the_noted_process() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let mut process = leftover(Path::new("/"));
    let pid = process.id().cast_signed();
    let start_ticks = proc::stat(pid).unwrap().start_ticks;
    // The number is taken, by a process that started later: it is another one.
    note(&settings.data, &process, start_ticks - 1, Path::new("/a/home"));
    drop(Children::start(settings.clone()).unwrap());
    assert!(lives(pid));
    note(&settings.data, &process, start_ticks, Path::new("/a/home"));
    drop(Children::start(settings.clone()).unwrap());
    assert!(!lives(pid));
    process.wait().unwrap();
    // What the noted child forked is known by its group and the child's home.
    let home = folder.path().join("homes/a/home");
    let mut process = leftover(&home);
    let pid = process.id().cast_signed();
    note(&settings.data, &process, 1, &home);
    drop(Children::start(settings).unwrap());
    assert!(!lives(pid));
    process.wait().unwrap();
}

#[test]
fn starts_although_the_note_is_not_readable() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fs::write(settings.data.join("children.json"), "{").unwrap();
    Children::start(settings).unwrap();
}

/// Does nothing unless the test below starts it in a process of its own.
#[tokio::test]
async fn owner() {
    let Some(folder) = std::env::var_os(OWNER) else { return };
    let children = Children::start(settings(Path::new(&folder))).unwrap();
    // The leader says all three numbers and stays.
    let script = "echo $$; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; read end";
    let mut child = children.spawn(command("a", &shell(script))).await.unwrap();
    let mut pids = Vec::new();
    for _ in 0..3 {
        pids.push(line(&mut child).await);
    }
    fs::write(Path::new(&folder).join("pids.new"), pids.join("\n")).unwrap();
    fs::rename(Path::new(&folder).join("pids.new"), Path::new(&folder).join("pids")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_daemon_leaves_nothing_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut owner = Std::new(std::env::current_exe().unwrap())
        .args(["--exact", "exec::child::tests::leftovers::owner", "--nocapture"])
        .env(OWNER, folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let noted = folder.path().join("pids");
    until("the children of the owner run", || noted.exists()).await;
    let pids: Vec<i32> =
        fs::read_to_string(noted).unwrap().lines().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| lives(*pid)), "{pids:?}");
    kill(Pid::from_raw(owner.id().cast_signed()), Signal::SIGKILL).unwrap();
    owner.wait().unwrap();
    until("the kernel ends the child itself", || !lives(pids[0])).await;
    let children = Children::start(settings(folder.path())).unwrap();
    until("the one in its group ends", || !lives(pids[1])).await;
    if children.isolation().cgroup.is_on() {
        until("the one outside of its group ends", || !lives(pids[2])).await;
    } else {
        let _ = kill(Pid::from_raw(pids[2]), Signal::SIGKILL);
    }
    let said = BufReader::new(owner.stderr.take().unwrap()).lines().map_while(std::io::Result::ok);
    assert_eq!(said.filter(|line| line.contains("panicked")).count(), 0);
}
