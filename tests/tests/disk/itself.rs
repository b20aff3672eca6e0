//! The disk does what it says, seen through the kernel.

use keiko_tests::disk::{Ask, Disk, Errno, Fault, Rule, Survival};
use keiko_tests::place::Place;
use keiko_tests::skip;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

fn disk() -> Option<(Disk, Place)> {
    if let Some(reason) = Disk::lacks() {
        skip("disk", &reason);
        return None;
    }
    let place = Place::new();
    Some((Disk::mount(&place.join("m")), place))
}

fn write(path: &Path, text: &str) -> File {
    let mut file = File::create(path).expect("it is made");
    file.write_all(text.as_bytes()).expect("it is written");
    file
}

fn sync_names(folder: &Path) {
    File::open(folder).and_then(|folder| folder.sync_all()).expect("it is synced");
}

#[test]
fn only_what_was_synced_is_left() {
    let Some((mut disk, _place)) = disk() else { return };
    let root = disk.path().to_owned();
    write(&root.join("both"), "kept").sync_all().expect("it is synced");
    sync_names(&root);
    write(&root.join("bytes only"), "lost with its name").sync_all().expect("it is synced");
    write(&root.join("neither"), "lost");
    let mut more = OpenOptions::new().append(true).open(root.join("both")).expect("it is there");
    more.write_all(b", and this is lost").expect("it is written");
    fs::create_dir(root.join("folder")).expect("it is made");
    assert_eq!(fs::read_to_string(root.join("both")).unwrap(), "kept, and this is lost");
    let saved = disk.image();
    disk.power_cut(Survival::Nothing, 0);
    assert_eq!(fs::read_to_string(root.join("both")).unwrap(), "kept");
    let names: Vec<_> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["both"]);
    assert!(more.write_all(b"late").is_err(), "an old handle is of no use");
    disk.restore(&saved);
    assert_eq!(fs::read_to_string(root.join("both")).unwrap(), "kept, and this is lost");
    assert_eq!(fs::read_to_string(root.join("neither")).unwrap(), "lost");
}

#[test]
fn a_rename_counts_once_its_folder_is_synced() {
    let Some((mut disk, _place)) = disk() else { return };
    let (old, new) = (disk.path().join("old"), disk.path().join("new"));
    write(&old, "1").sync_all().unwrap();
    sync_names(disk.path());
    for _ in 0..2 {
        write(&new, "2").sync_all().unwrap();
        fs::rename(&new, &old).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "2");
        disk.power_cut(Survival::Nothing, 0);
        assert_eq!(fs::read_to_string(&old).unwrap(), "1");
    }
    write(&new, "2").sync_all().unwrap();
    fs::rename(&new, &old).unwrap();
    sync_names(disk.path());
    disk.power_cut(Survival::Nothing, 0);
    assert_eq!(fs::read_to_string(&old).unwrap(), "2");
    assert!(!new.exists());
}

#[test]
fn a_lying_sync_loses() {
    let Some((mut disk, _place)) = disk() else { return };
    let path = disk.path().join("file");
    write(&path, "1").sync_all().unwrap();
    sync_names(disk.path());
    disk.lie_about_syncs();
    write(&path, "2").sync_all().unwrap();
    disk.power_cut(Survival::Nothing, 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "1");
}

#[test]
fn no_room_is_no_room() {
    let Some((disk, _place)) = disk() else { return };
    let stat = || nix::sys::statvfs::statvfs(disk.path()).expect("it answers");
    let free = || stat().blocks_available() * stat().fragment_size();
    disk.leave_free(64 << 10);
    assert_eq!(free(), 64 << 10);
    let mut file = File::create(disk.path().join("file")).unwrap();
    file.write_all(&[1; 60 << 10]).unwrap();
    assert_eq!((free(), disk.free()), (4 << 10, 4 << 10));
    let refused = file.write_all(&[1; 8 << 10]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StorageFull);
    let taken = nix::fcntl::posix_fallocate(&file, 0, 1 << 20);
    assert_eq!(taken, Err(nix::Error::ENOSPC));
    drop(file);
    fs::remove_file(disk.path().join("file")).unwrap();
    assert_eq!(free(), 64 << 10);
}

