//! Data that other systems tell of: Fluid's caches, attachments, Longhorn's replicas, JuiceFS's clients, models.

use crate::fixture::{Cluster, claiming, labelled, node, pod, storage_node, with};
use aisched_model::foreign::{Foreign, Replica};
use aisched_model::labels::Labels;
use aisched_model::pod::Pod;
use aisched_model::volume::{Attachment, Claim, Volume};
use alloc::sync::Arc;

const PLUGIN: &str = "DataLocalityAware";
const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";

fn row<const N: usize>(cluster: &Cluster, pod: &Pod, component: &str, nodes: [&str; N]) -> [i64; N] {
    let decision = cluster.decide(&[PLUGIN], pod);
    nodes.map(|n| decision.component(n, PLUGIN, component).unwrap())
}

/// A worker, a client, a node in the worker's zone, one in its region, one elsewhere; the claim `imagenet` that Fluid made.
fn fluid() -> Cluster {
    let claim = Claim {
        name: "imagenet".into(),
        labels: Labels::from([("fluid.io/s-default-imagenet", "true"), ("fluid.io/s-alluxio-default-imagenet", "true")]),
        ..Claim::default()
    };
    Cluster::of([
        labelled("worker", [("fluid.io/s-default-imagenet", "true"), (ZONE, "z1"), (REGION, "r1")]),
        labelled("client", [("fluid.io/f-default-imagenet", "true"), (ZONE, "z2"), (REGION, "r1")]),
        labelled("zone", [(ZONE, "z1"), (REGION, "r1")]),
        labelled("region", [(ZONE, "z2"), (REGION, "r1")]),
        labelled("far", [(ZONE, "z3"), (REGION, "r2")]),
    ])
    .claim(claim)
}

const FLUID_NODES: [&str; 5] = ["worker", "client", "zone", "region", "far"];

#[test]
fn fluid_datasets_draw_by_their_caches() {
    let pod = claiming("p", ["imagenet"]);
    for (percent, expected) in [(None, [20, 12, 10, 4, 0]), (Some(50), [10, 6, 5, 2, 0]), (Some(0), [0; 5]), (Some(-7), [0; 5])] {
        let key = ("default".into(), "imagenet".into());
        let cluster = percent.into_iter().fold(fluid(), |c, n| c.foreign(Foreign::Dataset(key.clone(), n)));
        assert_eq!(row(&cluster, &pod, "cache", FLUID_NODES), expected, "{percent:?}");
    }
    let decision = fluid().decide(&[PLUGIN], &pod);
    assert_eq!(decision.source("zone", PLUGIN, "cache"), Some("Fluid dataset imagenet, 100 % cached, 50 % at hand here"));
}

#[test]
fn a_pod_that_names_its_dataset_is_believed_before_fluid() {
    let named = with(claiming("p", ["imagenet"]), |s| s.annotations = Labels::from([("ai-storage.keti/dataset", "coco")]));
    assert_eq!(row(&fluid(), &named, "cache", FLUID_NODES), [0; 5]);
    let off = fluid().config(|c| c.signals.fluid = false);
    assert_eq!(row(&off, &claiming("p", ["imagenet"]), "cache", FLUID_NODES), [5; 5]);
}

#[test]
fn a_volume_is_nearer_where_something_of_it_is() {
    let volume = Volume { name: "pv".into(), handle: Some("h".into()), driver: Some("d".into()), ..Volume::default() };
    let bound = Claim { name: "data".into(), volume: Some("pv".into()), ..Claim::default() };
    let cluster = || Cluster::of([node("a"), node("b")]).volume(volume.clone()).claim(bound.clone());
    let mount = with(pod("m"), |s| s.labels = Labels::from([("app.kubernetes.io/name", "juicefs-mount"), ("volume-id", "h")]));
    let attached = Attachment { name: "x".into(), driver: "d".into(), node: "a".into(), volume: Some("pv".into()) };
    let replica = |node: &str| Foreign::Replica(Replica { name: "r".into(), volume: "h".into(), node: node.into() });
    for (cluster, expected, text) in [
        (cluster(), [15, 15], "claim data bound to a volume that any node reaches"),
        (cluster().attachment(attached.clone()), [20, 15], "claim data attached to this node"),
        (cluster().foreign(replica("a")), [20, 15], "claim data with a Longhorn replica on this node"),
        (cluster().foreign(replica("a")).foreign(replica("b")), [15, 20], "claim data bound to a volume that any node reaches"),
        (cluster().placed("a", mount), [20, 15], "claim data with a JuiceFS client on this node"),
        (
            cluster().attachment(attached).config(|c| c.signals.volume_attachments = false),
            [15, 15],
            "claim data bound to a volume that any node reaches",
        ),
    ] {
        let pod = claiming("p", ["data"]);
        assert_eq!(row(&cluster, &pod, "pvcLocality", ["a", "b"]), expected, "{text}");
        assert_eq!(cluster.decide(&[PLUGIN], &pod).source("a", PLUGIN, "pvcLocality"), Some(text));
    }
}

#[test]
fn a_model_holds_its_parts() {
    let cached = |name: &str, models: &str| storage_node(name, [], [("cached-datasets", models)]);
    let cluster = Cluster::of([cached("a", "hf://org/model"), cached("b", "hf://org/mod"), cached("c", "org")]);
    for (wanted, expected) in [("hf://org/model", [15, 0, 0]), ("hf://org/model/v2", [15, 0, 0]), ("org/x", [0, 0, 0])] {
        let pod = with(pod("p"), |s| {
            s.annotations = Labels::from([("internal.serving.kserve.io/storage-initializer-sourceuri", wanted)]);
        });
        assert_eq!(row(&cluster, &pod, "cache", ["a", "b", "c"]), expected, "{wanted}");
    }
}

#[test]
fn pods_are_drawn_where_their_like_ran_lately() {
    const HOUR_MS: u64 = 3_600_000;
    let like = |claim: &str, image: &str| with(claiming("p", [claim]), |s| s.images = alloc::vec![image.into()]);
    let cluster = |hours: u64| {
        let claims = ["data", "other"].map(|name| Claim { name: name.into(), ..Claim::default() });
        let mut cluster =
            claims.into_iter().fold(Cluster::of([node("ran"), storage_node("caches", [], [("cached-datasets", "x")])]), Cluster::claim);
        let history = Arc::make_mut(&mut cluster.snapshot.history);
        history.note(&like("data", "i"), &"ran".into());
        history.tell_time(HOUR_MS * hours);
        cluster
    };
    for (claim, image, hours, expected) in [
        ("data", "i", 0, [15, 10]),
        ("data", "i", 3, [7, 10]),
        ("data", "i", 5, [5, 10]),
        ("data", "i", 6, [5, 10]),
        ("other", "i", 0, [7, 10]),
        ("other", "j", 0, [5, 10]),
    ] {
        assert_eq!(row(&cluster(hours), &like(claim, image), "cache", ["ran", "caches"]), expected, "{claim} {image} {hours}");
    }
    let decision = cluster(1).decide(&[PLUGIN], &like("data", "i"));
    assert_eq!(decision.source("ran", PLUGIN, "cache"), Some("a pod with claim data ran here 1 h ago"));
    let named = with(like("data", "i"), |s| s.annotations = Labels::from([("ai-storage.keti/dataset", "x")]));
    assert_eq!(row(&cluster(0), &named, "cache", ["ran", "caches"]), [0, 15], "what the pod says comes first");
    let off = cluster(0).config(|c| c.signals.placement_history = false);
    assert_eq!(row(&off, &like("data", "i"), "cache", ["ran", "caches"]), [5, 10]);
}
