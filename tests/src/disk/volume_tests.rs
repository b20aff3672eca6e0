use super::*;

fn volume() -> Volume {
    Volume::empty((0, 0))
}

fn make(volume: &mut Volume, folder: u64, name: &str) -> u64 {
    let node = Node::new(Body::File(File::default()), 0o100_600, (0, 0));
    volume.make(folder, name.as_ref(), node).unwrap()
}

fn paths(volume: &Volume) -> Vec<String> {
    volume.files().into_iter().map(|(path, _)| path.display().to_string()).collect()
}

fn rename(volume: &mut Volume, from: (u64, &str), to: (u64, &str)) {
    volume.rename((from.0, from.1.as_ref()), (to.0, to.1.as_ref()), true).unwrap();
}

fn after(volume: &Volume, survival: Survival, seed: u64) -> Vec<String> {
    let mut volume = volume.clone();
    volume.cut(survival, &mut Dice(seed));
    paths(&volume)
}

#[test]
fn a_name_is_durable_once_its_folder_was_synced() {
    let mut volume = volume();
    make(&mut volume, ROOT, "a");
    assert_eq!(after(&volume, Survival::Nothing, 0), [""; 0]);
    assert_eq!(after(&volume, Survival::Everything, 0), ["a"]);
    volume.sync_folder(ROOT).unwrap();
    assert_eq!(after(&volume, Survival::Nothing, 0), ["a"]);
    volume.remove(ROOT, "a".as_ref(), false).unwrap();
    assert_eq!(paths(&volume), [""; 0]);
    assert_eq!(after(&volume, Survival::Nothing, 0), ["a"]);
    volume.sync_folder(ROOT).unwrap();
    assert_eq!(after(&volume, Survival::Nothing, 0), [""; 0]);
}

#[test]
fn a_rename_is_whole_or_not_there() {
    let mut volume = volume();
    let folder = volume.make(ROOT, "f".as_ref(), Node::folder(0o40_700, (0, 0))).unwrap();
    let new = make(&mut volume, folder, "new");
    make(&mut volume, ROOT, "old");
    volume.sync_folder(ROOT).unwrap();
    volume.sync_folder(folder).unwrap();
    rename(&mut volume, (folder, "new"), (ROOT, "old"));
    assert_eq!(volume.find(Path::new("old")), Ok(new));
    for seed in 0..20 {
        let found = after(&volume, Survival::Prefix, seed);
        assert!(found == ["f/new", "old"] || found == ["old"], "{found:?}");
    }
    // The sync of one of the two folders is one of the other, as far as the rename goes.
    volume.sync_folder(folder).unwrap();
    assert_eq!(after(&volume, Survival::Nothing, 0), ["old"]);
}

#[test]
fn names_survive_in_their_order() {
    let mut volume = volume();
    for name in ["a", "b", "c"] {
        make(&mut volume, ROOT, name);
    }
    let found: BTreeSet<usize> = (0..100)
        .map(|seed| {
            let found = after(&volume, Survival::Prefix, seed);
            assert_eq!(found, ["a", "b", "c"][..found.len()]);
            found.len()
        })
        .collect();
    assert_eq!(found, BTreeSet::from([0, 1, 2, 3]));
}

#[test]
fn a_folder_is_empty_until_its_own_names_are_synced() {
    let mut volume = volume();
    let folder = volume.make(ROOT, "f".as_ref(), Node::folder(0o40_700, (0, 0))).unwrap();
    make(&mut volume, folder, "a");
    volume.sync_folder(ROOT).unwrap();
    volume.cut(Survival::Nothing, &mut Dice(0));
    assert_eq!(volume.find(Path::new("f")), Ok(folder));
    assert!(volume.node(folder).unwrap().names().unwrap().is_empty());
}

#[test]
fn what_is_open_lives_on_without_a_name() {
    let mut volume = volume();
    let number = make(&mut volume, ROOT, "a");
    volume.node(number).unwrap().opened = 1;
    volume.node(number).unwrap().file().unwrap().write(0, b"text");
    volume.remove(ROOT, "a".as_ref(), false).unwrap();
    volume.sync_folder(ROOT).unwrap();
    assert_eq!(volume.room(), 4096);
    volume.node(number).unwrap().opened = 0;
    assert_eq!(volume.room(), 0);
    volume.sync_folder(ROOT).unwrap();
    assert!(volume.node(number).is_err());
}
