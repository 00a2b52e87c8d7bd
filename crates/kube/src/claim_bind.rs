//! Writes down which devices a pod's claims get and that they are the pod's, waits for devices that take time, then has the pod bound.
//! Leaves out which devices: the plan says so. When the pod is not bound after all, its claims are no longer reserved for it.

use crate::bind::Binder;
use crate::convert::{self, EXTENDED, allocation_json, requests_json};
use crate::events::Recorder;
use crate::intern::Interner;
use crate::objects::{DeviceClaimObject, PodObject};
use crate::problem::Problem;
use crate::volume_bind::VolumeBinder;
use aisched_core::event::{ApiEvent, BindOutcome, DeviceNews, Event, PodRef, Regarding};
use aisched_core::framework::Remedy;
use aisched_model::Str;
use aisched_model::devices::{ClaimPlan, ClaimToBind, DeviceClaim};
use aisched_model::volume::VolumePlan;
use jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

/// How claims are bound.
#[derive(Clone, Debug)]
pub struct ClaimBindOptions {
    /// Longest wait for one answer.
    pub deadline: Duration,
    /// Calls at a time, of all pods together.
    pub concurrency: usize,
    /// How often a claim is read and written anew that somebody else has changed meanwhile, or a server in trouble is asked again.
    pub retries: usize,
    /// First pause before a claim is read again whose devices are not ready; it doubles each time.
    pub first_pause: Duration,
    /// Longest such pause.
    pub last_pause: Duration,
}

impl Default for ClaimBindOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            concurrency: 32,
            retries: 5,
            first_pause: Duration::from_millis(250),
            last_pause: Duration::from_secs(5),
        }
    }
}

/// Keeps a claim that has devices from being deleted.
const FINALIZER: &str = "resource.kubernetes.io/delete-protection";

/// Binds claims. Cloning shares the limit.
#[derive(Clone)]
pub struct ClaimBinder {
    client: Client,
    options: ClaimBindOptions,
    limit: Arc<Semaphore>,
    recorder: Recorder,
    events: UnboundedSender<Event>,
}

/// A call that failed: for good, or so that it is worth another try.
enum Trouble {
    Final(String),
    Conflict(String),
    Passing(String),
}

impl ClaimBinder {
    /// A binder of claims; what it has written goes to `events` at once, so that it counts before the watch shows it.
    #[must_use]
    pub fn new(client: Client, options: ClaimBindOptions, recorder: Recorder, events: UnboundedSender<Event>) -> Self {
        let limit = Arc::new(Semaphore::new(options.concurrency.max(1)));
        Self { client, options, limit, recorder, events }
    }

    /// Binds a pod's claims, then its volumes, then the pod, in a task of its own; the outcome goes to the events.
    pub fn spawn(&self, pod: PodRef, node: Str, plan: Arc<ClaimPlan>, volumes: Option<(VolumeBinder, Arc<VolumePlan>)>, binder: Binder) {
        let claims = self.clone();
        tokio::spawn(async move {
            let outcome = claims.bind(&pod, &node, &plan, volumes, &binder).await;
            // The receiver is gone only when the scheduler stops.
            let _stopping = claims.events.send(Event::BindEnded { pod, node, outcome });
        });
    }

    async fn bind(
        &self,
        pod: &PodRef,
        node: &Str,
        plan: &ClaimPlan,
        volumes: Option<(VolumeBinder, Arc<VolumePlan>)>,
        binder: &Binder,
    ) -> BindOutcome {
        let mut written = Vec::new();
        let outcome = match self.write(pod, node, plan, &mut written).await {
            Err(why) => BindOutcome::NoDevices(why),
            Ok(()) => match volumes {
                Some((volumes, plan)) => volumes.bind_with(pod, node, &plan, binder).await,
                None => binder.bind(pod, node).await,
            },
        };
        match &outcome {
            // Of a pod that is another's to place, or gone, the claims are for others to mind.
            BindOutcome::Bound | BindOutcome::Gone(_) => {}
            BindOutcome::NoDevices(_)
            | BindOutcome::NoVolumes(_)
            | BindOutcome::NotProvisioned(..)
            | BindOutcome::Preempted
            | BindOutcome::Failed(_) => {
                warn!(pod = %format_args!("{}/{}", pod.namespace, pod.name), node = &**node, ?outcome, "not bound: its claims are given back");
                let overdue = matches!(outcome, BindOutcome::NoDevices(_));
                for claim in &written {
                    self.give_back(pod, claim, overdue).await;
                }
            }
        }
        outcome
    }

