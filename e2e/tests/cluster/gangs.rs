//! Gangs against a real API server: held until whole, bound together or not at all, told why, and taken whole by who is more important.
//! Leaves out which domain a gang goes to, and how each source's objects read in full: those are the core's and the conversion's.

use crate::signals::define;
use aisched_e2e::{Binds, Options, Program, Test, eventually, merged};
use serde_json::{Value, json};

/// How a system's users make three pods a gang.
struct System {
    name: &'static str,
    /// Group, version, kind and plural of the object that describes it; none where the pods say all.
    kind: Option<[&'static str; 4]>,
    /// Whether the API server serves the kind by itself.
    built_in: bool,
    /// The object's specification.
    spec: fn() -> Value,
    /// What its pods bear, by the object's name.
    pod: fn(&str) -> Value,
}

fn labels(labels: Value) -> Value {
    json!({"metadata": {"labels": labels}})
}

const SYSTEMS: &[System] = &[
    System {
        name: "native",
        kind: Some(["scheduling.k8s.io", "v1beta1", "PodGroup", "podgroups"]),
        built_in: true,
        spec: || json!({"schedulingPolicy": {"gang": {"minCount": 3}}}),
        pod: |gang| json!({"spec": {"schedulingGroup": {"podGroupName": gang}}}),
    },
    System {
        name: "coscheduling",
        kind: Some(["scheduling.x-k8s.io", "v1alpha1", "PodGroup", "podgroups"]),
        built_in: false,
        spec: || json!({"minMember": 3, "scheduleTimeoutSeconds": 600}),
        pod: |gang| labels(json!({"scheduling.x-k8s.io/pod-group": gang})),
    },
    System {
        name: "kueue",
        kind: None,
        built_in: false,
        spec: || json!({}),
        pod: |gang| {
            let total = json!({"metadata": {"annotations": {"kueue.x-k8s.io/pod-group-total-count": "3"}}});
            merged(labels(json!({"kueue.x-k8s.io/pod-group-name": gang})), total)
        },
    },
    System {
        name: "jobset",
        kind: Some(["jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets"]),
        built_in: false,
        spec: || {
            let job = |name: &str, n: u32| json!({"name": name, "replicas": 1, "template": {"spec": {"parallelism": n, "completions": n}}});
            json!({"replicatedJobs": [job("leader", 1), job("worker", 2)]})
        },
        pod: |gang| labels(json!({"jobset.sigs.k8s.io/jobset-name": gang, "jobset.sigs.k8s.io/replicatedjob-name": "worker"})),
    },
    System {
        name: "leaderworkerset",
        kind: Some(["leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets"]),
        built_in: false,
        spec: || json!({"replicas": 1, "leaderWorkerTemplate": {"size": 3}}),
        pod: |gang| labels(json!({"leaderworkerset.sigs.k8s.io/name": gang, "leaderworkerset.sigs.k8s.io/group-key": "0123abcd"})),
    },
];

impl System {
    /// Puts the object of a gang there, its kind before it.
    fn describe(&self, test: &Test, gang: &str) {
        let Some([group, version, kind, plural]) = self.kind else { return };
        if !self.built_in && test.api().find(&format!("/apis/{group}/{version}/{plural}")).is_none() {
            define(test, group, version, kind, plural, "Namespaced");
        }
        let object = json!({"apiVersion": format!("{group}/{version}"), "kind": kind, "metadata": {"name": gang}, "spec": (self.spec)()});
        test.api().create(&format!("/apis/{group}/{version}/namespaces/{}/{plural}", test.name), &object);
    }
}

const NATIVE: &System = &SYSTEMS[0];
const GPU: &str = "example.com/gang-gpu";

/// A pod that asks for one device, of which each node of [`gpu_node`] has one.
fn with_gpu() -> Value {
    let one = json!({GPU: "1"});
    json!({"spec": {"containers": [{"name": "c", "image": "busybox", "resources": {"requests": one, "limits": one}}]}})
}

fn gpu_node(test: &Test, name: &str) {
    let size = json!({GPU: "1"});
    test.add_node(name, json!({"status": {"capacity": size, "allocatable": size}}));
}

/// A scheduler with the permissions of the deployment alone.
fn scheduler(test: &Test) -> Program {
    let options = Options { kubeconfig: test.account_without("scheduler", &[]), ..test.options() };
    let mut scheduler = test.scheduler_with(&options, "scheduler");
    scheduler.wait_until_ready();
    scheduler
}

/// Waits until a pod is told something that ends so.
fn told(test: &Test, pod: &str, reason: &str, wanted: &str) {
    eventually(&format!("pod {pod} is told"), || {
        let told = test.refused(pod);
        if told.0 == reason && told.1.ends_with(wanted) { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

fn is_there(test: &Test, pod: &str) -> bool {
    test.api().find(&test.pod_path(pod)).is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_null())
}

#[test]
fn gang_of_every_system_is_held_until_it_is_whole_and_then_bound() {
    let test = Test::new("gangs");
    test.add_node("a", json!({}));
    for system in SYSTEMS {
        system.describe(&test, system.name);
    }
    let _scheduler = scheduler(&test);
    let binds = Binds::watch(&test);
    let pod = |system: &System, i: usize| {
        let name = format!("{}-{i}", system.name);
        test.add_pod(&name, (system.pod)(system.name));
        name
    };
    for system in SYSTEMS {
        let two = [0, 1].map(|i| pod(system, i));
        two.iter().for_each(|name| told(&test, name, "SchedulingGated", " needs are there"));
        let (_, message) = test.refused(&two[0]);
        assert!(message.starts_with("waiting for its gang: 2 of the 3 pods that "), "{message}");
    }
    assert_eq!(binds.n_bound(), 0);
    for system in SYSTEMS {
        let last = pod(system, 2);
        for name in [format!("{}-0", system.name), format!("{}-1", system.name), last] {
            assert_eq!(test.placed(&name), "a");
        }
    }
}

#[test]
fn gang_larger_than_the_cluster_is_told_so_and_bound_whole_when_a_node_comes() {
    let test = Test::new("gang-larger");
    gpu_node(&test, "a");
    gpu_node(&test, "b");
    NATIVE.describe(&test, "train");
    let _scheduler = scheduler(&test);
    let binds = Binds::watch(&test);
    let pods = ["p0", "p1", "p2"];
    for pod in pods {
        test.add_pod(pod, merged(with_gpu(), (NATIVE.pod)("train")));
    }
    for pod in pods {
        told(&test, pod, "Unschedulable", &format!("the 3 pods that it needs ask for 3 {GPU}, and all nodes together have 2."));
    }
    assert_eq!(binds.n_bound(), 0);
    gpu_node(&test, "c");
    let mut nodes = pods.map(|pod| test.placed(pod));
    nodes.sort();
    assert_eq!(nodes, ["a", "b", "c"]);
    assert_eq!(test.overcommitted(), Vec::<String>::new());
}

#[test]
fn gang_that_finds_no_room_for_one_leaves_the_room_of_the_others_to_who_can_use_it() {
    let test = Test::new("gang-room");
    for node in ["a", "b", "c"] {
        gpu_node(&test, node);
    }
    NATIVE.describe(&test, "train");
    let _scheduler = scheduler(&test);
    test.add_pod("alone", with_gpu());
    let taken = test.placed("alone");
    for pod in ["p0", "p1", "p2"] {
        test.add_pod(pod, merged(with_gpu(), (NATIVE.pod)("train")));
    }
    let (reason, message) = test.refused("p0");
    assert_eq!(reason, "Unschedulable");
    assert!(
        message.contains("is placed whole or not at all: of the 3 pods that it needs p2 finds no node with 2 others placed: "),
        "{message}"
    );
    test.api().delete(&test.pod_path("alone"));
    assert!(["p0", "p1", "p2"].map(|pod| test.placed(pod)).contains(&taken));
    assert_eq!(test.overcommitted(), Vec::<String>::new());
}

#[test]
fn member_deleted_before_the_gang_is_whole_counts_no_more() {
    let test = Test::new("gang-deleted");
    test.add_node("a", json!({}));
    NATIVE.describe(&test, "train");
    let _scheduler = scheduler(&test);
    let binds = Binds::watch(&test);
    let add = |pod: &str| test.add_pod(pod, (NATIVE.pod)("train"));
    let two_are_there = "2 of the 3 pods that PodGroup gang-deleted/train needs are there";
    add("p0");
    add("p1");
    told(&test, "p1", "SchedulingGated", two_are_there);
    test.api().delete(&test.pod_path("p0"));
    add("p2");
    told(&test, "p2", "SchedulingGated", two_are_there);
    assert_eq!(binds.n_bound(), 0);
    add("p3");
    for pod in ["p1", "p2", "p3"] {
        assert_eq!(test.placed(pod), "a");
    }
}

#[test]
fn members_at_kueues_gate_are_not_there_before_it_opens() {
    let test = Test::new("gang-gate");
    test.add_node("a", json!({}));
    let _scheduler = scheduler(&test);
    let kueue = SYSTEMS.iter().find(|system| system.name == "kueue").unwrap();
    let gate = json!({"spec": {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}});
    let pods = ["p0", "p1", "p2"];
    for pod in pods {
        test.add_pod(pod, merged(gate.clone(), (kueue.pod)("train")));
    }
    let admit = |pod: &str| test.api().patch(&test.pod_path(pod), &json!({"spec": {"schedulingGates": null}}));
    admit("p0");
    admit("p1");
    told(&test, "p0", "SchedulingGated", "2 of the 3 pods that Kueue pod group gang-gate/train needs are there");
    admit("p2");
    for pod in pods {
        assert_eq!(test.placed(pod), "a");
    }
}

#[test]
fn gang_is_preempted_whole_for_a_pod_that_needs_the_room_of_one_member() {
    let test = Test::new("gang-victim");
    for node in ["a", "b", "c"] {
        gpu_node(&test, node);
    }
    NATIVE.describe(&test, "train");
    let class =
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "gang-victim-high"}, "value": 1000});
    test.api().create("/apis/scheduling.k8s.io/v1/priorityclasses", &class);
    let _scheduler = scheduler(&test);
    let pods = ["p0", "p1", "p2"];
    for pod in pods {
        test.add_pod(pod, merged(with_gpu(), (NATIVE.pod)("train")));
    }
    pods.iter().for_each(|pod| drop(test.placed(pod)));
    test.add_pod("important", merged(with_gpu(), json!({"spec": {"priorityClassName": "gang-victim-high"}})));
    drop(test.placed("important"));
    eventually("all members are gone", || {
        let left = pods.iter().filter(|pod| is_there(&test, pod)).collect::<Vec<_>>();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?} are left")) }
    });
}
