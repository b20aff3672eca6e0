//! What is installed elsewhere: the manifests for Kubernetes, the image and the Debian packages.
//!
//! They name our flags, keys, ports and files, and nothing else would tell when one of these changes.
//! What Kubernetes itself wants of a manifest is kubernetes-validate's to say.

use keiko_core::refusal::Code;
use keiko_tests::place::Place;
use keiko_tests::{Node, Plan, ctl, peers};
use reqwest::{Certificate, Client};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: &str = "deploy/kubernetes";
/// Kinds that are not Kubernetes' own: there is no schema of them.
const FOREIGN: [&str; 2] = ["Kustomization", "ServiceMonitor"];
/// Applied by hand: once, or where an operator knows the kind.
const APART: [&str; 2] = ["init.yaml", "monitor.yaml"];
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn names_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{error}"));
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.flatten().map(name).collect();
    names.sort();
    names
}

/// Every document of every manifest.
struct Manifests(Vec<Value>);

impl Manifests {
    fn read() -> Self {
        let documents = |name: String| -> Vec<Value> {
            serde_saphyr::from_multiple(&text(&format!("{FOLDER}/{name}")))
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        Self(names_in(FOLDER).into_iter().flat_map(documents).collect())
    }

    fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|document| word(document, "/kind") == kind).collect()
    }

    fn one(&self, kind: &str) -> &Value {
        let all = self.all(kind);
        assert_eq!(all.len(), 1, "{kind}");
        all[0]
    }

    fn pod(&self) -> &Value {
        at(self.one("StatefulSet"), "/spec/template")
    }

    fn container(&self) -> &Value {
        at(self.pod(), "/spec/containers/0")
    }

    /// The value of one flag of the container.
    fn flag(&self, flag: &str) -> &str {
        let arguments = strings(at(self.container(), "/args"));
        let value = arguments.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("{flag} is not in {arguments:?}"))
    }

    /// The named ports of the container.
    fn ports(&self) -> BTreeMap<&str, u64> {
        let ports = at(self.container(), "/ports").as_array().expect("a list");
        ports.iter().map(|port| (word(port, "/name"), number(port, "/containerPort"))).collect()
    }
}

fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    value.pointer(path).unwrap_or_else(|| panic!("{path} is not in {value}"))
}

fn word<'v>(value: &'v Value, path: &str) -> &'v str {
    at(value, path).as_str().unwrap_or_else(|| panic!("{path} is no text in {value}"))
}

fn number(value: &Value, path: &str) -> u64 {
    at(value, path).as_u64().unwrap_or_else(|| panic!("{path} is no number in {value}"))
}

fn strings(value: &Value) -> Vec<&str> {
    let words = value.as_array().expect("a list").iter();
    words.map(|word| word.as_str().expect("a text")).collect()
}

/// True if what is labelled so is selected.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().expect("labels");
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[test]
fn kubernetes_takes_the_manifests() {
    let test = "packages::kubernetes_takes_the_manifests";
    let Some(validate) = peers::command(test, "kubernetes-validate") else { return };
    let mut command = Command::new(validate);
    command.arg("--strict").args(names_in(FOLDER)).current_dir(root().join(FOLDER));
    let output = ctl::run(command, "kubernetes-validate --strict", "").ok();
    let said = format!("{}\n{}", output.stdout, output.stderr);
    let is_foreign =
        |line: &str| FOREIGN.iter().any(|kind| line.contains(&format!("kind {kind} ")));
    for line in said.lines().filter(|line| line.contains("Couldn't find schema")) {
        assert!(is_foreign(line), "{line}");
    }
    let ours = |document: &&Value| !FOREIGN.contains(&word(document, "/kind"));
    let expect = Manifests::read().0.iter().filter(ours).count();
    assert_eq!(said.matches(" passed for resource ").count(), expect, "{said}");
}

