//! The scheduler dies in the middle of its work and is started again, or is asked to end.
//! So does the API server, with etcd. Leaves out networks that fail (`chaos`).

use aisched_e2e::{Binds, Test, eventually};
use serde_json::json;

const N_NODES: usize = 10;
const N_PODS: usize = 1000;

/// Adds pods, several at a time.
fn add_pods(test: &Test, n_pods: usize) {
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                for i in part * n_pods / 4..(part + 1) * n_pods / 4 {
                    test.add_pod(&format!("p{i}"), json!({}));
                }
            });
        }
    });
}

/// Waits until so many pods have been bound.
fn at_least(binds: &Binds, n_pods: usize) {
    eventually(&format!("{n_pods} pods are bound"), || match binds.n_bound() {
        bound if bound >= n_pods => Ok(()),
        bound => Err(format!("{bound} are")),
    });
}

/// The pods fill the nodes exactly: one that is lost stays without a node, one that is counted twice finds none.
#[test]
fn scheduler_killed_among_a_thousand_waiting_pods_loses_none_and_binds_none_twice() {
    let test = Test::new("restart");
    let size = json!({"cpu": "10", "memory": "32Gi", "pods": "110"});
    for i in 0..N_NODES {
        test.add_node(&i.to_string(), json!({"status": {"capacity": size, "allocatable": size}}));
    }
    let binds = Binds::watch(&test);
    add_pods(&test, N_PODS);
    let scheduler = test.scheduler();
    at_least(&binds, N_PODS / 5);
    scheduler.kill();
    let n_before = binds.n_bound();
    assert!(n_before < N_PODS, "it had bound all pods already");
    let _restarted = test.scheduler();
    at_least(&binds, N_PODS);
    assert_eq!(test.overcommitted(), Vec::<String>::new());
    assert_eq!(binds.bound_twice().len(), 0, "{:?}", binds.bound_twice());

    test.add_pod("one-too-many", json!({}));
    let (_, message) = test.refused("one-too-many");
    assert!(message.contains(&format!("{N_NODES} Insufficient cpu")), "{message}");
}

/// How often it is killed: `E2E_KILL_ROUNDS`, or a few.
fn rounds() -> usize {
    std::env::var("E2E_KILL_ROUNDS").ok().map_or(3, |rounds| rounds.parse().expect("E2E_KILL_ROUNDS is a number"))
}

/// In each round pods keep coming, and the scheduler dies after a number of binds that differs.
#[test]
fn scheduler_killed_again_and_again_under_load_loses_nothing() {
    const PER_ROUND: usize = 60;
    let test = Test::new("killed-often");
    let size = json!({"cpu": "64", "memory": "32Gi", "pods": "500"});
    for i in 0..5 {
        test.add_node(&i.to_string(), json!({"status": {"capacity": size, "allocatable": size}}));
    }
    let binds = Binds::watch(&test);
    for round in 0..rounds() {
        let before = binds.n_bound();
        let scheduler = test.scheduler();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..PER_ROUND).for_each(|i| drop(test.add_pod(&format!("p{round}-{i}"), json!({})))));
            let wanted = before + 1 + (round * 37 + 11) % (PER_ROUND - 1);
            at_least(&binds, wanted);
            scheduler.kill();
        });
    }
    let _last = test.scheduler();
    let wanted = rounds() * PER_ROUND;
    eventually("all pods are bound", || if binds.n_bound() == wanted { Ok(()) } else { Err(format!("{} are", binds.n_bound())) });
    assert_eq!(test.overcommitted(), Vec::<String>::new());
    assert_eq!(binds.bound_twice().len(), 0, "{:?}", binds.bound_twice());
}

#[test]
fn api_server_and_etcd_that_die_among_waiting_pods_cost_none() {
    const N_PODS: usize = 400;
    let test = Test::alone("server-dies");
    let size = json!({"cpu": "10", "memory": "32Gi", "pods": "110"});
    for i in 0..N_PODS / 100 {
        test.add_node(&i.to_string(), json!({"status": {"capacity": size, "allocatable": size}}));
    }
    let binds = Binds::watch(&test);
    add_pods(&test, N_PODS);
    let mut scheduler = test.scheduler();
    at_least(&binds, 1);
    test.cluster.kill_server();
    assert!(binds.n_bound() < N_PODS, "it had bound all pods already");
    scheduler.wait_for_line("the API server is back");
    at_least(&binds, N_PODS);
    assert_eq!(test.overcommitted(), Vec::<String>::new());
    assert_eq!(binds.bound_twice().len(), 0, "{:?}", binds.bound_twice());
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
