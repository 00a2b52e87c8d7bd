//! Ours and kube-scheduler on the same nodes at the same time.
//! Leaves out two of ours with the same pods: there is no leader election yet.

use aisched_e2e::{Test, eventually, merged};
use serde_json::{Value, json};

/// 16 pods of 500m fill one of these nodes.
const N_NODES: usize = 10;
const N_PER_NODE: usize = 16;

fn of(scheduler: &str) -> Value {
    merged(Test::cpu("500m"), json!({"spec": {"schedulerName": scheduler}}))
}

/// The test's pods that have no node yet.
fn n_waiting(test: &Test) -> usize {
    test.api().list(&test.pods_path()).iter().filter(|p| p["spec"]["nodeName"].is_null()).count()
}

fn await_all_placed(test: &Test) {
    eventually("all pods are placed", || match n_waiting(test) {
        0 => Ok(()),
        n => Err(format!("{n} wait")),
    });
}

#[test]
fn two_schedulers_fill_the_same_nodes_and_overcommit_none() {
    let test = Test::new("side-by-side");
    for i in 0..N_NODES {
        test.add_node(&i.to_string(), json!({}));
    }
    let _theirs = test.kube_scheduler("side-by-side-theirs");
    let _ours = test.scheduler();
    // Both at once up to three quarters of what there is: neither can know of a bind that the other makes at the same moment,
    // so the last places on a node are left out.
    let n_together = N_NODES * N_PER_NODE * 3 / 4;
    for i in 0..n_together {
        let scheduler = if i % 2 == 0 { "side-by-side" } else { "side-by-side-theirs" };
        test.add_pod(&format!("together-{i}"), of(scheduler));
    }
    await_all_placed(&test);
    assert_eq!(test.overcommitted(), Vec::<String>::new());
    // Then to the brim, in turns.
    let n_left = N_NODES * N_PER_NODE - n_together;
    for (turn, scheduler) in ["side-by-side", "side-by-side-theirs"].into_iter().enumerate() {
        for i in 0..n_left / 2 {
            test.add_pod(&format!("turn-{turn}-{i}"), of(scheduler));
        }
        await_all_placed(&test);
    }
    assert_eq!(test.overcommitted(), Vec::<String>::new());
    // Every place is taken, and both know it.
    for (name, scheduler) in [("one-too-many", "side-by-side"), ("theirs-too-many", "side-by-side-theirs")] {
        test.add_pod(name, of(scheduler));
        let (_, message) = test.refused(name);
        assert!(message.contains(&format!("{N_NODES} Insufficient cpu")), "{name}: {message}");
    }
}
