//! Takes locks, gives them back, and shows them.

use super::args::{
    AcquireArgs, Asked, CheckArgs, GetArgs, KeepArgs, ListArgs, LockVerb, ReleaseArgs,
};
use super::life::{Life, renew};
use super::table::{self, HOLDERS, LOCKS, Place, Row};
use super::{barrier, exec, window};
use crate::exit::Exit;
use crate::fault::{Outcome, Stop, usage};
use crate::print::{Format, FormatKind, Listing, Shown};
use crate::session::{PATIENT, QUICK, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    AcquireLockRequest, AcquireLockResponse, CheckFenceRequest, GetLockRequest, ListLocksRequest,
    LockInfo, ReleaseLockRequest,
};
use keiko_client::{Client, Fence};
use keiko_core::refusal::{Code, Refusal};
use serde_json::{Value, json};

/// Pages of one list: as many as it takes for a million locks.
const PAGES_MAX: usize = 1000;

/// Runs a verb of locks.
pub(crate) async fn run(verb: LockVerb, session: &Session) -> Outcome {
    match verb {
        LockVerb::Acquire(args) => acquire(args, session).await,
        LockVerb::Release(args) => release(args, session).await,
        LockVerb::Keep(args) => keep(&args, session).await,
        LockVerb::Check(args) => check(args, session).await,
        LockVerb::List(args) => list(&args, session).await,
        LockVerb::Get(args) => get(&args, session).await,
        LockVerb::Run(args) => exec::run(args.into(), session).await,
        LockVerb::Elect(args) => exec::run(args.into(), session).await,
        LockVerb::Window(verb) => window::run(verb, session).await,
        LockVerb::Barrier(verb) => barrier::run(verb, session).await,
    }
}

impl Asked {
    /// As the call wants it; who asks and how long is said later.
    pub(super) fn wire(&self, kind: &str) -> AcquireLockRequest {
        AcquireLockRequest {
            namespace: self.namespace.one(),
            name: self.name.clone(),
            kind: kind.to_owned(),
            limit: self.limit,
            value: self.value.clone(),
            ..AcquireLockRequest::default()
        }
    }
}

async fn acquire(args: AcquireArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    printer.refuse_csv()?;
    if args.request.id.is_some() && args.session.is_none() {
        return Err(usage("--request-id goes with --session")
            .cause("a try that opens a session of its own is another request each time")
            .into());
    }
    let wait = args.patience.or(true).then(|| session.timeout(PATIENT));
    let client = session.client(QUICK).await?;
    let life = match &args.session {
        Some(id) => Life::join(&client, id).await?,
        None => Life::open(&client, args.ttl).await?,
    };
    let progress = session.progress(format!("waiting for lock/{}", args.asked.name));
    let mut granted = life.acquire(&args.asked.wire(""), wait, args.request.id).await?;
    drop(progress);
    // Whoever has it now begins with a whole ttl, however long it waited.
    let kept = if args.session.is_none() { Some(life.renew().await?) } else { None };
    if let (Some(kept), Some(holder)) = (&kept, &mut granted.holder) {
        holder.expires_ms = kept.expires_ms;
    }
    let fence = fence(&args.asked, &granted)?;
    let document = table::granted(&granted, &fence);
    printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("lock/{}\n", args.asked.name),
        _ => table::granted_words(&granted, &fence),
    })?;
    for line in kept.iter().flat_map(|kept| table::next(kept, &fence)) {
        printer.note(&line);
    }
    Ok(Exit::Done)
}

/// What writes carry that count only under the grant.
pub(super) fn fence(asked: &Asked, granted: &AcquireLockResponse) -> Result<Fence, Refusal> {
    let token = granted.holder.as_ref().map_or(0, |holder| holder.token);
    Fence::new(asked.namespace.one(), &asked.name, token).map_err(|error| {
        Refusal::new(Code::Internal, "keikod granted a lock without a token").cause(error)
    })
}

async fn release(args: ReleaseArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let ReleaseArgs { name, namespace, session: holder, token, request } = args;
    let message = ReleaseLockRequest {
        namespace: namespace.one(),
        name: name.clone(),
        session: holder.unwrap_or_default(),
        token: token.unwrap_or_default(),
        request_id: Vec::new(),
    };
    let client = session.client(QUICK).await?;
    let released = client
        .write(request.id, message, |client, request| async move {
            client.coordination().release_lock(request).await
        })
        .await?;
    let revision = released.write.unwrap_or_default().revision;
    let mut document = to_json("keiko.v1.ReleaseLockResponse", &released);
    document["revision"] = json!(revision);
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("lock/{name}\n"),
        _ => format!("lock/{name} released at revision {revision}\n"),
    })?;
    Ok(Exit::Done)
}

async fn keep(args: &KeepArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let client = session.client(QUICK).await?;
    let kept = renew(&client, &args.session).await?;
    let document = to_json("keiko.v1.Session", &kept);
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("session/{}\n", kept.id),
        _ => format!("session/{} kept: it ends {}\n", kept.id, table::in_ttl(kept.ttl_ms)),
    })?;
    Ok(Exit::Done)
}

