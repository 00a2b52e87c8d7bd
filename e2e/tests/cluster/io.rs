//! I/O as a resource: a pod that insists on it waits until there is enough, on its node and at the backend that a class names.
//! Leaves out how much a shortage costs in points.

use crate::explain::command;
use aisched_e2e::{Test, merged};
use serde_json::{Value, json};

fn insisting(iops: &str) -> Value {
    Test::hints([("required-iops", iops), ("strict-io", "true")])
}

#[test]
fn a_pod_that_insists_on_iops_waits_until_a_node_has_them_left() {
    let test = Test::new("strict-io");
    test.add_node("disk", json!({"metadata": {"annotations": {"ai-storage.keti/available-iops": "1000"}}}));
    test.add_node("bare", json!({}));
    let scheduler = test.scheduler();
    test.add_pod("first", insisting("600"));
    assert_eq!(test.placed("first"), "disk");
    test.add_pod("second", insisting("600"));
    test.refused_for("second", &["1 node(s) had too few IOPS left", "1 node(s) had unknown IOPS"]);
    let numbers = test.cluster.shell(&command(&scheduler, "pod second -n strict-io --node strict-io-disk")); // other tests have nodes too
    assert!(numbers.contains("IOPS: 600 asked for, 400 left"), "{numbers}");
    // One that does not insist goes all the same.
    test.add_pod("wish", Test::hints([("required-iops", "600")]));
    let _anywhere = test.placed("wish");
    // What `wish` took is given back too, should it be on the same node.
    for gone in ["first", "wish"] {
        test.api().delete(&test.pod_path(gone));
    }
    assert_eq!(test.placed("second"), "disk");
}

#[test]
fn a_backend_that_two_classes_share_is_overloaded_for_both() {
    let test = Test::new("backend");
    for node in ["a", "b"] {
        test.add_node(node, json!({"metadata": {"annotations": {"ai-storage.keti/available-iops": "100000"}}}));
    }
    let nfs = |share: &str| {
        let budget = json!({"ai-storage.keti/storage-backend": "nas-1", "ai-storage.keti/available-iops": "1000"});
        json!({"provisioner": "nfs.csi.k8s.io", "parameters": {"server": "nas-1", "share": share}, "metadata": {"annotations": budget}})
    };
    test.add_class("home", nfs("/home"));
    test.add_class("data", nfs("/data"));
    for claim in ["home", "data"] {
        test.add_shared_volume(claim, claim, claim);
        let modes = json!(["ReadWriteMany"]);
        test.add_claim(claim, claim, "5Gi", json!({"spec": {"volumeName": test.node_name(claim), "accessModes": modes}}));
        assert_eq!(test.claim_bound(claim), claim);
    }
    let _scheduler = test.scheduler();
    test.add_pod("first", merged(Test::mounting(&["home"]), insisting("700")));
    let _either = test.placed("first");
    test.add_pod("second", merged(Test::mounting(&["data"]), insisting("700")));
    test.refused_for("second", &["2 node(s) shared a storage backend with too few IOPS left"]);
    // More is bought: the class says so, and the pod is tried again.
    let more = json!({"metadata": {"annotations": {"ai-storage.keti/available-iops": "2000"}}});
    for class in ["home", "data"] {
        test.api().patch(&test.class_path(class), &more);
    }
    let _either = test.placed("second");
}
