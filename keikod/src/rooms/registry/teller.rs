//! Who tells the law what was seen of an entry: one node for each, so that three nodes do not write
//! thrice, nor one against the other what they see from where they stand.
//!
//! Of what is at home on a node that node tells; of everything else the leader, and also while that
//! node is down.

use super::super::{Control, Peers};
use super::home::Home;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks whether this node leads.
const TICK: Duration = Duration::from_millis(250);

/// The right of a node to tell of what is at home there. Terms begin at 1.
const OWN: u64 = 0;

/// What decides whether this node tells; a cheap clone.
#[derive(Clone)]
pub(super) struct Teller {
    node: Arc<str>,
    peers: Arc<dyn Peers>,
    /// The term in which this node leads, if it does.
    term: watch::Sender<Option<u64>>,
}

impl Teller {
    pub(super) fn new(node: &str, peers: Arc<dyn Peers>) -> Self {
        Self { node: node.into(), peers, term: watch::Sender::new(None) }
    }

    /// By what right this node tells of an entry, if it does. Under another right, what was told
    /// before may not be so any more: another node told meanwhile.
    pub(super) fn right(&self, home: &Home) -> Option<u64> {
        let term = *self.term.borrow();
        match home {
            Home::Hosted(node) | Home::Bound(node) if *node == self.node => Some(OWN),
            Home::Hosted(node) | Home::Bound(node) => term.filter(|_| self.peers.is_down(node)),
            Home::Everywhere | Home::Nowhere => term,
        }
    }

    /// Changes when this node begins or ceases to lead.
    pub(super) fn changes(&self) -> watch::Receiver<Option<u64>> {
        self.term.subscribe()
    }

    /// Looks whether this node leads.
    pub(super) fn look(&self, control: &Control) {
        let leading = control.group().ok().filter(|group| group.leads());
        let term = leading.map(|group| group.term());
        self.term.send_if_modified(|known| std::mem::replace(known, term) != term);
    }

    /// Goes on looking until shutdown.
    pub(super) async fn run(self, control: Control, shutdown: CancellationToken) {
        loop {
            self.look(&control);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::PeerCallError;
    use super::*;
    use crate::net::Identity;

    struct Down(&'static str);

    #[tonic::async_trait]
    impl Peers for Down {
        fn is_down(&self, node: &str) -> bool {
            node == self.0
        }

        fn is_isolated(&self) -> bool {
            false
        }

        async fn call(
            &self,
            _node: &str,
            _method: &'static str,
            _caller: &Identity,
            _message: Vec<u8>,
            _timeout: Duration,
            _trace: Option<&str>,
        ) -> Result<Vec<u8>, PeerCallError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn one_node_tells_of_each_entry() {
        let teller = Teller::new("n1", Arc::new(Down("n3")));
        let (bound, hosted) =
            (|node: &str| Home::Bound(node.into()), |node: &str| Home::Hosted(node.into()));
        for (home, following, leading) in [
            (Home::Everywhere, None, Some(7)),
            (Home::Nowhere, None, Some(7)),
            (hosted("n1"), Some(OWN), Some(OWN)),
            (bound("n1"), Some(OWN), Some(OWN)),
            (hosted("n2"), None, None),
            (bound("n2"), None, None),
            (hosted("n3"), None, Some(7)),
            (bound("n3"), None, Some(7)),
        ] {
            teller.term.send_replace(None);
            assert_eq!(teller.right(&home), following, "{home:?}");
            teller.term.send_replace(Some(7));
            assert_eq!(teller.right(&home), leading, "{home:?}");
        }
    }
}
