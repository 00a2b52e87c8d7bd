//! The request formula as a table: pod in, request out.
//! Leaves out the rest of a pod.

use super::*;
use aisched_core::features::Features;
use serde_json::{Value, json};

fn of(spec: Value, status: Value) -> (Resources, NonZeroRequest) {
    let pod: PodObject = serde_json::from_value(json!({"spec": spec, "status": status})).unwrap();
    let mut faults = Vec::new();
    let result = requests(&pod, &mut Interner::default(), &mut faults);
    assert_eq!(faults, []);
    (result.plain, result.nonzero)
}

fn container(cpu: &str, memory: &str) -> Value {
    json!({"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}})
}

fn sidecar(cpu: &str, memory: &str) -> Value {
    let mut container = container(cpu, memory);
    container["restartPolicy"] = json!("Always");
    container
}

#[test]
fn init_containers_sidecars_and_overhead_count_at_their_worst_moment() {
    let c = container;
    for (name, spec, cpu, memory) in [
        ("nothing", json!({}), 0, 0),
        ("sum", json!({"containers": [c("100m", "1k"), c("0.2", "2k")]}), 300, 3000),
        ("init is larger", json!({"containers": [c("100m", "1k")], "initContainers": [c("1", "500"), c("200m", "9k")]}), 1000, 9000),
        ("sidecar adds", json!({"containers": [c("100m", "1k")], "initContainers": [sidecar("50m", "10")]}), 150, 1010),
        ("init after sidecar", json!({"containers": [c("100m", "0")], "initContainers": [sidecar("50m", "0"), c("200m", "0")]}), 250, 0),
        ("init before sidecar", json!({"containers": [c("100m", "0")], "initContainers": [c("200m", "0"), sidecar("150m", "0")]}), 250, 0),
        ("two sidecars", json!({"initContainers": [sidecar("100m", "0"), sidecar("100m", "0"), c("100m", "0")]}), 300, 0),
        ("overhead", json!({"containers": [c("100m", "1k")], "overhead": {"cpu": "10m", "memory": "24"}}), 110, 1024),
        ("pod level wins", json!({"containers": [c("100m", "1k")], "resources": {"requests": {"cpu": "2"}}}), 2000, 1000),
        (
            "pod level and overhead",
            json!({"containers": [c("3", "1k")], "resources": {"requests": {"cpu": "2"}}, "overhead": {"cpu": "1"}}),
            3000,
            1000,
        ),
        ("rounding up", json!({"containers": [c("100u", "100m")]}), 1, 1),
    ] {
        let (request, _) = of(spec, json!({}));
        assert_eq!((request.cpu.0, request.memory.0), (cpu, memory), "{name}");
    }
}

#[test]
fn scalars_follow_the_same_formula_and_unknown_resources_are_left_out() {
    let gpu = |n: &str| json!({"name": "c", "resources": {"requests": {"nvidia.com/gpu": n, "hugepages-2Mi": "2Mi", "unheard": "1", "pods": "1"}}});
    let (request, _) = of(
        json!({"containers": [gpu("1")], "initContainers": [gpu("4")], "resources": {"requests": {"hugepages-2Mi": "8Mi", "nvidia.com/gpu": "9"}}}),
        json!({}),
    );
    assert_eq!(request.scalars, [("hugepages-2Mi".into(), 8 << 20), ("nvidia.com/gpu".into(), 4)]);
}

#[test]
fn defaults_step_in_per_container_that_names_nothing() {
    let (c, mib) = (container, 1 << 20);
    let bare = json!({"name": "bare"});
    for (name, spec, cpu, memory) in [
        ("no container", json!({}), 0, 0),
        ("bare", json!({"containers": [bare]}), 100, 200 * mib),
        ("one of two", json!({"containers": [c("500m", "1Mi"), bare]}), 600, 201 * mib),
        ("explicit zero stays", json!({"containers": [c("0", "0")]}), 0, 0),
        ("memory alone", json!({"containers": [{"name": "c", "resources": {"requests": {"memory": "1Mi"}}}]}), 100, mib),
        ("bare init container", json!({"containers": [c("10m", "1Mi")], "initContainers": [bare]}), 100, 200 * mib),
        ("pod level CPU, nobody names memory", json!({"containers": [bare], "resources": {"requests": {"cpu": "1"}}}), 1000, 200 * mib),
        (
            "pod level CPU, one container names memory",
            json!({"containers": [bare, {"name": "c", "resources": {"requests": {"memory": "1Mi"}}}],
            "resources": {"requests": {"cpu": "1"}}}),
            1000,
            mib,
        ),
    ] {
        let (_, nonzero) = of(spec, json!({}));
        assert_eq!((nonzero.cpu.0, nonzero.memory.0), (cpu, memory), "{name}");
    }
}

#[test]
fn bound_pod_counts_with_what_its_kubelet_granted() {
    let status = |allocated: &str, in_force: &str| json!({"name": "c", "allocatedResources": {"cpu": allocated}, "resources": {"requests": {"cpu": in_force}}});
    let infeasible = json!([{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]);
    let deferred = json!([{"type": "PodResizePending", "status": "True", "reason": "Deferred"}]);
    for (name, node, conditions, statuses, cpu) in [
        ("shrinking", json!("n"), json!([]), json!([status("2", "3")]), 3000),
        ("growing", json!("n"), json!([]), json!([status("500m", "500m")]), 1000),
        ("growth refused", json!("n"), infeasible.clone(), json!([status("500m", "400m")]), 500),
        ("growth put off", json!("n"), deferred, json!([status("500m", "400m")]), 1000),
        ("no status yet", json!("n"), json!([]), json!([]), 1000),
        ("not bound", json!(null), infeasible, json!([status("5", "5")]), 1000),
    ] {
        let (request, nonzero) = of(
            json!({"nodeName": node, "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}),
            json!({"conditions": conditions, "containerStatuses": statuses}),
        );
        assert_eq!((request.cpu.0, nonzero.cpu.0), (cpu, cpu), "{name}");
    }
}

#[test]
fn pod_level_resize_counts_with_the_larger() {
    let spec = json!({"nodeName": "n", "containers": [{"name": "c"}], "resources": {"requests": {"cpu": "1"}}});
    let (request, _) = of(spec, json!({"resources": {"requests": {"cpu": "3"}}, "allocatedResources": {"cpu": "2"}}));
    assert_eq!(request.cpu.0, 3000);
}

#[test]
fn containers_of_a_pod_that_names_requests_as_a_whole_are_told_apart() {
    let silent = json!({"name": "c"});
    let of_pod = |amounts: Value| json!({"requests": amounts});
    for (spec, expected) in [
        (json!({"containers": [container("100m", "1k")]}), None),
        (json!({"containers": [container("100m", "1k")], "resources": of_pod(json!({}))}), None),
        (json!({"containers": [container("100m", "1k")], "resources": of_pod(json!({"memory": "4Gi"}))}), Some((100, 1000))),
        (json!({"containers": [silent.clone(), container("1", "0")], "resources": of_pod(json!({"cpu": "4"}))}), Some((1100, 200 << 20))),
        (json!({"containers": [silent], "resources": of_pod(json!({"cpu": "4"})), "overhead": {"cpu": "10m"}}), Some((110, 200 << 20))),
    ] {
        let pod: PodObject = serde_json::from_value(json!({"spec": spec})).unwrap();
        let found = requests(&pod, &mut Interner::default(), &mut Vec::new()).containers;
        assert_eq!(found.map(|r| (r.cpu.0, r.memory.0)), expected, "{spec}");
    }
}

#[test]
fn what_a_pod_asks_for_as_a_whole_is_hidden_by_gates() {
    let spec = json!({"nodeName": "n", "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}], "resources": {"requests": {"cpu": "2"}}});
    let status = json!({"resources": {"requests": {"cpu": "4"}}, "allocatedResources": {"cpu": "3"}});
    for (level, resize, cpu) in [(true, true, 4000), (true, false, 2000), (false, false, 1000)] {
        let features =
            Features { pod_level_resources: level, in_place_pod_level_resources_vertical_scaling: resize, ..Features::default() };
        let mut pod: PodObject = serde_json::from_value(json!({"spec": spec, "status": status})).unwrap();
        crate::convert::hide(&mut pod, features);
        assert_eq!(requests(&pod, &mut Interner::default(), &mut Vec::new()).plain.cpu.0, cpu, "{features:?}");
    }
}