#[test]
fn all_manifests_are_applied_or_told_apart() {
    let manifests = Manifests::read();
    let mut known = strings(at(manifests.one("Kustomization"), "/resources"));
    known.extend(APART);
    known.push("kustomization.yaml");
    known.sort_unstable();
    assert_eq!(names_in(FOLDER), known);
}

#[test]
fn pods_start_what_keikod_understands() {
    let manifests = Manifests::read();
    assert_eq!(strings(at(manifests.container(), "/command")), ["/usr/bin/keikod"]);
    let arguments = strings(at(manifests.container(), "/args"));
    let (verb, flags) = arguments.split_first().expect("a verb");
    assert_eq!(*verb, "run");
    let help = ctl::keikod("run --help").ok().stdout;
    let place = Place::new();
    let config = place.join("keiko.toml");
    let written = word(manifests.one("ConfigMap"), "/data/keiko.toml");
    fs::write(&config, written).expect("a file");
    let mut words = vec!["check".to_owned(), "--metrics-listen=127.0.0.1:0".to_owned()];
    for argument in flags {
        let (flag, value) = argument.split_once('=').expect("a flag with its value");
        assert!(help.contains(&format!("{flag} <")), "keikod run knows no {flag}");
        let value = match flag {
            "--data-dir" => place.join("node").display().to_string(),
            "--config" => config.display().to_string(),
            "--listen" => "127.0.0.1:0".to_owned(),
            _ => value.replace("$(POD_NAME)", "keiko-0").replace("$(POD_NAMESPACE)", "keiko"),
        };
        words.push(format!("{flag}={value}"));
    }
    let checked = ctl::run(ctl::program("keikod", &place, &words), "keikod check", "").ok();
    for (key, part) in [
        ("node.name ", "\"keiko-0\""),
        ("node.advertise ", "\"keiko-0.keiko-peers.keiko.svc\""),
        ("node.names ", "\"keiko.keiko.svc\""),
    ] {
        let row = checked.stdout.lines().find(|row| row.starts_with(key));
        assert!(row.is_some_and(|row| row.contains(part)), "{key}{part}: {checked}");
    }
}

/// Clients of the Service, and Prometheus, look for this name in what the node shows.
#[tokio::test]
async fn a_node_is_who_its_service_says() {
    let manifests = Manifests::read();
    let node = Node::start(Plan::config(word(manifests.one("ConfigMap"), "/data/keiko.toml")));
    let name = word(manifests.one("ServiceMonitor"), "/spec/endpoints/0/tlsConfig/serverName");
    let ca = Certificate::from_pem(&node.ca_pem()).expect("ca.pem holds a certificate");
    let builder = Client::builder().tls_certs_only([ca]).no_proxy().resolve(name, node.api());
    let client = builder.timeout(keiko_tests::DEADLINE).build().expect("a client");
    let url = format!("https://{name}:{}/livez", node.api().port());
    let answer = client.get(url).send().await.expect("its certificate says so");
    assert_eq!(answer.status(), 200);
}

#[test]
fn ports_are_those_of_keikod() {
    let manifests = Manifests::read();
    let ports = manifests.ports();
    let (api, peer) = (ports["api"], ports["peer"]);
    let help = ctl::keikod("run --help").ok().stdout;
    assert!(help.contains(&format!("[default: 127.0.0.1:{api}]")), "{help}");
    assert!(help.contains(&format!("the API's, on {peer},")), "{help}");
    assert!(manifests.flag("--listen").ends_with(&format!(":{api}")));
    for (probe, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        let get = at(manifests.container(), &format!("/{probe}/httpGet"));
        let got = (word(get, "/path"), word(get, "/port"), word(get, "/scheme"));
        assert_eq!(got, (path, "api", "HTTPS"), "{probe}");
    }
    for service in manifests.all("Service") {
        for port in at(service, "/spec/ports").as_array().expect("a list") {
            assert_eq!(ports[word(port, "/targetPort")], number(port, "/port"), "{service}");
        }
    }
    let policy = at(manifests.one("NetworkPolicy"), "/spec");
    for rule in at(policy, "/ingress").as_array().expect("a list") {
        let is_open = at(rule, "/from/0").get("namespaceSelector").is_some();
        let expect = if is_open { "api" } else { "peer" };
        assert_eq!(word(rule, "/ports/0/port"), expect, "{rule}");
    }
}

