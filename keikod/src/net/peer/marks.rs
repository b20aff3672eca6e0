//! What every call to a peer says: the cluster, who calls, who is meant.

use keiko_core::refusal::{Code, Refusal, Result};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::service::Interceptor;

const CLUSTER: &str = "keiko-cluster";
const FROM: &str = "keiko-from";
const TO: &str = "keiko-to";

/// Put on every call.
#[derive(Clone, Debug)]
pub struct Marks {
    cluster: MetadataValue<tonic::metadata::Ascii>,
    from: MetadataValue<tonic::metadata::Ascii>,
    to: MetadataValue<tonic::metadata::Ascii>,
}

impl Marks {
    /// Of calls from this node to that one.
    pub fn new(cluster_id: &str, own_id: u64, to: u64) -> Result<Self> {
        let cluster = cluster_id.parse().map_err(|_| {
            Refusal::new(Code::Internal, "the cluster's id is not text that can be sent")
        })?;
        Ok(Self { cluster, from: MetadataValue::from(own_id), to: MetadataValue::from(to) })
    }

    /// Refuses a call that means another cluster or another node.
    pub fn check(marks: &MetadataMap, cluster_id: &str, own_id: u64) -> Result<()> {
        let text = |name| marks.get(name).and_then(|value| value.to_str().ok());
        if text(CLUSTER) != Some(cluster_id) {
            return Err(Refusal::new(Code::WrongCluster, "this node is of another cluster")
                .cause(format!("the call means cluster {}", text(CLUSTER).unwrap_or("none"))));
        }
        if text(TO).and_then(|to| to.parse().ok()) != Some(own_id) {
            return Err(Refusal::new(Code::WrongNode, format!("this is node {own_id}"))
                .cause(format!("the call means node {}", text(TO).unwrap_or("none"))));
        }
        Ok(())
    }
}

#[allow(clippy::result_large_err, reason = "the trait says so")]
impl Interceptor for Marks {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> std::result::Result<tonic::Request<()>, tonic::Status> {
        let metadata = request.metadata_mut();
        metadata.insert(CLUSTER, self.cluster.clone());
        metadata.insert(FROM, self.from.clone());
        metadata.insert(TO, self.to.clone());
        Ok(request)
    }
}
