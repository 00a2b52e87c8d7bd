//! What becomes of a pod's volumes, whatever controllers, provisioners and other schedulers do meanwhile.

use super::*;
use crate::bind::BindOptions;
use crate::testing::{Answer, Mock, pod_ref};
use aisched_model::labels::Labels;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::mpsc::unbounded_channel;

const PV: &str = "/api/v1/persistentvolumes/pv";
const MADE: &str = "/api/v1/persistentvolumes/made";
const DATA: &str = "/api/v1/namespaces/ns/persistentvolumeclaims/data";
const BINDING: &str = "/api/v1/namespaces/ns/pods/p/binding";

/// Objects by path.
type Objects = BTreeMap<String, Value>;
/// What the rest of the cluster does after each write.
type React = fn(&mut Objects);

fn volume(name: &str, host: &str) -> Value {
    let terms = json!([{"matchExpressions": [{"key": "host", "operator": "In", "values": [host]}]}]);
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {"capacity": {"storage": "1Gi"}, "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}, "status": {"phase": "Available"},
    })
}

fn objects() -> Objects {
    let data = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": "ns", "name": "data", "uid": "u", "resourceVersion": "1"}, "spec": {},
    });
    [(PV.to_owned(), volume("pv", "a")), (DATA.to_owned(), data)].into()
}

/// What the PV controller does.
fn complete(objects: &mut Objects, volume: &str) {
    let data = objects.get_mut(DATA).unwrap();
    data["spec"]["volumeName"] = volume.into();
    data["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes".into();
}

/// What a provisioner does.
fn provision(objects: &mut Objects, host: &str) {
    if objects[DATA]["metadata"]["annotations"][SELECTED_NODE] == "n" {
        objects.insert(MADE.into(), volume("made", host));
        complete(objects, "made");
    }
}

fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else { return *into = patch.clone() };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in fields {
        merge(&mut into[key.as_str()], value);
    }
}

/// An API server with these objects.
async fn server(objects: Objects, react: React, forbidden: bool) -> Mock {
    let objects = Mutex::new(objects);
    Mock::start(move |seen| {
        let mut objects = objects.lock().unwrap();
        let missing = || Answer::status(404, "NotFound", "not found");
        match seen.method.as_str() {
            "GET" => objects.get(&seen.path).map_or_else(missing, |found| Answer::Json(200, found.clone())),
            "PATCH" if forbidden => Answer::status(403, "Forbidden", "no"),
            "PATCH" => {
                let object = objects.get_mut(&seen.path).unwrap();
                if seen.body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                    return Answer::status(409, "Conflict", "the object has been modified");
                }
                merge(object, &seen.body);
                object["metadata"]["resourceVersion"] = "2".into();
                let answer = object.clone();
                react(&mut objects);
                Answer::Json(200, answer)
            }
            _ => Answer::Json(201, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
        }
    })
    .await
}

fn claim() -> Arc<Claim> {
    Arc::new(Claim { namespace: "ns".into(), name: "data".into(), uid: "u".into(), ..Claim::default() })
}

fn plan(timeout_ms: u64) -> VolumePlan {
    VolumePlan { timeout_ms, node_labels: Labels::from([("host", "a")]), ..VolumePlan::default() }
}

fn binding(timeout_ms: u64) -> VolumePlan {
    VolumePlan { bind: vec![(claim(), Arc::new(Volume { name: "pv".into(), ..Volume::default() }))], ..plan(timeout_ms) }
}

fn provisioning(timeout_ms: u64) -> VolumePlan {
    VolumePlan { provision: vec![claim()], ..plan(timeout_ms) }
}

fn binder(mock: &Mock) -> VolumeBinder {
    let pause = Duration::from_millis(1);
    VolumeBinder::new(mock.client(), VolumeBindOptions { first_pause: pause, last_pause: pause, ..VolumeBindOptions::default() })
}

/// Binds `p` to `n` and tells the outcome and what was written.
async fn run(mock: &Mock, plan: VolumePlan) -> (BindOutcome, Vec<(String, Value)>) {
    let (sender, mut events) = unbounded_channel();
    binder(mock).spawn(pod_ref("u"), "n".into(), Arc::new(plan), Binder::new(mock.client(), BindOptions::default()), sender);
    let Some(Event::BindEnded { outcome, .. }) = events.recv().await else { panic!("no outcome") };
    let writes = mock.seen().into_iter().filter(|seen| seen.method != "GET").map(|seen| (seen.path, seen.body)).collect();
    (outcome, writes)
}