#[test]
fn faults_come_when_they_are_told() {
    let Some((disk, _place)) = disk() else { return };
    let path = disk.path().join("a.log");
    let mut file = write(&path, "0123456789");
    disk.fail(Rule::new(Ask::Sync, "*.log", Fault::Error(Errno::EIO)).after(1).times(1));
    file.sync_data().unwrap();
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(nix::libc::EIO));
    file.sync_data().unwrap();
    disk.fail(Rule::new(Ask::Write, "a.*", Fault::Error(Errno::EIO)).times(1));
    assert!(file.write_all(b"x").is_err());
    disk.fail(Rule::new(Ask::Read, "*", Fault::Short(4)).times(1));
    let mut bytes = [0; 10];
    let reader = File::open(&path).unwrap();
    assert_eq!(reader.read_at(&mut bytes, 0).unwrap(), 4);
    disk.fail(Rule::new(Ask::Read, "*", Fault::Flip(3, 0)).times(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), "0122456789");
    assert_eq!(fs::read_to_string(&path).unwrap(), "0123456789");
    disk.flip(Path::new("a.log"), 0, 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "1123456789");
    disk.fail(Rule::new(Ask::Sync, "*", Fault::Slow(Duration::from_millis(300))).times(1));
    let start = Instant::now();
    file.sync_data().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!((disk.faults_given(), disk.asked(Ask::Sync, "*.log")), (5, 4));
    disk.make_read_only();
    assert_eq!(file.write_all(b"x").unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert!(File::create(disk.path().join("b")).is_err());
    assert!(fs::remove_file(&path).is_err());
    assert_eq!(fs::read(&path).unwrap().len(), 10);
    disk.heal();
    file.write_all(b"x").unwrap();
}

/// What programs do with files beside reading and writing them.
#[test]
fn it_is_a_file_system_like_others() {
    let Some((disk, place)) = disk() else { return };
    let root = disk.path();
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    for number in 0..300 {
        write(&root.join(format!("a/b/{number}")), &number.to_string());
    }
    assert_eq!(fs::read_dir(root.join("a/b")).unwrap().count(), 301);
    fs::hard_link(root.join("a/b/7"), root.join("seven")).unwrap();
    std::os::unix::fs::symlink("a/b/8", root.join("eight")).unwrap();
    fs::copy(root.join("seven"), root.join("copy")).unwrap();
    let text = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    assert_eq!((text("seven"), text("eight"), text("copy")), ("7".into(), "8".into(), "7".into()));
    assert!(fs::remove_dir(root.join("a/b")).is_err());
    fs::rename(root.join("a"), root.join("z")).unwrap();
    fs::remove_dir_all(root.join("z")).unwrap();
    assert_eq!(text("seven"), "7");

    let first = File::create(root.join("lock")).unwrap();
    let second = File::open(root.join("lock")).unwrap();
    first.lock().unwrap();
    assert!(second.try_lock().is_err());
    first.set_len(5_000).unwrap();
    assert_eq!((first.metadata().unwrap().len(), text("lock").len()), (5_000, 5_000));

    let socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let mut caller = std::os::unix::net::UnixStream::connect(root.join("socket")).unwrap();
    caller.write_all(b"hello").unwrap();
    drop(caller);
    let mut heard = String::new();
    socket.accept().unwrap().0.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");

    let mut program = File::create(root.join("program")).unwrap();
    program.write_all(&fs::read("/bin/true").unwrap()).unwrap();
    drop(program);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(root.join("program"), mode).unwrap();
    let ran = std::process::Command::new(root.join("program")).current_dir(place.path()).status();
    assert!(ran.unwrap().success(), "a program is mapped into memory");
}
