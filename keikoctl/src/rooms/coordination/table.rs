//! How locks, barriers and windows are shown.

use crate::print::When::{AllNamespaces, Wide};
use crate::print::time::{Clock, short};
use crate::print::{Cell, Column, Role, Shown};
use crate::rooms::journal::actor;
use keiko_client::Fence;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    AcquireLockResponse, Actor, Barrier, Lock, LockHolder, LockInfo, LockQueuer, MaintenanceWindow,
    Session, WindowInfo,
};
use serde_json::{Value, json};

/// A lock as a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row(pub LockInfo);

impl Shown for Row {
    fn json(&self) -> Value {
        let mut json = to_json("keiko.v1.LockInfo", &self.0);
        let lock = self.lock();
        // A field at its default is left out by the mapping, and scripts read all of them.
        json["lock"]["held"] = json!(lock.held);
        json["lock"]["waiting"] = json!(lock.waiting);
        for list in ["holders", "queue"] {
            if json[list].is_null() {
                json[list] = json!([]);
            }
        }
        json
    }
}

impl Row {
    /// `lock/name`.
    pub(super) fn reference(&self) -> String {
        format!("lock/{}", self.lock().name)
    }

    fn lock(&self) -> Lock {
        self.0.lock.clone().unwrap_or_default()
    }

    /// The first of those who hold it.
    fn holder(&self) -> LockHolder {
        self.0.holders.first().cloned().unwrap_or_default()
    }
}

/// Locks, as lists have them.
pub(super) const LOCKS: &[Column<Row>] = &[
    Column::new("NAMESPACE", |row: &Row, _| Cell::text(row.lock().namespace)).when(AllNamespaces),
    Column::new("NAME", |row: &Row, _| Cell::text(row.lock().name)),
    Column::new("KIND", |row: &Row, _| Cell::text(row.lock().kind)),
    Column::new("HELD", |row: &Row, _| held(&row.lock())),
    Column::new("WAITING", |row: &Row, _| Cell::number(row.lock().waiting.into())),
    Column::new("HOLDER", |row: &Row, _| holder(row)),
    Column::new("TOKEN", |row: &Row, _| Cell::number(row.holder().token)),
    Column::new("VALUE", |row: &Row, _| Cell::text(row.holder().value)).flexible(),
    Column::new("ENDS", |row: &Row, clock| Cell::until(clock, row.holder().expires_ms)).spare(),
    Column::new("AGE", |row: &Row, clock| Cell::age(clock, row.holder().granted_ms)),
    Column::new("OWNER", |row: &Row, _| Cell::text(actor(row.holder().owner.as_ref()))).when(Wide),
    Column::new("SESSION", |row: &Row, _| Cell::text(row.holder().session)).when(Wide),
];

/// As in `3/4`.
fn held(lock: &Lock) -> Cell {
    Cell { key: Some(lock.held.into()), ..Cell::text(format!("{}/{}", lock.held, lock.limit)) }
}

/// As in `web-1/4711 +2`.
fn holder(row: &Row) -> Cell {
    let first = row.holder();
    let name = who(&first.session_name, first.owner.as_ref(), &first.session);
    match row.lock().held.saturating_sub(1) {
        0 => Cell::text(name),
        more => Cell::text(format!("{name} +{more}")),
    }
}

/// What says most of a session to people.
fn who(name: &str, owner: Option<&Actor>, id: &str) -> String {
    let owner = actor(owner);
    let words = [name, &owner, id];
    words.into_iter().find(|word| !word.is_empty()).unwrap_or_default().to_owned()
}

/// Somebody who holds a lock, or waits for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    lock: String,
    is_held: bool,
    /// Of who waits, from 1.
    turn: u64,
    token: u64,
    session: String,
    session_name: String,
    owner: Option<Actor>,
    value: String,
    since_ms: u64,
    expires_ms: u64,
}

impl Place {
    /// All of one lock: those who hold it, then the queue.
    pub(super) fn of(info: LockInfo) -> Vec<Self> {
        let lock = info.lock.unwrap_or_default().name;
        let holds = |held: LockHolder| Self {
            lock: lock.clone(),
            is_held: true,
            turn: 0,
            token: held.token,
            session: held.session,
            session_name: held.session_name,
            owner: held.owner,
            value: held.value,
            since_ms: held.granted_ms,
            expires_ms: held.expires_ms,
        };
        let waits = |(turn, queuer): (u64, LockQueuer)| Self {
            lock: lock.clone(),
            is_held: false,
            turn,
            token: 0,
            session: queuer.session,
            session_name: queuer.session_name,
            owner: queuer.owner,
            value: queuer.value,
            since_ms: queuer.queued_ms,
            expires_ms: 0,
        };
        let held = info.holders.into_iter().map(holds);
        held.chain((1..).zip(info.queue).map(waits)).collect()
    }

    /// `lock/name`.
    pub(super) fn reference(&self) -> String {
        format!("lock/{}", self.lock)
    }
}

impl Shown for Place {
    fn json(&self) -> Value {
        json!({
            "state": if self.is_held { "holds" } else { "waits" },
            "turn": self.turn,
            "token": self.token,
            "session": self.session,
            "sessionName": self.session_name,
            "owner": actor(self.owner.as_ref()),
            "value": self.value,
            "sinceMs": self.since_ms,
            "expiresMs": self.expires_ms,
        })
    }
}

