//! The scheduler dies in the middle of its work and is started again, or is asked to end.
//! Leaves out an API server that dies: that is the adapter's tests'.

use aisched_e2e::{Binds, Test, eventually};
use serde_json::json;

const N_NODES: usize = 10;
const N_PODS: usize = 1000;

/// The pods fill the nodes exactly: one that is lost stays without a node, one that is counted twice finds none.
#[test]
fn scheduler_killed_among_a_thousand_waiting_pods_loses_none_and_binds_none_twice() {
    let test = Test::new("restart");
    let size = json!({"cpu": "10", "memory": "32Gi", "pods": "110"});
    for i in 0..N_NODES {
        test.add_node(&i.to_string(), json!({"status": {"capacity": size, "allocatable": size}}));
    }
    let binds = Binds::watch(&test);
    std::thread::scope(|scope| {
        for part in 0..4 {
            let test = &test;
            scope.spawn(move || {
                for i in part * N_PODS / 4..(part + 1) * N_PODS / 4 {
                    test.add_pod(&format!("p{i}"), json!({}));
                }
            });
        }
    });
    let scheduler = test.scheduler();
    let at_least = |n: usize| {
        eventually(&format!("{n} pods are bound"), || match binds.n_bound() {
            bound if bound >= n => Ok(bound),
            bound => Err(format!("{bound} are")),
        })
    };
    at_least(N_PODS / 5);
    scheduler.kill();
    let n_before = binds.n_bound();
    assert!(n_before < N_PODS, "it had bound all pods already");
    let _restarted = test.scheduler();
    at_least(N_PODS);
    assert_eq!(test.overcommitted(), Vec::<String>::new());
    assert_eq!(binds.bound_twice().len(), 0, "{:?}", binds.bound_twice());

    test.add_pod("one-too-many", json!({}));
    let (_, message) = test.refused("one-too-many");
    assert!(message.contains(&format!("{N_NODES} Insufficient cpu")), "{message}");
}

#[test]
fn scheduler_that_is_asked_to_end_ends_well() {
    let test = Test::new("ends");
    test.add_node("a", json!({}));
    let scheduler = test.scheduler();
    test.add_pod("p", json!({}));
    assert_eq!(test.placed("p"), "a");
    assert_eq!(scheduler.stop().code(), Some(0));
}