    /// Writes all claims of the plan, and waits until their devices are ready. Leaves those that it has written in `written`.
    async fn write(&self, pod: &PodRef, node: &str, plan: &ClaimPlan, written: &mut Vec<DeviceClaim>) -> Result<(), String> {
        for bound in &plan.claims {
            let reserved = bound.claim.reserved_for.contains(&pod.uid);
            let claim = if reserved { DeviceClaim::clone(&bound.claim) } else { self.claim(pod, bound, plan, written).await? };
            written.retain(|known| known.uid != claim.uid);
            written.push(claim);
        }
        if written.iter().any(|claim| claim.allocation.as_ref().is_some_and(|allocation| allocation.has_binding_conditions())) {
            self.recorder.record(ApiEvent {
                regarding: Regarding::Pod(pod.clone()),
                warning: false,
                reason: "BindingConditionsPending",
                action: "Scheduling",
                note: format!("waiting for binding conditions for device on node {node}"),
                reporter: plan.reporter.clone(),
            });
            self.wait(plan, written).await?;
        }
        Ok(())
    }

    /// Writes one claim, which is made first if it is not there.
    async fn claim(
        &self,
        pod: &PodRef,
        bound: &ClaimToBind,
        plan: &ClaimPlan,
        written: &mut Vec<DeviceClaim>,
    ) -> Result<DeviceClaim, String> {
        if !bound.claim.name.is_empty() {
            return self.reserve(pod, bound, &bound.claim).await;
        }
        let made =
            self.insist(|| self.make(pod, &bound.claim)).await.map_err(|why| format!("create claim for extended resources: {why}"))?;
        written.push(made.clone());
        let claim = self.reserve(pod, bound, &made).await?;
        let status = json!({
            "resourceClaimName": &*claim.name,
            "requestMappings": plan.mappings.iter().map(|m| json!({
                "containerName": &*m.container, "resourceName": &*m.resource, "requestName": &*m.request,
            })).collect::<Vec<_>>(),
        });
        let patch = json!({"metadata": {"uid": &*pod.uid}, "status": {"extendedResourceClaimStatus": status}});
        let api = Api::<PodObject>::namespaced(self.client.clone(), &pod.namespace);
        let tell = || async {
            let patch = Patch::Merge(&patch);
            self.call("pods/status", "patch", api.patch_status(&pod.name, &PatchParams::default(), &patch)).await
        };
        let name = format!("{}/{}", pod.namespace, pod.name);
        self.insist(tell).await.map_err(|why| format!("update pod {name} ExtendedResourceClaimStatus: {why}"))?;
        Ok(claim)
    }