#[tokio::test]
async fn volume_is_given_to_its_claim_before_the_pod_is_bound() {
    let mock = server(objects(), |all| complete(all, "pv"), false).await;
    let (outcome, writes) = run(&mock, binding(60_000)).await;
    assert_eq!(outcome, BindOutcome::Bound);
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "ns", "name": "data", "uid": "u"});
    let metadata = json!({"resourceVersion": "1", "annotations": {BOUND_BY_CONTROLLER: "yes"}});
    assert_eq!(writes[0], (PV.into(), json!({"metadata": metadata, "spec": {"claimRef": claim}})));
    assert_eq!(writes[1..].iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), [BINDING]);
}

#[tokio::test]
async fn volume_that_its_maker_meant_for_the_claim_is_not_marked_as_a_controllers() {
    let mut all = objects();
    all.get_mut(PV).unwrap()["spec"]["claimRef"] = json!({"namespace": "ns", "name": "data"});
    let mock = server(all, |all| complete(all, "pv"), false).await;
    let (outcome, writes) = run(&mock, binding(60_000)).await;
    assert_eq!((outcome, &writes[0].1["metadata"]), (BindOutcome::Bound, &json!({"resourceVersion": "1"})));
}

#[tokio::test]
async fn volume_is_asked_for_on_the_node_and_waited_for() {
    let mock = server(objects(), |all| provision(all, "a"), false).await;
    let (outcome, writes) = run(&mock, provisioning(60_000)).await;
    assert_eq!(outcome, BindOutcome::Bound);
    assert_eq!(writes[0], (DATA.into(), json!({"metadata": {"resourceVersion": "1", "annotations": {SELECTED_NODE: "n"}}})));
    assert_eq!(writes[1..].iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), [BINDING]);
}

#[tokio::test]
async fn what_is_written_already_is_not_written_again() {
    let mut all = objects();
    all.get_mut(PV).unwrap()["spec"]["claimRef"] = json!({"namespace": "ns", "name": "data", "uid": "u"});
    complete(&mut all, "pv");
    let (outcome, writes) = run(&server(all, |_| {}, false).await, binding(60_000)).await;
    assert_eq!((outcome, writes.len()), (BindOutcome::Bound, 1));
    let mut all = objects();
    all.get_mut(DATA).unwrap()["metadata"]["annotations"] = json!({SELECTED_NODE: "n"});
    provision(&mut all, "a");
    let (outcome, writes) = run(&server(all, |_| {}, false).await, provisioning(60_000)).await;
    assert_eq!((outcome, writes.len()), (BindOutcome::Bound, 1));
}

