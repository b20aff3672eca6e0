//! What a node is made of.

use super::place::Place;
use super::{
    CancellationToken, Certificates, Children, Consensus, Current, NodeState, Registry, cluster,
    journal, registry, security, socket,
};
use crate::lifecycle::{Addresses, Readiness};
use crate::net::{self, Server};
use crate::outbound::Http;
use crate::outbound::a2a::CardKey;
use crate::outbound::egress::Policy;
use crate::outbound::schema::Schemas;
use crate::rooms::{Control, coordination};
use crate::settings::{Live, Reloaded, Settings};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1 as wire;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tonic::service::Routes;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Handles to everything that was built; a cheap clone.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) control: Control,
    pub(super) founding: Arc<cluster::Founding>,
    pub(super) fleet: registry::Fleet,
    feed: registry::Feed,
    pub(super) children: Children,
    pub(super) socket_path: PathBuf,
    /// Cancelled when no call is under way any more: then the links to servers end.
    pub(super) unlink: CancellationToken,
    settings: Arc<Current>,
    certificates: Arc<Certificates>,
    pub(super) neighbours: cluster::Neighbours,
    hosting: Arc<cluster::Hosting>,
    keeper: cluster::Keeper,
    reach: registry::Reach,
    http: Http,
    node: wire::Node,
    own_ports: Vec<u16>,
    addresses: Addresses,
    room_metrics: RoomMetrics,
}

#[derive(Clone)]
struct RoomMetrics {
    coordination: coordination::Metrics,
    journal: journal::Metrics,
    security: security::Metrics,
    registry: registry::Metrics,
}

/// What [`Parts::build`] is given.
pub(super) struct Given {
    pub(super) current: Arc<Current>,
    pub(super) consensus: Arc<Consensus>,
    pub(super) addresses: Addresses,
    pub(super) peers: std::net::TcpListener,
    pub(super) readiness: Readiness,
    /// Ends the streams that would never end by themselves.
    pub(super) closing: CancellationToken,
}

impl Parts {
    pub(super) fn build(given: Given, metrics: &Registry) -> Result<Self> {
        let Given { current, consensus, addresses, peers, readiness, closing } = given;
        let unlink = CancellationToken::new();
        let settings = current.settings();
        let data = &settings.data_dir.value;
        let place = Place::build(Arc::clone(&current), consensus, &addresses, readiness, closing)?;
        let Place { control, certificates, node, neighbours, hosting, .. } = &place;
        let (control, certificates) = (control.clone(), certificates.clone());
        let (node, name) = (node.clone(), node.name.clone());
        let (neighbours, hosting) = (neighbours.clone(), hosting.clone());
        let founding = Arc::new(place.founding(peers));
        make_private(&current.live().credentials_dir.value)?;
        let own_ports = vec![addresses.api.port(), addresses.peer.port(), addresses.metrics.port()];
        let http = Http::new(egress(&current.live(), &own_ports)?)?;
        let covered =
            vec![settings.socket_path.value.clone(), current.live().credentials_dir.value.clone()];
        let children =
            Children::start(crate::exec::Settings { covered, ..crate::exec::Settings::new(data) })?;
        let room_metrics = RoomMetrics {
            coordination: coordination::Metrics::register(metrics),
            journal: journal::Metrics::register(metrics),
            security: security::Metrics::register(metrics),
            registry: registry::Metrics::register(metrics),
        };
        cluster::Metrics::register(metrics, &control);
        metrics.with(net::metrics::register);
        let reach = registry::Reach::new(
            name,
            Arc::clone(&current),
            children.clone(),
            http.clone(),
            card_keys(settings)?,
        );
        let fleet = registry::Fleet::new(
            control.clone(),
            reach.clone(),
            room_metrics.registry.clone(),
            Arc::new(neighbours.clone()),
            unlink.clone(),
        );
        let feed = registry::Feed::new(control.clone(), fleet.soft().clone());
        let socket_path = settings.socket_path.value.clone();
        let keeper = cluster::Keeper::new(control.clone(), Arc::clone(&current));
        Ok(Self {
            control,
            founding,
            fleet,
            feed,
            children,
            socket_path,
            unlink,
            settings: current,
            certificates,
            neighbours,
            hosting,
            keeper,
            reach,
            http,
            node,
            own_ports,
            addresses,
            room_metrics,
        })
    }

    /// Opens the doors.
    pub(super) fn serve(
        &self,
        api: std::net::TcpListener,
        scrape: std::net::TcpListener,
        socket: socket::Bound,
        state: Arc<NodeState>,
        metrics: &Registry,
        shutdown: &CancellationToken,
    ) -> Result<net::Handle> {
        let routes = self.routes(&state);
        let _once = self.hosting.routes.set(routes.clone());
        let settings = Arc::clone(&self.settings);
        let named = move |uid| settings.live().socket_uids.value.contains(&uid);
        let text = metrics.clone();
        let server = Server {
            settings: net::Settings {
                node: self.control.node().to_owned(),
                uids: net::uids(named),
                limits: net::Limits::default(),
            },
            listeners: net::Listeners { api, metrics: scrape, socket },
            routes,
            pages: Arc::new(registry::Publisher {
                control: self.control.clone(),
                api_address: self.node.api_address.clone(),
            }),
            state,
            tokens: Arc::new(security::StoredTokens {
                control: self.control.clone(),
                bindings: security::Bindings::default(),
            }),
            certificates: Arc::clone(&self.certificates),
            metrics: Arc::new(move || text.text()),
        };
        server.run(shutdown)
    }