/// Who is at a lock.
pub(super) const HOLDERS: &[Column<Place>] = &[
    Column::new("STATE", |place: &Place, _| match place.is_held {
        true => Cell::role(Role::Good, "holds"),
        false => Cell::role(Role::Warn, format!("waits, {}", place.turn)),
    }),
    Column::new("TOKEN", |place: &Place, _| match place.token {
        0 => Cell::role(Role::Muted, "-"),
        token => Cell::number(token),
    }),
    Column::new("WHO", |place: &Place, _| {
        Cell::text(who(&place.session_name, None, &place.session))
    }),
    Column::new("OWNER", |place: &Place, _| Cell::text(actor(place.owner.as_ref()))).spare(),
    Column::new("VALUE", |place: &Place, _| Cell::text(&place.value)).flexible(),
    Column::new("ENDS", |place: &Place, clock| Cell::until(clock, place.expires_ms)),
    Column::new("AGE", |place: &Place, clock| Cell::age(clock, place.since_ms)),
    Column::new("SESSION", |place: &Place, _| Cell::text(&place.session)).when(Wide),
];

/// The JSON of a grant, with what a script hands on.
pub(super) fn granted(granted: &AcquireLockResponse, fence: &Fence) -> Value {
    let mut document = to_json("keiko.v1.AcquireLockResponse", granted);
    document["fence"] = json!(fence.to_string());
    document["waitedMs"] = json!(granted.waited_ms);
    document["revision"] = json!(granted.write.unwrap_or_default().revision);
    document
}

/// As in `lock/deploy granted: token 41, session 0199…`.
pub(super) fn granted_words(granted: &AcquireLockResponse, fence: &Fence) -> String {
    let session = granted.holder.as_ref().map_or("", |holder| &holder.session);
    format!("lock/{} granted: token {}, session {session}\n", fence.lock(), fence.token())
}

/// What becomes of a grant that nobody keeps, and what to type next.
pub(super) fn next(session: &Session, fence: &Fence) -> [String; 2] {
    let (id, left) = (&session.id, in_ttl(session.ttl_ms));
    [
        format!("its session ends {left} unless it is kept: keikoctl lock keep {id}"),
        format!("writes that count only while it is held: keikoctl --fence {fence} …"),
    ]
}

/// As in `in 10s`: of a duration, so that no clock of this machine is asked.
pub(super) fn in_ttl(ms: u64) -> String {
    match ms {
        0..1000 => format!("in {ms}ms"),
        ms => format!("in {}", short(ms)),
    }
}

/// A barrier as a row.
pub(super) struct BarrierRow(pub Barrier);

impl Shown for BarrierRow {
    fn json(&self) -> Value {
        let mut json = to_json("keiko.v1.Barrier", &self.0);
        json["arrived"] = json!(self.0.arrived);
        json["generation"] = json!(self.0.generation);
        json
    }
}

impl BarrierRow {
    /// `barrier/name`.
    pub(super) fn reference(&self) -> String {
        format!("barrier/{}", self.0.name)
    }
}

/// Barriers.
pub(super) const BARRIERS: &[Column<BarrierRow>] = &[
    Column::new("NAMESPACE", |row: &BarrierRow, _| Cell::text(&row.0.namespace))
        .when(AllNamespaces),
    Column::new("NAME", |row: &BarrierRow, _| Cell::text(&row.0.name)),
    Column::new("ARRIVED", |row: &BarrierRow, _| Cell {
        key: Some(row.0.arrived.into()),
        ..Cell::text(format!("{}/{}", row.0.arrived, row.0.parties))
    }),
    Column::new("OPENED", |row: &BarrierRow, _| Cell::number(row.0.generation)),
    Column::new("LAST", |row: &BarrierRow, clock| Cell::age(clock, row.0.opened_ms)),
];

/// A window as a row.
pub(super) struct WindowRow(pub WindowInfo);

impl Shown for WindowRow {
    fn json(&self) -> Value {
        to_json("keiko.v1.WindowInfo", &self.0)
    }
}

impl WindowRow {
    /// `window/name`.
    pub(super) fn reference(&self) -> String {
        format!("window/{}", self.window().name)
    }

    fn window(&self) -> MaintenanceWindow {
        self.0.window.clone().unwrap_or_default()
    }
}

/// Maintenance windows.
pub(super) const WINDOWS: &[Column<WindowRow>] = &[
    Column::new("NAME", |row: &WindowRow, _| Cell::text(row.window().name)),
    Column::new("STATE", |row: &WindowRow, _| state(&row.0.state)),
    Column::new("SCOPE", |row: &WindowRow, _| Cell::text(row.window().scope)),
    Column::new("STARTS", |row: &WindowRow, clock| starts(row.window().starts_ms, clock)),
    Column::new("ENDS", |row: &WindowRow, clock| Cell::until(clock, row.window().ends_ms)),
    Column::new("REASON", |row: &WindowRow, _| Cell::text(row.window().reason)).flexible(),
    Column::new("BY", |row: &WindowRow, _| Cell::text(actor(row.window().created_by.as_ref())))
        .when(Wide),
    Column::new("AGE", |row: &WindowRow, clock| Cell::age(clock, row.window().created_ms))
        .when(Wide),
];

fn state(state: &str) -> Cell {
    let role = match state {
        "active" => Role::Warn,
        "over" => Role::Muted,
        _ => Role::Plain,
    };
    Cell::role(role, state)
}

/// As in `in 3h`, or `5m ago`.
fn starts(unix_ms: u64, clock: &Clock) -> Cell {
    if unix_ms > clock.now_ms || clock.utc {
        return Cell::until(clock, unix_ms);
    }
    Cell { text: format!("{} ago", clock.age(unix_ms)), role: Role::Plain, key: Some(unix_ms) }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
