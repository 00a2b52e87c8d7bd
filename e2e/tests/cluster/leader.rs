//! Two schedulers of one name: one leads; when it dies, ends or is robbed of its lease, the other takes over or nobody binds.
//! Leaves out the rules of the election: the adapter's tests have those in virtual time.

use aisched_e2e::{Binds, Program, Test, eventually};
use serde_json::{Value, json};
use std::time::Instant;

const N_NODES: usize = 20;
const N_PODS: usize = 2000;

fn holder(test: &Test) -> String {
    test.api().find(&test.lease_path()).map_or_else(String::new, |l| l["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
}

fn held(test: &Test, what: &str, is_so: impl Fn(&str) -> bool) -> String {
    eventually(what, || Some(holder(test)).filter(|h| is_so(h)).ok_or_else(|| format!("{:?} holds it", holder(test))))
}

fn set_holder(test: &Test, holder: &str) {
    test.api().patch(&test.lease_path(), &json!({"spec": {"holderIdentity": holder, "leaseDurationSeconds": 3600}}));
}

/// 2,000 pods that wait for a node, and then nodes that they fill exactly: one that is lost stays without a node, one that is counted
/// twice finds none. Comes back when the leader is in the midst of it.
fn fill(test: &Test, binds: &Binds) {
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                for i in part * N_PODS / 4..(part + 1) * N_PODS / 4 {
                    test.add_pod(&format!("p{i}"), json!({}));
                }
            });
        }
    });
    let size = json!({"cpu": "10", "memory": "32Gi", "pods": "110"});
    for i in 0..N_NODES {
        test.add_node(&i.to_string(), json!({"status": {"capacity": size, "allocatable": size}}));
    }
    at_least(binds, 1);
}

fn at_least(binds: &Binds, n: usize) {
    eventually(&format!("{n} pods are bound"), || match binds.n_bound() {
        bound if bound >= n => Ok(()),
        bound => Err(format!("{bound} are")),
    });
}

fn leader_and_follower(test: &Test) -> (Program, Program) {
    let mut leader = test.candidate("leader");
    leader.wait_until_ready();
    let mut follower = test.candidate("follower");
    follower.wait_for_line("ready to lead, and waiting for the lease");
    follower.wait_for_line("leads; waiting for lease");
    (leader, follower)
}

fn nothing_lost_or_doubled(test: &Test, binds: &Binds) {
    at_least(binds, N_PODS);
    assert_eq!(test.overcommitted(), Vec::<String>::new());
    assert_eq!(binds.bound_twice().len(), 0, "{:?}", binds.bound_twice());
    test.add_pod("one-too-many", json!({}));
    let (_, message) = test.refused("one-too-many");
    assert!(message.contains(&format!("{N_NODES} Insufficient cpu")), "{message}");
}

#[test]
fn follower_takes_over_from_a_leader_killed_among_2000_waiting_pods() {
    let test = Test::new("leader-killed");
    let binds = Binds::watch(&test);
    let (leader, mut follower) = leader_and_follower(&test);
    fill(&test, &binds);
    let killed = Instant::now();
    leader.kill();
    let n_before = binds.n_bound();
    assert!(n_before < N_PODS, "all pods were bound before the leader died");
    follower.wait_for_line("lease acquired; leading");
    at_least(&binds, n_before + 1);
    println!("from SIGKILL to the next bind: {:.1} s ({n_before} of {N_PODS} bound before)", killed.elapsed().as_secs_f64());
    nothing_lost_or_doubled(&test, &binds);
    assert_eq!(test.api().get(&test.lease_path())["spec"]["leaseTransitions"], 1);
}

#[test]
fn leader_that_is_asked_to_end_hands_over() {
    let test = Test::new("leader-ends");
    let binds = Binds::watch(&test);
    let (leader, mut follower) = leader_and_follower(&test);
    let ready = format!("kubectl get --raw /readyz --server https://127.0.0.1:{} --insecure-skip-tls-verify", follower.port);
    assert_eq!(test.cluster.shell(&ready), "ok", "a follower is ready");
    let log = leader.log.clone();
    fill(&test, &binds);
    let asked = Instant::now();
    assert_eq!(leader.stop().code(), Some(0));
    let n_before = binds.n_bound();
    assert!(n_before < N_PODS, "all pods were bound before the leader ended");
    follower.wait_for_line("lease acquired; leading");
    at_least(&binds, n_before + 1);
    println!("from SIGTERM to the next bind: {:.1} s ({n_before} of {N_PODS} bound before)", asked.elapsed().as_secs_f64());
    assert!(std::fs::read_to_string(log).unwrap().contains("lease given back"));
    nothing_lost_or_doubled(&test, &binds);
}

#[test]
fn leader_whose_lease_is_taken_stops_binding_and_ends() {
    let test = Test::new("leader-robbed");
    test.add_node("a", json!({}));
    let mut scheduler = test.candidate("scheduler");
    scheduler.wait_until_ready();
    test.add_pod("before", json!({}));
    assert_eq!(test.placed("before"), "a");
    // It stays: the next renewal names an older version.
    set_holder(&test, "thief");
    assert_eq!(scheduler.wait_for_end().code(), Some(1));
    assert!(scheduler.logged().contains("leader election lost: thief has taken it"), "{}", scheduler.logged());
    test.add_pod("after", json!({}));
    let mut next = test.candidate("next");
    next.wait_for_line("ready to lead, and waiting for the lease");
    next.wait_for_line("thief leads; waiting for lease");
    assert_eq!(test.api().get(&test.pod_path("after"))["spec"]["nodeName"], Value::Null);
    // What client-go writes when it gives a lease back.
    test.api().patch(&test.lease_path(), &json!({"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}}));
    assert_eq!(test.placed("after"), "a");
}

#[test]
fn lease_goes_to_and_from_kube_scheduler_as_among_its_own() {
    let test = Test::new("leader-client-go");
    let kube = test.electing_kube_scheduler("leader-client-go-kube");
    let theirs = held(&test, "kube-scheduler leads", |h| !h.is_empty());
    let mut ours = test.candidate("ours");
    ours.wait_for_line(&format!("{theirs} leads; waiting for lease"));
    kube.kill();
    ours.wait_until_ready();
    let mine = held(&test, "ours leads", |h| !h.is_empty() && h != theirs);
    let _kube = test.electing_kube_scheduler("leader-client-go-kube");
    test.add_node("a", json!({}));
    test.add_pod("p", json!({}));
    assert_eq!(test.placed("p"), "a");
    let renewed = || test.api().get(&test.lease_path())["spec"]["renewTime"].clone();
    let before = renewed();
    eventually("ours renews", || if renewed() == before { Err(before.to_string()) } else { Ok(()) });
    assert_eq!(holder(&test), mine, "kube-scheduler waits");
    assert_eq!(ours.stop().code(), Some(0));
    held(&test, "kube-scheduler leads again", |h| !h.is_empty() && h != mine);
    assert_eq!(test.api().get(&test.lease_path())["spec"]["leaseTransitions"], 2);
}
