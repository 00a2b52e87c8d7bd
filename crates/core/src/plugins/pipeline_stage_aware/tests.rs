//! Every row of `scoring.md` §6 for PipelineStageAware; numbers are written out, not computed.

use crate::fixture::{Cluster, labelled, pod, with};
use aisched_model::foreign::{Foreign, Workflow, WorkflowTask};
use aisched_model::labels::Labels;
use aisched_model::pod::{ARGO_WORKFLOW, Pod};
use alloc::sync::Arc;
use alloc::vec::Vec;

const PLUGIN: &str = "PipelineStageAware";

/// A pod that runs a step of the workflow `flow`.
fn step(name: &str) -> Pod {
    with(pod("p"), |s| {
        s.labels = Labels::from([(ARGO_WORKFLOW, "flow")]);
        s.annotations = Labels::from([("workflows.argoproj.io/node-name", name), ("ai-storage.keti/io-pattern", "random")]);
    })
}

/// The workflow `flow`: `train` needs `load` and `clean`; the steps that ran, with their nodes.
fn flow(ran: &[(&str, &str)]) -> Foreign {
    let task = |suffix: &str, needs: &[&str]| WorkflowTask {
        suffix: suffix.into(),
        template: "run".into(),
        needs: needs.iter().map(|n| (*n).into()).collect(),
    };
    let tasks = Vec::from([task(".load", &[]), task(".clean", &[]), task(".train", &[".load", ".clean"])]);
    Foreign::Workflow(Arc::new(Workflow {
        namespace: "default".into(),
        name: "flow".into(),
        entrypoint: "main".into(),
        templates: [("main".into(), tasks)].into(),
        ran: ran.iter().map(|(step, node)| ((*step).into(), (*node).into())).collect(),
    }))
}

/// a and b in one rack, c in another rack of their zone, d in another zone; NVMe, SSD, HDD, none.
fn cluster() -> Cluster {
    let place = |name: &str, zone: &str, rack: &str, tier: &str| {
        labelled(name, [("topology.kubernetes.io/zone", zone), ("rack", rack), ("storage-tier", tier)])
    };
    let d = labelled("d", [("topology.kubernetes.io/zone", "z2"), ("rack", "r3")]);
    Cluster::of([place("a", "z1", "r1", "nvme"), place("b", "z1", "r1", "ssd"), place("c", "z1", "r2", "hdd"), d])
}

fn row(cluster: &Cluster, pod: &Pod, component: &str) -> [i64; 4] {
    let decision = cluster.decide(&[PLUGIN], pod);
    ["a", "b", "c", "d"].map(|n| decision.component(n, PLUGIN, component).unwrap())
}

#[test]
fn dependencies_draw_by_node_rack_and_zone() {
    for (ran, expected) in [
        (&[][..], [20; 4]),
        (&[("flow.load", "a")], [40, 28, 14, 0]),
        (&[("flow.load", "a"), ("flow.clean", "c")], [27, 21, 27, 0]),
        (&[("flow.load", "a"), ("flow.clean", "d")], [20, 14, 7, 20]),
        (&[("flow.load", "gone")], [20; 4]),
        (&[("flow.load", "gone"), ("flow.clean", "b")], [28, 40, 14, 0]),
        (&[("flow.other", "a")], [20; 4]),
    ] {
        assert_eq!(row(&cluster().foreign(flow(ran)), &step("flow.train"), "dependencyLocality"), expected, "{ran:?}");
    }
    assert_eq!(row(&cluster().foreign(flow(&[("flow.load", "a")])), &step("flow.load"), "dependencyLocality"), [20; 4], "needs nothing");
    assert_eq!(row(&cluster(), &step("flow.train"), "dependencyLocality"), [20; 4], "the workflow is not known");
}

#[test]
fn steps_keep_together() {
    let ran = &[("flow.load", "a"), ("flow.clean", "a"), ("flow.x", "b"), ("flow.y", "d")];
    for (cluster, expected) in [
        (cluster(), [15; 4]),
        (cluster().foreign(flow(ran)), [21, 13, 0, 13]),
        (cluster().placed("a", step("flow.load")), [30, 0, 0, 0]),
        (cluster().foreign(flow(&[("flow.load", "a")])).placed("a", step("flow.load")), [30, 0, 0, 0]),
        (cluster().foreign(flow(&[("flow.load", "a")])).placed("b", step("flow.clean")), [21, 21, 0, 0]),
    ] {
        assert_eq!(row(&cluster, &step("flow.train"), "pipelineCohesion"), expected);
    }
}

#[test]
fn io_pattern_is_scaled_from_the_tiers_points() {
    assert_eq!(row(&cluster(), &step("flow.train"), "ioPattern"), [30, 22, 7, 15]);
    let unknown = with(step("flow.train"), |s| s.annotations = Labels::default());
    assert_eq!(row(&cluster(), &unknown, "ioPattern"), [15; 4]);
}

#[test]
fn pods_outside_a_pipeline_are_skipped() {
    assert_eq!(cluster().decide(&[PLUGIN], &pod("p")).score("a", PLUGIN), None);
}
