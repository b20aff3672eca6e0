//! Many calls as one command: bounded side by side, round after round, each safe to repeat.

use crate::fault::{Fault, Outcome, Stop};
use crate::rooms::registry::object::KindWord;
use futures::future::join_all;
use keiko_client::Client;
use keiko_client::proto::v1::{GetRequest, Object};
use keiko_core::refusal::Code;
use uuid::Uuid;

/// Calls at a time: enough that one sync carries several, few enough for one connection.
pub(super) const TOGETHER_MAX: usize = 16;
/// Names that a refusal gives of what was done before it.
const NAMED_MAX: usize = 10;
/// The random part of a UUIDv7 in its lower half.
const RANDOM: u64 = (1 << 62) - 1;

/// The id of the nth call of a command: the same for every try of the command.
pub(super) fn nth_id(id: Option<Uuid>, nth: usize) -> Option<Uuid> {
    let (high, low) = id?.as_u64_pair();
    let random = (low & RANDOM).wrapping_add(nth as u64) & RANDOM;
    Some(Uuid::from_u64_pair(high, (low & !RANDOM) | random))
}

/// Sends every round to its end before the next; stops after the first refusal.
pub(super) async fn rounds<T, R, Fut>(
    rounds: &[Vec<T>],
    name: impl Fn(&T) -> String,
    call: impl Fn(usize, &T) -> Fut,
) -> Outcome<Vec<R>>
where
    Fut: Future<Output = Outcome<R>>,
{
    let total: usize = rounds.iter().map(Vec::len).sum();
    let (mut done, mut names) = (Vec::with_capacity(total), Vec::new());
    let mut sent = 0;
    for chunk in rounds.iter().flat_map(|round| round.chunks(TOGETHER_MAX)) {
        let calls = chunk.iter().enumerate().map(|(at, item)| call(sent + at, item));
        let mut refused = None;
        for (item, ended) in chunk.iter().zip(join_all(calls).await) {
            match ended {
                Ok(answer) => {
                    done.push(answer);
                    names.push(name(item));
                }
                Err(stop) if refused.is_none() => refused = Some((name(item), stop)),
                Err(_) => {}
            }
        }
        sent += chunk.len();
        if let Some((item, stop)) = refused {
            return Err(partly(stop, &item, &names, total));
        }
    }
    Ok(done)
}

/// Says how far it came.
fn partly(stop: Stop, item: &str, done: &[String], total: usize) -> Stop {
    let Stop::Refused(fault) = stop else { return stop };
    let Fault { mut refusal, request_id, trace_id } = *fault;
    if total > 1 {
        refusal.causes.push(format!("this was {item}"));
        refusal.causes.push(match done.len() {
            0 => format!("nothing else of {total} was done"),
            count => {
                let more = if count > NAMED_MAX { ", …" } else { "" };
                let names = done[..count.min(NAMED_MAX)].join(", ");
                format!("{count} of {total} were done: {names}{more}")
            }
        });
        refusal.hints.push("run it again when that is mended: what is done stays as it is".into());
    } else {
        refusal.causes.push(format!("this was {item}"));
    }
    // The id of one call is not that of the command.
    let request_id = if total > 1 { String::new() } else { request_id };
    Stop::Refused(Box::new(Fault { refusal, request_id, trace_id }))
}

/// What is there under a name now.
pub(super) async fn find(
    client: &Client,
    kind: KindWord,
    namespace: &str,
    name: &str,
) -> Outcome<Option<Object>> {
    let request = GetRequest {
        kind: kind.kind.into(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..GetRequest::default()
    };
    let found = client
        .read(request, |client, request| async move { client.registry().get(request).await })
        .await;
    match found {
        Ok(response) => Ok(response.object),
        Err(error) if error.refusal.code == Code::NotFound as u32 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::refusal::Refusal;

    #[test]
    fn every_call_has_its_own_id_and_every_try_the_same() {
        let id = Uuid::now_v7();
        let ids: std::collections::BTreeSet<_> = (0..1000).map(|n| nth_id(Some(id), n)).collect();
        assert_eq!(ids.len(), 1000);
        assert_eq!(nth_id(Some(id), 0), Some(id));
        let last = nth_id(Some(Uuid::from_u64_pair(id.as_u64_pair().0, u64::MAX)), 7).unwrap();
        assert_eq!(last.get_timestamp(), id.get_timestamp());
        assert_eq!(nth_id(None, 3), None);
    }

    #[tokio::test]
    async fn stops_after_the_round_that_failed_and_says_how_far_it_came() {
        let all = [vec![1, 2], vec![3, 4], vec![5]];
        let call = |at: usize, item: &u32| {
            let answer = match item {
                4 => Err(Refusal::new(Code::NameTaken, "taken").into()),
                item => Ok((at, *item)),
            };
            async move { answer }
        };
        let Err(Stop::Refused(fault)) = rounds(&all, |item| format!("n/{item}"), call).await else {
            panic!("it was refused");
        };
        assert_eq!(fault.refusal.code, Code::NameTaken);
        assert_eq!(fault.refusal.causes, ["this was n/4", "3 of 5 were done: n/1, n/2, n/3"]);
        let done = rounds(&all[..1], |_| String::new(), call).await.unwrap();
        assert_eq!(done, [(0, 1), (1, 2)]);
    }
}