    /// Makes the claim for a pod's extended resources.
    async fn make(&self, pod: &PodRef, claim: &DeviceClaim) -> Result<DeviceClaim, Trouble> {
        let object = json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
            "metadata": {
                "namespace": &*pod.namespace,
                "generateName": format!("{}-extended-resources-", pod.name),
                "annotations": {EXTENDED: "true"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": &*pod.name, "uid": &*pod.uid, "controller": true}],
            },
            "spec": {"devices": {"requests": requests_json(&claim.requests)}},
        });
        let url = <DeviceClaimObject as kube::Resource>::url_path(&(), Some(&pod.namespace));
        let body = object.to_string().into_bytes();
        let request = kube::core::Request::new(url).create(&PostParams::default(), body).map_err(|e| Trouble::Final(e.to_string()))?;
        let made = self.call("resourceclaims", "create", self.client.request::<DeviceClaimObject>(request)).await?;
        Ok(read(&made))
    }

    /// Gives a claim its devices, if it has none, and reserves it for the pod.
    async fn reserve(&self, pod: &PodRef, bound: &ClaimToBind, known: &DeviceClaim) -> Result<DeviceClaim, String> {
        let api = self.claims(&known.namespace);
        let (full_name, mut claim, mut pause) = (known.full_name(), known.clone(), self.options.first_pause);
        for last in (0..=self.options.retries).rev() {
            let trouble = match self.reserve_once(&api, pod, bound, &claim).await {
                Ok(claim) => return Ok(claim),
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Final(why) => return Err(why),
                Trouble::Conflict(why) | Trouble::Passing(why) if last == 0 => return Err(why),
                Trouble::Conflict(_) => {}
                Trouble::Passing(_) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(self.options.last_pause);
                }
            }
            let now = self.insist(|| self.call("resourceclaims", "get", api.get(&known.name))).await;
            claim = read(&now.map_err(|why| format!("get updated claim {full_name} after conflict: {why}"))?);
            if claim.uid != known.uid || claim.deleting {
                return Err(format!("claim {full_name} got deleted in the meantime"));
            }
            match (&claim.allocation, &bound.give) {
                (Some(own), Some(give)) if claim.reserved_for.contains(&pod.uid) && own.devices == give.devices => return Ok(claim),
                (Some(_), Some(_)) => return Err(format!("claim {full_name} got allocated elsewhere in the meantime")),
                (None, None) => return Err(format!("claim {full_name} got deallocated elsewhere in the meantime")),
                (Some(_), None) | (None, Some(_)) => {}
            }
        }
        Err(format!("claim {full_name} changes all the time"))
    }

    async fn reserve_once(
        &self,
        api: &Api<DeviceClaimObject>,
        pod: &PodRef,
        bound: &ClaimToBind,
        claim: &DeviceClaim,
    ) -> Result<DeviceClaim, Trouble> {
        let (full_name, params) = (claim.full_name(), PatchParams::default());
        let meta = |version: u64| json!({"uid": &*claim.uid, "resourceVersion": version.to_string()});
        let mut version = claim.version;
        if bound.give.is_some() {
            let mut patch = json!({"metadata": meta(version)});
            patch["metadata"]["finalizers"] = json!([FINALIZER]);
            let patch = Patch::Strategic(&patch);
            let now = self.call("resourceclaims", "patch", api.patch(&claim.name, &params, &patch)).await;
            version = read(&now.map_err(|t| t.doing(&format!("add finalizer to claim {full_name}")))?).version;
        }
        let consumer = json!({"resource": "pods", "name": &*pod.name, "uid": &*pod.uid});
        let mut status = json!({"reservedFor": [consumer]});
        let doing = match &bound.give {
            Some(allocation) => {
                status["allocation"] = allocation_json(allocation, &Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
                format!("add allocation and reservation to claim {full_name}")
            }
            None => format!("add reservation to claim {full_name}"),
        };
        let patch = json!({"metadata": meta(version), "status": status});
        let patch = Patch::Strategic(&patch);
        let now = self.call("resourceclaims/status", "patch", api.patch_status(&claim.name, &params, &patch)).await;
        let claim = read(&now.map_err(|t| t.doing(&doing))?);
        self.tell(claim.clone());
        Ok(claim)
    }

    /// Waits until all devices are ready, or one will not be.
    async fn wait(&self, plan: &ClaimPlan, written: &mut [DeviceClaim]) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_millis(plan.timeout_ms);
        let mut pause = self.options.first_pause;
        loop {
            let mut waits = None;
            for claim in written.iter_mut() {
                let api = self.claims(&claim.namespace);
                match self.call("resourceclaims", "get", api.get(&claim.name)).await {
                    Ok(now) => *claim = read(&now),
                    Err(Trouble::Final(why)) => return Err(why),
                    Err(Trouble::Conflict(_) | Trouble::Passing(_)) => {}
                }
                if !is_ready(claim)? {
                    waits = Some(claim.name.clone());
                }
            }
            let Some(claim) = waits else { return Ok(()) };
            if Instant::now() >= deadline {
                return Err(format!("device binding timeout: claim={claim}"));
            }
            sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
            pause = (pause * 2).min(self.options.last_pause);
        }
    }

    /// The claim is no longer reserved for the pod; one that was made for it goes. One that is `overdue` is said to be.
    async fn give_back(&self, pod: &PodRef, claim: &DeviceClaim, overdue: bool) {
        let given_back = if claim.extended { self.delete(claim).await } else { self.unreserve(pod, claim, overdue).await };
        if let Err(why) = given_back {
            warn!(claim = claim.full_name(), why, "cannot be given back; the next attempt finds it reserved");
        }
    }

    async fn unreserve(&self, pod: &PodRef, claim: &DeviceClaim, overdue: bool) -> Result<(), String> {
        let patch = json!({"metadata": {"uid": &*claim.uid}, "status": {"reservedFor": [{"$patch": "delete", "uid": &*pod.uid}]}});
        let (api, patch, params) = (self.claims(&claim.namespace), Patch::Strategic(patch), PatchParams::default());
        let now = self.insist(|| self.call("resourceclaims/status", "patch", api.patch_status(&claim.name, &params, &patch))).await?;
        self.tell(DeviceClaim { overdue, ..read(&now) });
        Ok(())
    }

    async fn delete(&self, claim: &DeviceClaim) -> Result<(), String> {
        let patch = json!({"metadata": {"uid": &*claim.uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER]}});
        let (api, patch, params) = (self.claims(&claim.namespace), Patch::Strategic(patch), PatchParams::default());
        self.insist(|| self.call("resourceclaims", "patch", api.patch(&claim.name, &params, &patch))).await?;
        let params = DeleteParams::default();
        self.insist(|| self.call("resourceclaims", "delete", api.delete(&claim.name, &params))).await.map(|_| ())
    }

    /// Does what can be done for a pod that fits nowhere, in a task of its own.
    pub fn remedy(&self, remedy: Remedy) {
        let claims = self.clone();
        tokio::spawn(async move {
            let (claim, done) = match &remedy {
                Remedy::Deallocate(claim) => (claim, claims.deallocate(claim).await),
                Remedy::DeleteClaim(claim) => (claim, claims.delete(claim).await),
            };
            match done {
                Ok(()) => debug!(claim = claim.full_name(), "{}", remedy.message()),
                Err(why) => warn!(claim = claim.full_name(), why, "cannot be made to give up its devices"),
            }
        });
    }

    /// Takes a claim's devices away, unless somebody uses it who did not when that was decided.
    async fn deallocate(&self, claim: &DeviceClaim) -> Result<(), String> {
        let api = self.claims(&claim.namespace);
        let once = || async {
            let now = read(&self.call("resourceclaims", "get", api.get(&claim.name)).await?);
            if now.uid != claim.uid || now.allocation.is_none() || now.reserved_for.iter().any(|uid| !claim.reserved_for.contains(uid)) {
                return Ok(());
            }
            let patch = json!({
                "metadata": {"uid": &*now.uid, "resourceVersion": now.version.to_string()},
                "status": {"allocation": null, "reservedFor": null, "devices": null},
            });
            let patch = Patch::Merge(&patch);
            let freed = self.call("resourceclaims/status", "patch", api.patch_status(&claim.name, &PatchParams::default(), &patch)).await?;
            self.tell(read(&freed));
            Ok(())
        };
        self.insist(once).await
    }

    fn claims(&self, namespace: &str) -> Api<DeviceClaimObject> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Tells the engine of a claim before the watch does.
    fn tell(&self, claim: DeviceClaim) {
        // The receiver is gone only when the scheduler stops.
        let _stopping = self.events.send(Event::Devices(DeviceNews::Claim(Arc::new(claim))));
    }

    /// Repeats a call that met another one, or a server in trouble.
    async fn insist<T, F: Future<Output = Result<T, Trouble>>>(&self, call: impl Fn() -> F) -> Result<T, String> {
        let mut pause = self.options.first_pause;
        for _ in 0..self.options.retries {
            match call().await {
                Ok(done) => return Ok(done),
                Err(Trouble::Final(why)) => return Err(why),
                Err(Trouble::Conflict(_)) => {}
                Err(Trouble::Passing(_)) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(self.options.last_pause);
                }
            }
        }
        call().await.map_err(Trouble::into_words)
    }

    async fn call<T>(&self, resource: &str, verb: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Trouble> {
        let _permit = self.limit.acquire().await;
        match timeout(self.options.deadline, call).await {
            Err(_) => Err(Trouble::Passing(format!("no answer within {:?}", self.options.deadline))),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(trouble(Problem::of(&error), verb, resource)),
        }
    }
}