#[test]
fn what_selects_the_pods_selects_them() {
    let manifests = Manifests::read();
    let (set, pod) = (manifests.one("StatefulSet"), manifests.pod());
    let labels = at(pod, "/metadata/labels");
    assert!(selects(at(set, "/spec/selector/matchLabels"), labels));
    let budget = manifests.one("PodDisruptionBudget");
    assert!(selects(at(budget, "/spec/selector/matchLabels"), labels));
    assert_eq!(number(budget, "/spec/maxUnavailable"), 1);
    let policy = manifests.one("NetworkPolicy");
    assert!(selects(at(policy, "/spec/podSelector/matchLabels"), labels));
    let services = manifests.all("Service");
    for service in &services {
        assert!(selects(at(service, "/spec/selector"), labels), "{service}");
    }
    let named =
        |name: &str| services.iter().find(|service| word(service, "/metadata/name") == name);
    let headless = named(word(set, "/spec/serviceName")).expect("the Service of the pods' names");
    assert_eq!(word(headless, "/spec/clusterIP"), "None");
    assert_eq!(at(headless, "/spec/publishNotReadyAddresses"), &Value::Bool(true));
    let founding = at(manifests.one("Job"), "/spec/template/metadata/labels");
    assert!(!selects(at(budget, "/spec/selector/matchLabels"), founding), "the Job is no node");
    let monitor = manifests.one("ServiceMonitor");
    let wanted = at(monitor, "/spec/selector/matchLabels");
    assert!(selects(wanted, at(headless, "/metadata/labels")));
    let endpoint = at(monitor, "/spec/endpoints/0");
    assert!(manifests.ports().contains_key(word(endpoint, "/port")));
    let config = word(manifests.one("ConfigMap"), "/data/keiko.toml");
    let name = format!("\"{}\"", word(endpoint, "/tlsConfig/serverName"));
    assert!(config.contains(&name), "{name} is no name of a node");
}

#[test]
fn pods_may_little() {
    let manifests = Manifests::read();
    let founding = at(manifests.one("Job"), "/spec/template");
    for pod in [manifests.pod(), founding] {
        let spec = at(pod, "/spec");
        assert_eq!(at(spec, "/automountServiceAccountToken"), &Value::Bool(false));
        assert_eq!(at(spec, "/enableServiceLinks"), &Value::Bool(false));
        assert_eq!(at(spec, "/securityContext/runAsNonRoot"), &Value::Bool(true));
        assert_eq!(word(spec, "/securityContext/seccompProfile/type"), "RuntimeDefault");
        assert_eq!(at(spec, "/securityContext"), at(manifests.pod(), "/spec/securityContext"));
        let container = at(spec, "/containers/0");
        let security = at(container, "/securityContext");
        assert_eq!(at(security, "/allowPrivilegeEscalation"), &Value::Bool(false));
        assert_eq!(at(security, "/readOnlyRootFilesystem"), &Value::Bool(true));
        assert_eq!(strings(at(security, "/capabilities/drop")), ["ALL"]);
        assert!(at(container, "/resources/requests").get("memory").is_some());
        assert_eq!(word(container, "/image"), format!("keiko:{VERSION}"));
    }
}