    fn routes(&self, state: &NodeState) -> Routes {
        use wire::cluster_server::ClusterServer;
        use wire::coordination_server::CoordinationServer;
        use wire::journal_server::JournalServer;
        use wire::registry_server::RegistryServer;
        use wire::security_server::SecurityServer;
        let message_max = keiko_core::limits::ENTRY_BYTES_MAX;
        let cluster = cluster::Service {
            control: self.control.clone(),
            founding: Arc::clone(&self.founding),
            readiness: state.readiness().clone(),
            api_address: self.node.api_address.clone(),
            diagnosis: cluster::Diagnosis::new(cluster::DiagnosisParts {
                control: self.control.clone(),
                founding: Arc::clone(&self.founding),
                readiness: state.readiness().clone(),
                settings: Arc::clone(&self.settings),
                certificates: Arc::clone(&self.certificates),
                addresses: self.addresses,
                children: self.children.clone(),
            }),
            neighbours: self.neighbours.clone(),
            hosted: Arc::new(registry::hosted_by),
            keeper: self.keeper.clone(),
        };
        let security =
            security::Service { control: self.control.clone(), authority: self.founding.opened() };
        let registry = registry::Service {
            control: self.control.clone(),
            reach: self.reach.clone(),
            fleet: self.fleet.clone(),
            feed: self.feed.clone(),
            schemas: Arc::new(Schemas::default()),
            metrics: self.room_metrics.registry.clone(),
        };
        let metrics = &self.room_metrics.coordination;
        let coordination = coordination::Service::new(self.control.clone(), metrics);
        let journal = journal::Service::new(self.control.clone());
        Routes::new(ClusterServer::new(cluster))
            .add_service(SecurityServer::new(security))
            .add_service(CoordinationServer::new(coordination))
            .add_service(RegistryServer::new(registry).max_decoding_message_size(message_max))
            .add_service(JournalServer::new(journal))
    }

    /// Starts what runs for as long as the node serves.
    pub(super) fn start_drivers(&self, shutdown: &CancellationToken) -> Result<()> {
        let control = self.control.clone();
        self.neighbours.feed(self.feed.clone());
        let driver = cluster::Driver { control: control.clone(), node: self.node.clone() };
        tokio::spawn(driver.run(shutdown.clone()));
        tokio::spawn(self.keeper.clone().run(shutdown.clone()));
        let metrics = self.room_metrics.security.clone();
        let driver = security::Driver { control: control.clone(), metrics };
        tokio::spawn(driver.run(shutdown.clone()));
        let metrics = self.room_metrics.coordination.clone();
        let driver = coordination::Driver { control: control.clone(), metrics };
        tokio::spawn(driver.run(shutdown.clone()));
        tokio::spawn(self.feed.clone().run(shutdown.clone()));
        let leases = registry::Leases { control: control.clone(), feed: self.feed.clone() };
        tokio::spawn(leases.run(shutdown.clone()));
        let driver = registry::Driver { fleet: self.fleet.clone() };
        tokio::spawn(driver.run(shutdown.clone()));
        let placer = registry::Placer { fleet: self.fleet.clone() };
        tokio::spawn(placer.run(shutdown.clone()));
        let days = u32::try_from(*self.settings.settings().keep_days).unwrap_or(u32::MAX);
        let metrics = self.room_metrics.journal.clone();
        let keep_bytes = *self.settings.settings().keep_bytes;
        let keep = DAY.saturating_mul(days);
        let driver = journal::Driver { control, keep, keep_bytes, metrics };
        tokio::spawn(driver.run(shutdown.clone()));
        Ok(())
    }

    /// One line for the service manager.
    pub(super) fn words(&self) -> &'static str {
        match self.control.consensus().is_founded() {
            true => "serving",
            false => "waiting for keikoctl cluster init",
        }
    }

    /// From the next handshake on.
    fn set_key_exchange(&self, wanted: net::KeyExchange) {
        if self.certificates.key_exchange() != wanted {
            let word = wanted.as_str();
            tracing::info!(tls = word, "new connections are held to another key exchange");
            self.certificates.set_key_exchange(wanted);
        }
    }

    /// Takes over what the configuration file says now.
    pub(super) fn reload(&self) -> Result<Reloaded> {
        let reloaded = self.settings.reload()?;
        self.http.set_policy(egress(&reloaded.live, &self.own_ports)?);
        self.set_key_exchange(reloaded.live.tls.value);
        self.fleet.look_again();
        Ok(reloaded)
    }
}

fn egress(live: &Live, own_ports: &[u16]) -> Result<Policy> {
    Policy::new(&live.egress_allow.value, &live.egress_deny.value, own_ports.to_vec())
}

fn card_keys(settings: &Settings) -> Result<Arc<[CardKey]>> {
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let pem = std::fs::read(path).map_err(|error| {
            Refusal::new(Code::ConfigInvalid, format!("[a2a] trusted key {}", path.display()))
                .cause(error)
        })?;
        CardKey::from_pem(name, &pem)
    };
    settings.trusted_keys.value.iter().map(read).collect()
}

fn make_private(folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.exists() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        Refusal::new(Code::DataFolderUnwritable, format!("can't make {}", folder.display()))
            .cause(error)
    })
}