async fn check(args: CheckArgs, session: &Session) -> Outcome {
    let printer = &session.printer;
    printer.refuse_csv()?;
    let CheckArgs { name, namespace, token } = args;
    let request = CheckFenceRequest { namespace: namespace.one(), name: name.clone(), token };
    let client = session.client(QUICK).await?;
    let found = client
        .read(
            request,
            |client, request| async move { client.coordination().check_fence(request).await },
        )
        .await?;
    if !found.held {
        let refusal =
            Refusal::new(Code::FenceStale, format!("lock/{name} is not held with token {token}"));
        let refusal = match found.newest_token {
            0 => refusal.cause("nobody holds it now"),
            newest => refusal.cause(format!("it is held with token {newest} now")),
        };
        return Err(refusal
            .hint(format!("keikoctl lock get {name} -n {}", namespace.one()))
            .into());
    }
    let mut document = to_json("keiko.v1.CheckFenceResponse", &found);
    document["held"] = json!(found.held);
    let left = table::in_ttl(found.expires_ms.saturating_sub(found.unix_ms));
    printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("lock/{name}\n"),
        _ => format!("lock/{name} is held with token {token}; its session ends {left}\n"),
    })?;
    Ok(Exit::Done)
}

async fn list(args: &ListArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let first = ListLocksRequest {
        namespace: args.scope.wire(),
        consistency: args.freshness.wire(),
        ..ListLocksRequest::default()
    };
    let (locks, revision) = all(&client, first).await?;
    let printer = &session.printer;
    if locks.is_empty() && printer.format.is_table() {
        printer.note(&nothing("locks are held", args));
        return Ok(Exit::Done);
    }
    let wanted = args.look.wanted(args.scope.all_namespaces);
    let rows = wanted.sort(LOCKS, locks.into_iter().map(Row).collect(), &printer.clock)?;
    let listing = Listing { revision, name: &Row::reference };
    printer.rows(LOCKS, &wanted, &rows, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

/// As in `no locks are held in namespace default`.
pub(super) fn nothing(what: &str, args: &ListArgs) -> String {
    match args.scope.wire() {
        all if all.is_empty() => format!("no {what} in any namespace"),
        one => format!("no {what} in namespace {one}"),
    }
}

/// Every page, and the revision of the last.
async fn all(client: &Client, first: ListLocksRequest) -> Outcome<(Vec<LockInfo>, u64)> {
    let (mut locks, mut revision, mut request) = (Vec::new(), 0, first);
    for _ in 0..PAGES_MAX {
        let page = client
            .read(request.clone(), |client, request| async move {
                client.coordination().list_locks(request).await
            })
            .await?;
        locks.extend(page.items);
        revision = page.revision;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    Ok((locks, revision))
}

async fn get(args: &GetArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let request = GetLockRequest {
        namespace: args.namespace.one(),
        name: args.name.clone(),
        consistency: args.freshness.wire(),
    };
    let found = client
        .read(
            request,
            |client, request| async move { client.coordination().get_lock(request).await },
        )
        .await
        .map_err(unknown)?;
    let revision = found.revision;
    let row = Row(found.lock.unwrap_or_default());
    let printer = &session.printer;
    match &printer.format {
        Format::Plain(FormatKind::Name) => printer.data(&format!("{}\n", row.reference()))?,
        Format::Plain(FormatKind::Table | FormatKind::Wide | FormatKind::Csv) => {
            let wanted = args.look.wanted(false);
            let places = wanted.sort(HOLDERS, Place::of(row.0), &printer.clock)?;
            let listing = Listing { revision, name: &Place::reference };
            printer.rows(HOLDERS, &wanted, &places, !args.look.no_headers, listing)?;
        }
        _ => {
            let mut document: Value = row.json();
            document["revision"] = json!(revision);
            printer.document(&document, |_| String::new())?;
        }
    }
    Ok(Exit::Done)
}

/// A lock that nobody holds is not there.
fn unknown(error: keiko_client::Error) -> Stop {
    match Stop::from(error) {
        Stop::Refused(mut fault) if fault.refusal.code == Code::NotFound => {
            if fault.refusal.hints.is_empty() {
                fault.refusal = fault.refusal.hint("keikoctl lock list -A");
            }
            Stop::Refused(fault)
        }
        stop => stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;
    use keiko_client::proto::v1::LockHolder;

    fn lock(line: &str) -> Result<LockVerb, String> {
        let words = "keikoctl lock".split(' ').chain(line.split_whitespace());
        match Cli::try_parse_from(words).map(|cli| cli.verb) {
            Ok(Verb::Lock(verb)) => Ok(verb),
            Ok(_) => panic!("{line} is another verb"),
            Err(error) => Err(error.kind().to_string()),
        }
    }

    #[test]
    fn what_is_typed_is_what_is_asked() {
        let Ok(LockVerb::Acquire(args)) = lock("acquire lock/gpu -n team-a --limit 4 --value x")
        else {
            panic!("it is read");
        };
        let asked = args.asked.wire("");
        assert_eq!((&*asked.namespace, &*asked.name, asked.limit), ("team-a", "gpu", 4));
        assert_eq!((&*asked.value, &*asked.kind, asked.wait), ("x", "", false));
        assert!(args.patience.or(true));
        for line in [
            "acquire",
            "acquire a --ttl 0s",
            "acquire a --limit 0",
            "acquire a --session s --ttl 5s",
            "release a",
            "release a --token 0",
            "check a",
            "run a",
            "elect a -- true",
            "window create a",
            "barrier arrive a",
            "barrier arrive a --parties 0",
        ] {
            assert!(lock(line).is_err(), "{line}");
        }
        for line in ["release a --session s --token 7", "run a -- sh -c x", "window delete a"] {
            assert!(lock(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_grant_is_a_fence() {
        let Ok(LockVerb::Acquire(args)) = lock("acquire deploy") else { panic!("it is read") };
        let holder = LockHolder { token: 41, ..LockHolder::default() };
        let granted = AcquireLockResponse { holder: Some(holder), ..Default::default() };
        let text = fence(&args.asked, &granted).unwrap().to_string();
        assert_eq!(text, "default/deploy=41");
        let none = fence(&args.asked, &AcquireLockResponse::default()).unwrap_err();
        assert_eq!(none.code, Code::Internal);
    }
}