#[tokio::test]
async fn volumes_that_will_not_be_bound_say_why_at_once() {
    type Change = fn(&mut Objects);
    let nothing: Change = |_| {};
    let cases: Vec<(&str, VolumePlan, Change, React, &str)> = vec![
        (
            "another's",
            binding(60_000),
            |all| all.get_mut(PV).unwrap()["spec"]["claimRef"] = json!({"namespace": "ns", "name": "other", "uid": "v"}),
            nothing,
            "persistentvolume \"pv\" has been given to claim ns/other",
        ),
        ("gone", binding(60_000), |all| all.retain(|path, _| path != PV), nothing, "persistentvolume \"pv\" not found"),
        (
            "on its way out",
            binding(60_000),
            |all| all.get_mut(PV).unwrap()["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
            nothing,
            "persistentvolume \"pv\" is being deleted",
        ),
        (
            "taken away",
            binding(60_000),
            nothing,
            |all| all.get_mut(PV).unwrap()["spec"]["claimRef"] = Value::Null,
            "binding volumes: ClaimRef got reset for pv \"pv\"",
        ),
        (
            "claim deleted",
            binding(60_000),
            nothing,
            |all| all.retain(|path, _| path != DATA),
            "binding volumes: failed to check binding: persistentvolumeclaim \"data\" not found",
        ),
        (
            "claim replaced",
            provisioning(60_000),
            |all| all.get_mut(DATA).unwrap()["metadata"]["uid"] = "v".into(),
            nothing,
            "persistentvolumeclaim \"data\" has been replaced by another",
        ),
        (
            "being made elsewhere",
            provisioning(60_000),
            |all| all.get_mut(DATA).unwrap()["metadata"]["annotations"] = json!({SELECTED_NODE: "m"}),
            nothing,
            "a volume for persistentvolumeclaim \"data\" is being made on node m",
        ),
        (
            "asked for elsewhere",
            provisioning(60_000),
            nothing,
            |all| all.get_mut(DATA).unwrap()["metadata"]["annotations"] = json!({SELECTED_NODE: "m"}),
            "binding volumes: provisioning failed for PVC \"data\"",
        ),
        (
            "claim deleted while its volume is made",
            provisioning(60_000),
            nothing,
            |all| all.retain(|path, _| path != DATA),
            "binding volumes: failed to check provisioning pvc: persistentvolumeclaim \"data\" not found",
        ),
        (
            "made out of reach",
            provisioning(60_000),
            nothing,
            |all| provision(all, "b"),
            "binding volumes: pv \"made\" node affinity doesn't match node \"n\": no matching NodeSelectorTerms",
        ),
        ("never", binding(5), nothing, nothing, "binding volumes: context deadline exceeded: claim data is not bound after 5ms"),
    ];
    for (name, plan, change, react, expected) in cases {
        let mut all = objects();
        change(&mut all);
        let mock = server(all, react, false).await;
        let (outcome, writes) = run(&mock, plan).await;
        assert_eq!(outcome, BindOutcome::NoVolumes(expected.into()), "{name}");
        assert!(writes.iter().all(|(path, _)| path != BINDING), "{name}: the pod is not bound");
    }
}

/// So a driver says that it has no room there, and nothing else does.
#[tokio::test]
async fn node_that_the_driver_gives_back_is_told_apart() {
    let react: React = |all| all.get_mut(DATA).unwrap()["metadata"]["annotations"] = Value::Null;
    let (outcome, _) = run(&server(objects(), react, false).await, provisioning(60_000)).await;
    let why = "binding volumes: provisioning failed for PVC \"data\"";
    assert_eq!(outcome, BindOutcome::NotProvisioned("data".into(), why.into()));
}

#[tokio::test]
async fn missing_permission_is_named() {
    let (outcome, _) = run(&server(objects(), |_| {}, true).await, binding(60_000)).await;
    let expected = "no: grant verb \"patch\" on resource \"persistentvolumes\" in API group \"\" to the scheduler's account";
    assert_eq!(outcome, BindOutcome::NoVolumes(expected.into()));
}

#[tokio::test]
async fn write_that_meets_another_is_made_anew() {
    let n_reads = Mutex::new(0);
    let all = Mutex::new(objects());
    let mock = Mock::start(move |seen| {
        let mut all = all.lock().unwrap();
        match seen.method.as_str() {
            "GET" if seen.path == PV => {
                let mut found = all[PV].clone();
                *n_reads.lock().unwrap() += 1;
                found["metadata"]["resourceVersion"] = n_reads.lock().unwrap().to_string().into();
                Answer::Json(200, found)
            }
            "GET" => Answer::Json(200, all[DATA].clone()),
            "PATCH" if seen.body["metadata"]["resourceVersion"] == "1" => Answer::status(409, "Conflict", "modified"),
            "PATCH" => {
                merge(all.get_mut(PV).unwrap(), &seen.body);
                complete(&mut all, "pv");
                Answer::Json(200, all[PV].clone())
            }
            _ => Answer::Json(201, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
        }
    })
    .await;
    let (outcome, writes) = run(&mock, binding(60_000)).await;
    assert_eq!((outcome, writes.len()), (BindOutcome::Bound, 3));
}

#[tokio::test]
async fn nobody_waits_for_a_pod_or_node_that_is_gone() {
    for (event, expected) in [
        (Event::PodGone(pod_ref("u")), BindOutcome::Gone("the pod no longer exists".into())),
        (Event::NodeGone("n".into()), BindOutcome::NoVolumes("binding volumes: failed to get node \"n\": node \"n\" not found".into())),
    ] {
        let mock = server(objects(), |_| {}, false).await;
        let long = Duration::from_secs(3600);
        let volumes =
            VolumeBinder::new(mock.client(), VolumeBindOptions { first_pause: long, last_pause: long, ..VolumeBindOptions::default() });
        let (sender, mut events) = unbounded_channel();
        let pods = Binder::new(mock.client(), BindOptions::default());
        volumes.spawn(pod_ref("u"), "n".into(), Arc::new(binding(3_600_000)), pods, sender);
        mock.seen_at_least(2).await; // read and written
        volumes.saw(&Event::PodGone(pod_ref("other")));
        volumes.saw(&event);
        let Some(Event::BindEnded { outcome, .. }) = events.recv().await else { panic!("no outcome") };
        assert_eq!(outcome, expected);
    }
}

#[tokio::test]
async fn change_that_the_watch_shows_is_looked_at_at_once() {
    let waiters = Waiters::default();
    let mut waiter = waiters.enter(&pod_ref("u"), &"n".into(), &binding(1));
    waiter.look("n").unwrap();
    waiters.saw(&Event::ClaimSet(claim()));
    waiter.change().await;
    drop(waiter);
    assert!(waiters.is_empty(), "who has gone is told nothing");
}
