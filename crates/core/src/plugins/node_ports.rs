//! Refuses nodes where a host port that the pod wants is in use.
//! Leaves out which containers' ports count: `aisched-kube` has sorted that out.

use crate::cures::{Change, leaves};
use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Reads, Refusal};
use aisched_model::node::NodeInfo;
use aisched_model::pod::{HostPort, Pod};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// kube-scheduler's plugin of the same name.
pub(crate) struct NodePorts;

/// Stands for every address of the host.
const ANY_ADDRESS: &str = "0.0.0.0";

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let wanted = attempt.pod.spec.host_ports.as_slice();
        if wanted.is_empty() { Prepared::default() } else { Prepared::filter(FreePorts { wanted }) }
    }

    fn helps(&self, pod: &Pod, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::PodRemoved(gone) => {
                let held_a_node = gone.node.is_some() || gone.nominated_node.is_some();
                held_a_node && first_conflict(&pod.spec.host_ports, &gone.spec.host_ports).is_some()
            }
            _ => false,
        }
    }
}

struct FreePorts<'a> {
    wanted: &'a [HostPort],
}

impl Filter for FreePorts<'_> {
    fn reads(&self) -> Reads {
        Reads::node()
    }

    fn reads_node_only(&self) -> bool {
        true
    }

    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        first_conflict(self.wanted, &node.used_ports)?;
        Some(Refusal::unschedulable("node(s) didn't have free ports for the requested pod ports"))
    }

    fn detail(&self, node: &NodeInfo) -> Option<String> {
        let (wanted, used) = first_conflict(self.wanted, &node.used_ports)?;
        Some(format!("wants {} {}:{}, in use on {}", wanted.protocol, wanted.ip, wanted.port, used.ip))
    }

    fn cure(&self, node: &NodeInfo) -> Vec<Change> {
        let in_the_way = node.pods.iter().filter(|p| first_conflict(self.wanted, &p.pod.spec.host_ports).is_some());
        in_the_way.map(|p| leaves(&p.pod)).collect()
    }
}

/// The first wanted port that is in use, and by what.
fn first_conflict<'a>(wanted: &'a [HostPort], used: &'a [HostPort]) -> Option<(&'a HostPort, &'a HostPort)> {
    wanted.iter().find_map(|w| Some((w, used.iter().find(|u| conflict(w, u))?)))
}

fn conflict(a: &HostPort, b: &HostPort) -> bool {
    a.port == b.port && a.protocol == b.protocol && (a.ip == b.ip || *a.ip == *ANY_ADDRESS || *b.ip == *ANY_ADDRESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, node, pod, with};

    const REASON: &str = "node(s) didn't have free ports for the requested pod ports";

    /// A pod with host ports written as `TCP/127.0.0.1/8080`.
    fn with_ports(name: &str, ports: &[&str]) -> Pod {
        with(pod(name), |s| {
            s.host_ports = ports
                .iter()
                .map(|port| {
                    let parts: Vec<&str> = port.split('/').collect();
                    HostPort { protocol: parts[0].into(), ip: parts[1].into(), port: parts[2].parse().unwrap() }
                })
                .collect();
        })
    }

    #[test]
    fn ports_conflict_by_protocol_number_and_address() {
        for (wanted, used, free) in [
            (&[][..], &["TCP/0.0.0.0/80"][..], true),
            (&["TCP/127.0.0.1/8080"], &["TCP/127.0.0.1/9090"], true),
            (&["UDP/127.0.0.1/8080"], &["UDP/127.0.0.1/8080"], false),
            (&["UDP/127.0.0.1/8080"], &["UDP/127.0.0.2/8080"], true),
            (&["TCP/127.0.0.1/8080"], &["UDP/127.0.0.1/8080"], true),
            (&["TCP/0.0.0.0/8001"], &["TCP/127.0.0.1/8001"], false),
            (&["TCP/127.0.0.1/8001"], &["TCP/0.0.0.0/8001"], false),
            (&["TCP/0.0.0.0/8001"], &["UDP/127.0.0.1/8001"], true),
            (&["TCP/127.0.0.1/8001", "UDP/127.0.0.1/8080"], &["TCP/127.0.0.1/8001", "UDP/127.0.0.1/8081"], false),
            (&["TCP/0.0.0.0/8000"], &[], true),
        ] {
            let cluster = Cluster::of([node("n")]).placed("n", with_ports("there", used));
            let against = cluster.decide(&["NodePorts"], &with_ports("p", wanted)).against("n");
            assert_eq!(against, if free { "" } else { REASON }, "{wanted:?} beside {used:?}");
        }
    }

    #[test]
    fn removing_the_pod_frees_its_port() {
        let mut cluster = Cluster::of([node("n")]).placed("n", with_ports("there", &["TCP/0.0.0.0/80"]));
        let pod = with_ports("p", &["TCP/0.0.0.0/80"]);
        let reason = cluster.decide(&["NodePorts"], &pod).nodes[0].reasons[0].clone();
        assert_eq!((&*reason.message, reason.detail.as_deref()), (REASON, Some("wants TCP 0.0.0.0:80, in use on 0.0.0.0")));
        alloc::sync::Arc::make_mut(&mut cluster.snapshot.nodes[0]).remove("uid-there");
        assert_eq!(cluster.decide(&["NodePorts"], &pod).against("n"), "");
    }

    #[test]
    fn pod_gone_helps_where_it_held_a_wanted_port() {
        for (node, nominated, ports, expected) in [
            (Some("n"), None, &["TCP/0.0.0.0/80"][..], true),
            (None, Some("n"), &["TCP/0.0.0.0/80"], true),
            (None, None, &["TCP/0.0.0.0/80"], false),
            (Some("n"), None, &["TCP/0.0.0.0/81"], false),
            (Some("n"), None, &[], false),
        ] {
            let gone = Pod { node: node.map(Into::into), nominated_node: nominated.map(Into::into), ..with_ports("gone", ports) };
            let helps = NodePorts.helps(&with_ports("p", &["TCP/127.0.0.1/80"]), &ClusterEvent::PodRemoved(&gone));
            assert_eq!(helps, expected, "{node:?} {nominated:?} {ports:?}");
        }
        assert!(NodePorts.helps(&pod("p"), &ClusterEvent::NodeAdded(&node("n"))));
        assert!(!NodePorts.helps(&pod("p"), &ClusterEvent::PodPlaced(&pod("other"))));
    }
}
