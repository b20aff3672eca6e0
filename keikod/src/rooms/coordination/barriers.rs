//! Barriers: arrivals that wait for the others.

use super::super::control::unexpected;
use super::super::follow::Follower;
use super::asker::{self, Asker, resource};
use super::service::{GROUP, Service};
use super::wait::{self, Place, Woken};
use crate::net::{Identity, Permission, Resource};
use crate::store::View;
use keiko_core::coordination::{self, Spot};
use keiko_core::id::Name;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::coordination_event::Event;
use keiko_proto::v1::coordination_op::Op;
use keiko_proto::v1::coordination_reply::Reply;
use keiko_proto::v1::{
    ArriveAtBarrier, ArriveAtBarrierReply, ArriveRequest, ArriveResponse, Barrier,
    CoordinationEvent, LeaveBarrier, ListBarriersRequest, ListBarriersResponse, WriteInfo,
};
use tokio::time::Instant;
use tonic::Request;

/// How often a call arrives again whose arrival was taken back under it.
const AGAIN_MAX: u32 = 8;

pub(super) async fn arrive(
    service: &Service,
    request: Request<ArriveRequest>,
) -> Result<ArriveResponse> {
    let asked = request.get_ref();
    let spot = Spot::parse("barrier", &asked.namespace, &asked.name)?;
    let asker =
        Asker::of(&service.control, &request, &asked.request_id, &resource("barrier", &spot))?;
    let until = wait::until(&request, asked.wait_ms);
    let ArriveRequest { session, parties, .. } = request.into_inner();
    let arrive = ArriveAtBarrier {
        session,
        namespace: spot.namespace.to_string(),
        name: spot.name.to_string(),
        parties,
        as_admin: asker.is_admin(),
    };
    let _turn = service.turns.take()?;
    opened(asker, &spot, arrive, until).await
}

/// Arrives, and waits for the others.
async fn opened(
    asker: Asker,
    spot: &Spot,
    arrive: ArriveAtBarrier,
    until: Instant,
) -> Result<ArriveResponse> {
    let mut asker = asker;
    for _ in 0..AGAIN_MAX {
        let (reply, write) = asker.propose(Op::ArriveAtBarrier(arrive.clone())).await?;
        let Reply::Arrived(ArriveAtBarrierReply { barrier, generation, opened }) = reply else {
            return Err(unexpected());
        };
        if opened {
            return Ok(ArriveResponse { barrier, generation, write: Some(write) });
        }
        let waiting = Waiting { asker: &asker, spot, arrive: &arrive, generation, until };
        if let Some(barrier) = waiting.wait(&write).await? {
            return Ok(ArriveResponse { barrier: Some(barrier), generation, write: Some(write) });
        }
        // The answer was to an earlier try, whose arrival was taken back when its call was cut.
        asker = asker.anew();
    }
    Err(late(spot))
}

/// A call that arrived.
struct Waiting<'w> {
    asker: &'w Asker,
    spot: &'w Spot,
    arrive: &'w ArriveAtBarrier,
    generation: u64,
    until: Instant,
}

/// How it is with the arrival.
enum Seen {
    Opened(Barrier),
    Arrived,
    Nothing,
}

impl Waiting<'_> {
    /// Until it opens; none if the arrival does not count any more.
    async fn wait(&self, arrived: &WriteInfo) -> Result<Option<Barrier>> {
        let ArriveAtBarrier { session, namespace, name, as_admin, .. } = self.arrive.clone();
        let generation = self.generation;
        let leave = LeaveBarrier { session, namespace, name, generation, as_admin };
        let place = Place::new(self.asker, Op::LeaveBarrier(leave));
        let mut follower = Follower::near(self.asker.control(), arrived.revision)?;
        loop {
            match self.look().await? {
                Seen::Opened(barrier) => {
                    place.settled();
                    return Ok(Some(barrier));
                }
                Seen::Arrived => {}
                Seen::Nothing => {
                    place.settled();
                    return Ok(None);
                }
            }
            let concerns = |event: &CoordinationEvent| self.concerns(event);
            match wait::next(&mut follower, self.until, concerns).await? {
                Woken::Look(_) => {}
                Woken::Late => {
                    let given_up = place.give_up().await;
                    return match (given_up, self.look().await?) {
                        // The last one came with the last moment.
                        (_, Seen::Opened(barrier)) => Ok(Some(barrier)),
                        (Ok(_), _) => Err(late(self.spot)),
                        (Err(refusal), _) => Err(late(self.spot)
                            .cause("the arrival is taken back as soon as that can be told")
                            .cause(refusal)),
                    };
                }
            }
        }
    }

    async fn look(&self) -> Result<Seen> {
        let (spot, session) = (self.spot.clone(), self.arrive.session.clone());
        let generation = self.generation;
        let query = move |view: &View<'_>| match coordination::barrier(view, GROUP, &spot) {
            Some(barrier) if barrier.generation >= generation => Seen::Opened(barrier),
            Some(_) if coordination::has_arrived(view, GROUP, &spot, &session) => Seen::Arrived,
            _ => Seen::Nothing,
        };
        self.asker.control().read_local(query).await
    }

    fn concerns(&self, event: &CoordinationEvent) -> bool {
        let here = |barrier: &Option<Barrier>| {
            barrier.as_ref().is_some_and(|barrier| {
                let (namespace, name) = (self.spot.namespace.as_str(), self.spot.name.as_str());
                barrier.namespace == namespace && barrier.name == name
            })
        };
        match &event.event {
            Some(Event::BarrierOpened(changed)) => here(&changed.barrier),
            Some(Event::BarrierLeft(changed)) => changed.session == self.arrive.session,
            Some(Event::SessionClosed(ended) | Event::SessionExpired(ended)) => {
                ended.id == self.arrive.session
            }
            _ => false,
        }
    }
}

fn late(spot: &Spot) -> Refusal {
    Refusal::new(Code::WaitTimeout, format!("barrier {spot} did not open in time"))
        .cause("too few arrived, and this arrival is taken back")
        .hint("keikoctl lock barrier list shows how many wait")
        .hint("wait longer: --timeout 5m")
}

pub(super) async fn list(
    service: &Service,
    request: Request<ListBarriersRequest>,
) -> Result<ListBarriersResponse> {
    let namespace = asker::namespace(&request.get_ref().namespace)?;
    let among = Resource::among("barrier", namespace.as_ref().map(Name::as_str));
    Identity::of(&request)?.require(Permission::LockRead, &among)?;
    let consistency = request.get_ref().consistency;
    let query = move |view: &View<'_>| {
        coordination::barriers(view, GROUP, namespace.as_ref().map(Name::as_str))
    };
    let read = service.control.read(consistency, query).await?;
    Ok(ListBarriersResponse { items: read.value, revision: read.revision })
}
