use super::*;
use crate::print::columns::Wanted;
use crate::print::{FormatKind, Style};
use keiko_client::proto::v1::WriteInfo;

const CLOCK: Clock = Clock { now_ms: 1_000_000, utc: false };

fn holder(name: &str, token: u64) -> LockHolder {
    LockHolder {
        session: format!("s-{token}"),
        token,
        value: "10.0.0.7:80".into(),
        granted_ms: 940_000,
        session_name: name.into(),
        owner: None,
        expires_ms: 1_008_000,
    }
}

fn lock(name: &str, limit: u32, holders: Vec<LockHolder>, waiting: u32) -> LockInfo {
    let queuer = |turn: u32| LockQueuer {
        session: format!("q-{turn}"),
        queued_ms: 970_000,
        ..LockQueuer::default()
    };
    let lock = Lock {
        namespace: "default".into(),
        name: name.into(),
        kind: if limit > 1 { "semaphore" } else { "lock" }.into(),
        limit,
        held: u32::try_from(holders.len()).unwrap(),
        waiting,
    };
    LockInfo { lock: Some(lock), holders, queue: (1..=waiting).map(queuer).collect() }
}

fn laid_out<T: Shown>(columns: &[Column<T>], rows: &[T]) -> String {
    let grid = Wanted::default().grid(columns, rows, FormatKind::Table, &CLOCK);
    grid.unwrap().lay_out(&Style::plain(), None, true)
}

#[test]
fn locks_in_columns() {
    let rows = [
        Row(lock("deploy", 1, vec![holder("web-1/47", 41)], 2)),
        Row(lock("gpu", 4, vec![holder("", 7), holder("b/2", 9)], 0)),
    ];
    assert_eq!(
        laid_out(LOCKS, &rows),
        "NAME     KIND        HELD   WAITING   HOLDER     TOKEN   VALUE         ENDS    AGE\n\
         deploy   lock        1/1          2   web-1/47      41   10.0.0.7:80   in 8s   1m\n\
         gpu      semaphore   2/4          0   s-7 +1         7   10.0.0.7:80   in 8s   1m\n"
    );
    assert_eq!(rows[0].reference(), "lock/deploy");
    assert_eq!(rows[1].json()["lock"]["waiting"], 0);
    assert_eq!(Row::default().json()["holders"], json!([]));
}

#[test]
fn who_waits_stands_behind_who_holds() {
    let places = Place::of(lock("deploy", 1, vec![holder("web-1/47", 41)], 2));
    assert_eq!(
        laid_out(HOLDERS, &places),
        "STATE      TOKEN   WHO        OWNER   VALUE         ENDS    AGE\n\
         holds         41   web-1/47           10.0.0.7:80   in 8s   1m\n\
         waits, 1       -   q-1                                      30s\n\
         waits, 2       -   q-2                                      30s\n"
    );
    assert_eq!(places[2].json()["turn"], 2);
}

#[test]
fn a_grant_says_what_becomes_of_it() {
    let fence = Fence::new("default", "deploy", 41).unwrap();
    let held = AcquireLockResponse {
        holder: Some(holder("web-1/47", 41)),
        write: Some(WriteInfo { revision: 57, unix_ms: 998_000 }),
        ..AcquireLockResponse::default()
    };
    assert_eq!(granted_words(&held, &fence), "lock/deploy granted: token 41, session s-41\n");
    assert_eq!(
        next(&Session { id: "s-41".into(), ttl_ms: 10_000, ..Session::default() }, &fence),
        [
            "its session ends in 10s unless it is kept: keikoctl lock keep s-41",
            "writes that count only while it is held: keikoctl --fence default/deploy=41 …",
        ]
    );
    let document = granted(&held, &fence);
    assert_eq!(document["fence"], "default/deploy=41");
    assert_eq!(document["holder"]["token"], 41);
    assert_eq!(document["waitedMs"], 0);
    assert_eq!(document["revision"], 57);
    assert_eq!(in_ttl(400), "in 400ms");
}

#[test]
fn windows_and_barriers_in_columns() {
    let window = |name: &str, state: &str, starts_ms: u64, ends_ms: u64| {
        let window = MaintenanceWindow {
            name: name.into(),
            scope: "node/n1".into(),
            starts_ms,
            ends_ms,
            reason: "disks".into(),
            ..MaintenanceWindow::default()
        };
        WindowRow(WindowInfo { window: Some(window), state: state.into() })
    };
    let windows = [
        window("now", "active", 700_000, 1_300_000),
        window("later", "planned", 1_060_000, 1_120_000),
        window("then", "over", 100_000, 400_000),
    ];
    assert_eq!(
        laid_out(WINDOWS, &windows),
        "NAME    STATE     SCOPE     STARTS    ENDS    REASON\n\
         now     active    node/n1   5m ago    in 5m   disks\n\
         later   planned   node/n1   in 1m     in 2m   disks\n\
         then    over      node/n1   15m ago   over    disks\n"
    );
    let barrier = Barrier { name: "start".into(), parties: 3, ..Barrier::default() };
    assert_eq!(
        laid_out(BARRIERS, &[BarrierRow(barrier)]),
        "NAME    ARRIVED   OPENED   LAST\n\
         start   0/3            0\n"
    );
}

#[test]
fn titles_are_unique() {
    fn check<T>(columns: &[Column<T>]) {
        let mut titles: Vec<_> = columns.iter().map(|column| column.title).collect();
        titles.sort_unstable();
        let count = titles.len();
        titles.dedup();
        assert_eq!(titles.len(), count);
    }
    check(LOCKS);
    check(HOLDERS);
    check(BARRIERS);
    check(WINDOWS);
}
