//! What is said of claims that keep a pod from every node, literally as kube-scheduler says it, side by side.
//! Leaves out what is said of nodes by pods that want no volumes.

use aisched_e2e::{Test, merged};
use serde_json::{Value, json};

const THEIRS: &str = "volume-words-theirs";

/// Claims by name, none of which a pod can use.
fn claims(test: &Test) {
    for (name, over) in [
        ("immediate", json!({"volumeBindingMode": "Immediate"})),
        ("waits", json!({})),
        (
            "elsewhere",
            json!({"allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["none"]}]}], "provisioner": "csi.e2e"}),
        ),
    ] {
        test.add_class(name, over);
    }
    for (claim, class) in [("unbound", "immediate"), ("no-class", "missing"), ("no-volume", "waits"), ("no-topology", "elsewhere")] {
        test.add_claim(claim, class, "1Gi", json!({}));
    }
    test.add_claim("classless", "", "1Gi", json!({"spec": {"storageClassName": ""}}));
    test.add_claim("no-such-volume", "waits", "1Gi", json!({"spec": {"volumeName": "volume-words-none"}}));
    for (volume, zone) in [("far", json!({})), ("zonal", json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "z2"}}}))] {
        test.add_volume(volume, "waits", if volume == "far" { "nowhere" } else { "a" }, "1Gi", zone);
        test.add_claim(volume, "waits", "1Gi", json!({"spec": {"volumeName": test.node_name(volume)}}));
        assert_eq!(test.claim_bound(volume), volume);
    }
}

/// All nodes of the cluster are in the messages, so no other test may run.
#[test]
fn refusals_for_volumes_are_those_of_kube_scheduler_word_for_word() {
    let test = Test::alone("volume-words");
    test.add_node("a", json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "z1"}}}));
    let _theirs = test.kube_scheduler(THEIRS);
    let _ours = test.scheduler();
    claims(&test);
    let ephemeral = |class: &str| {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}});
        json!({"spec": {"volumes": [{"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}]}})
    };
    let mounting = ["missing", "unbound", "no-class", "classless", "no-volume", "no-topology", "no-such-volume", "far", "zonal"];
    let mut cases: Vec<(&str, Value)> = mounting.iter().map(|claim| (*claim, Test::mounting(&[*claim]))).collect();
    cases.push(("two-missing", Test::mounting(&["missing", "also-missing"])));
    cases.push(("bound-and-not", Test::mounting(&["far", "no-volume"])));
    cases.push(("ephemeral", ephemeral(&test.node_name("waits"))));
    for (name, over) in &cases {
        test.add_pod(&format!("ours-{name}"), over.clone());
        test.add_pod(&format!("theirs-{name}"), merged(over.clone(), json!({"spec": {"schedulerName": THEIRS}})));
    }
    for (name, _) in &cases {
        if *name == "ephemeral" {
            continue;
        }
        let (ours, theirs) = (test.refused(&format!("ours-{name}")), test.refused(&format!("theirs-{name}")));
        assert_eq!(ours, theirs, "{name}: ours is left, kube-scheduler's is right");
    }
    // The ephemeral claim appears meanwhile: both see it, and say that it finds no volume.
    for pod in ["ours-ephemeral", "theirs-ephemeral"] {
        test.refused_for(pod, &["1 node(s) didn't find available persistent volumes to bind"]);
    }
}