/// The Job reaches the first node's socket by its volume.
#[test]
fn founding_finds_the_socket_of_the_first_pod() {
    let manifests = Manifests::read();
    let (set, job) = (manifests.one("StatefulSet"), manifests.one("Job"));
    let first = format!("{}-0", word(set, "/metadata/name"));
    let claim = format!("{}-{first}", word(set, "/spec/volumeClaimTemplates/0/metadata/name"));
    let spec = at(job, "/spec/template/spec");
    assert_eq!(word(spec, "/volumes/0/persistentVolumeClaim/claimName"), claim);
    let near = "/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/0";
    let labels = at(at(spec, near), "/labelSelector/matchLabels");
    assert_eq!(word(labels, "/statefulset.kubernetes.io~1pod-name"), first);
    let mount = word(spec, "/containers/0/volumeMounts/0/mountPath");
    assert_eq!(mount, word(manifests.container(), "/volumeMounts/0/mountPath"));
    let data = manifests.flag("--data-dir");
    assert!(data.starts_with(&format!("{mount}/")), "{data} is not on the volume");
    let socket = format!("unix:{data}/keiko.sock");
    let arguments = strings(at(spec, "/containers/0/args"));
    assert_eq!(arguments, ["--endpoint", socket.as_str(), "cluster", "init"]);
    let variables = at(manifests.container(), "/env").as_array().expect("a list");
    let endpoint = variables.iter().find(|variable| word(variable, "/name") == "KEIKO_ENDPOINT");
    assert_eq!(endpoint.map(|variable| word(variable, "/value")), Some(socket.as_str()));
    // A retry would find the same.
    let codes = at(job, "/spec/podFailurePolicy/rules/0/onExitCodes/values");
    let expect = u64::from(Code::AlreadyFounded.class().exit_code());
    assert_eq!(codes.as_array().and_then(|codes| codes[0].as_u64()), Some(expect));
}

#[test]
fn the_image_is_built_as_the_house_builds() {
    let file = text("deploy/Containerfile");
    let toolchain = text("rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).expect("a channel");
    assert!(file.contains(&format!("RUSTUP_TOOLCHAIN={channel}")), "not {channel}");
    let (minor, _) = channel.rsplit_once('.').expect("three numbers");
    assert!(file.contains(&format!("rust:{minor}-")), "not rust {minor}");
    let manifests = Manifests::read();
    let user = number(manifests.pod(), "/spec/securityContext/runAsUser");
    assert!(file.contains(&format!("USER {user}:{user}")), "another user than the pods'");
    for port in manifests.ports().values() {
        let exposes = |line: &str| line.starts_with("EXPOSE ") && line.contains(&port.to_string());
        assert!(file.lines().any(exposes), "{port}");
    }
}

/// The sources of a package's files, as its `Cargo.toml` has them.
fn assets(manifest: &str) -> Vec<String> {
    let source =
        |line: &str| Some(line.trim().strip_prefix("[\"../")?.split('"').next()?.to_owned());
    text(manifest).lines().filter_map(source).collect()
}

#[test]
fn packages_hold_every_page_and_completion() {
    let assets = [assets("keikod/Cargo.toml"), assets("keikoctl/Cargo.toml")].concat();
    assert!(assets.len() > 6, "{assets:?}");
    let fits = |pattern: &str, path: &str| match pattern.split_once('*') {
        Some((head, tail)) => path.starts_with(head) && path.ends_with(tail),
        None => pattern == path,
    };
    for asset in &assets {
        let (folder, _) = asset.rsplit_once('/').unwrap_or((".", asset));
        let mut names = names_in(folder).into_iter();
        let is_there =
            names.any(|name| fits(asset, format!("{folder}/{name}").trim_start_matches("./")));
        assert!(is_there, "{asset} is not there");
    }
    let pages = names_in("man").into_iter().map(|name| format!("man/{name}"));
    let shells =
        ["keikoctl.bash", "_keikoctl", "keikoctl.fish"].map(|name| format!("completions/{name}"));
    for path in pages.chain(shells) {
        assert!(assets.iter().any(|asset| fits(asset, &path)), "{path} is in no package");
    }
    let changelog = text("deploy/debian/changelog");
    assert!(changelog.starts_with(&format!("keiko ({VERSION}-")), "{changelog}");
}