impl Trouble {
    fn into_words(self) -> String {
        match self {
            Self::Final(why) | Self::Conflict(why) | Self::Passing(why) => why,
        }
    }

    /// The same, with what was being done.
    fn doing(self, what: &str) -> Self {
        match self {
            Self::Final(why) => Self::Final(format!("{what}: {why}")),
            Self::Conflict(why) => Self::Conflict(format!("{what}: {why}")),
            Self::Passing(why) => Self::Passing(format!("{what}: {why}")),
        }
    }
}

/// Whether another try may help.
fn trouble(problem: Problem, verb: &str, resource: &str) -> Trouble {
    match problem {
        Problem::Conflict(answer) => Trouble::Conflict(answer),
        Problem::Busy(_, answer) | Problem::Server(_, answer) | Problem::Unreachable(answer) | Problem::Unauthorized(answer) => {
            Trouble::Passing(answer)
        }
        Problem::Forbidden(answer) => {
            let group = if resource.starts_with("pods") { "" } else { "resource.k8s.io" };
            Trouble::Final(format!(
                "{answer}: grant verb {verb:?} on resource {resource:?} in API group {group:?} to the scheduler's account"
            ))
        }
        Problem::NotFound(answer) | Problem::Refused(_, answer) | Problem::Other(answer) => Trouble::Final(answer),
    }
}

fn read(object: &DeviceClaimObject) -> DeviceClaim {
    convert::device_claim(object, &mut Interner::default()).value
}

/// Whether all devices of the claim are ready; an error when one will not be.
fn is_ready(claim: &DeviceClaim) -> Result<bool, String> {
    let mut ready = true;
    let devices = claim.allocation.iter().flat_map(|allocation| &allocation.devices).filter(|d| !d.binding_conditions.is_empty());
    for device in devices {
        let condition =
            |kind: &Str| claim.conditions.iter().find(|c| c.pool == device.pool && c.device == device.device && c.kind == *kind);
        let holds = |kind: &Str| condition(kind).filter(|condition| condition.holds);
        if let Some(failed) = device.binding_failure_conditions.iter().find_map(holds) {
            let (claim, reason, message) = (&claim.name, &failed.reason, &failed.message);
            return Err(format!("device binding failed: claim={claim}, reason={reason}, message={message:?}"));
        }
        ready &= device.binding_conditions.iter().all(|kind| holds(kind).is_some());
    }
    Ok(ready)
}
