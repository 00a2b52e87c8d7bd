//! Binds a pod's volumes before the pod: gives volumes to claims, asks for volumes to be made, and waits until all claims are bound.
//! Leaves out which volumes and which node: the plan says so. What was written is never taken back, as with kube-scheduler.

mod waiters;

use crate::bind::Binder;
use crate::convert;
use crate::intern::Interner;
use crate::objects::{ClaimObject, PersistentVolumeObject};
use crate::problem::Problem;
use aisched_core::event::{BindOutcome, Event, PodRef};
use aisched_model::Str;
use aisched_model::volume::{Claim, Volume, VolumePlan};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};
use waiters::{Waiter, Waiters};

/// How volumes are bound.
#[derive(Clone, Debug)]
pub struct VolumeBindOptions {
    /// Longest wait for one answer.
    pub deadline: Duration,
    /// Calls at a time, of all pods together; pods that only wait make none.
    pub concurrency: usize,
    /// First pause before claims are read without the watch having shown a change; it doubles each time.
    pub first_pause: Duration,
    /// Longest such pause.
    pub last_pause: Duration,
    /// How often an object is read and written anew that somebody else has changed meanwhile.
    pub conflicts: usize,
}

impl Default for VolumeBindOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            concurrency: 16,
            first_pause: Duration::from_secs(1),
            last_pause: Duration::from_secs(15),
            conflicts: 5,
        }
    }
}

/// The annotation that asks for a volume on a node.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The annotation of a volume that got its claim from a controller rather than from its maker.
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";

/// Binds volumes. Cloning shares the limit, and who waits for what.
#[derive(Clone)]
pub struct VolumeBinder {
    client: Client,
    options: VolumeBindOptions,
    limit: Arc<Semaphore>,
    waiters: Waiters,
}

/// Why the volumes are not bound.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// They will not be, as things are.
    Failed(String),
    /// The driver gave the node back that this claim named.
    NotProvisioned(Str),
    /// The pod is gone.
    PodGone,
    /// Another pod takes its room.
    Preempted,
}

/// How far the claims of a plan are.
enum Progress {
    Bound,
    /// This claim is not bound yet.
    Waits(Str),
    /// This claim names no node any more: its driver could not make the volume there.
    GivenBack(Str),
}

/// A call that failed: for good, or so that it is worth another try.
enum Trouble {
    Final(String),
    Conflict(String),
    Passing(String),
}

impl VolumeBinder {
    /// A binder of volumes.
    #[must_use]
    pub fn new(client: Client, options: VolumeBindOptions) -> Self {
        let limit = Arc::new(Semaphore::new(options.concurrency.max(1)));
        Self { client, options, limit, waiters: Waiters::default() }
    }

    /// To be told of what the watches report: who waits for it looks again.
    pub fn saw(&self, event: &Event) {
        self.waiters.saw(event);
    }

    /// Binds a pod's volumes and then, with `binder`, the pod, in a task of its own; the outcome goes to `events`.
    pub fn spawn(&self, pod: PodRef, node: Str, plan: Arc<VolumePlan>, binder: Binder, events: UnboundedSender<Event>) {
        let volumes = self.clone();
        tokio::spawn(async move {
            let outcome = volumes.bind_with(&pod, &node, &plan, &binder).await;
            // The receiver is gone only when the scheduler stops.
            let _stopping = events.send(Event::BindEnded { pod, node, outcome });
        });
    }

    /// Binds a pod's volumes and then, with `binder`, the pod.
    pub(crate) async fn bind_with(&self, pod: &PodRef, node: &Str, plan: &VolumePlan, binder: &Binder) -> BindOutcome {
        match self.bind(pod, node, plan).await {
            Ok(()) => binder.bind(pod, node).await,
            Err(Failure::Failed(why)) => {
                warn!(pod = %format_args!("{}/{}", pod.namespace, pod.name), node = &**node, why, "volumes are not bound");
                BindOutcome::NoVolumes(why)
            }
            Err(Failure::NotProvisioned(claim)) => {
                warn!(pod = %format_args!("{}/{}", pod.namespace, pod.name), node = &**node, claim = &*claim, "volume was not made");
                let why = format!("binding volumes: provisioning failed for PVC {claim:?}");
                BindOutcome::NotProvisioned(claim, why)
            }
            Err(Failure::Preempted) => BindOutcome::Preempted,
            Err(Failure::PodGone) => BindOutcome::Gone("the pod no longer exists".into()),
        }
    }

    async fn bind(&self, pod: &PodRef, node: &Str, plan: &VolumePlan) -> Result<(), Failure> {
        let mut waiter = self.waiters.enter(pod, node, plan);
        let deadline = Instant::now() + Duration::from_millis(plan.timeout_ms);
        for (claim, volume) in &plan.bind {
            self.insist(|| self.give(claim, &volume.name)).await.map_err(Failure::Failed)?;
        }
        for claim in &plan.provision {
            self.insist(|| self.ask_for_volume(claim, node)).await.map_err(Failure::Failed)?;
        }
        debug!(pod = %format_args!("{}/{}", pod.namespace, pod.name), node = &**node, "waiting for volumes");
        self.wait(&mut waiter, node, plan, deadline).await?;
        waiter.done()
    }

    /// Calls the binding of a pod off that has not got beyond its volumes; whether it was, and the pod will not be bound.
    #[must_use]
    pub fn call_off(&self, uid: &Str) -> bool {
        self.waiters.call_off(uid)
    }

    /// Repeats a write that met another one, or a server in trouble.
    async fn insist<F: Future<Output = Result<(), Trouble>>>(&self, write: impl Fn() -> F) -> Result<(), String> {
        let mut pause = self.options.first_pause;
        for last in (0..=self.options.conflicts).rev() {
            match write().await {
                Ok(()) => return Ok(()),
                Err(Trouble::Final(why)) => return Err(why),
                Err(Trouble::Conflict(why) | Trouble::Passing(why)) if last == 0 => return Err(why),
                Err(Trouble::Conflict(_)) => {}
                Err(Trouble::Passing(_)) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(self.options.last_pause);
                }
            }
        }
        Ok(())
    }

    /// Gives a volume to a claim.
    async fn give(&self, claim: &Claim, name: &str) -> Result<(), Trouble> {
        let api = Api::<PersistentVolumeObject>::all(self.client.clone());
        let object = self.read(&api, name, "persistentvolumes").await?.ok_or_else(|| missing("persistentvolume", name))?;
        let volume = convert::volume(&object, &mut Interner::default()).value;
        let own = volume.is_for(claim);
        match &volume.claim {
            Some((_, _, uid)) if own && !uid.is_empty() => return Ok(()),
            Some((namespace, other, _)) if !own => {
                return Err(Trouble::Final(format!("persistentvolume {name:?} has been given to claim {namespace}/{other}")));
            }
            Some(_) | None => {}
        }
        if volume.deleting {
            return Err(Trouble::Final(format!("persistentvolume {name:?} is being deleted")));
        }
        let to = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": &*claim.namespace, "name": &*claim.name, "uid": &*claim.uid,
        });
        let mut patch = json!({"metadata": {"resourceVersion": object.metadata.resource_version}, "spec": {"claimRef": to}});
        if !own {
            patch["metadata"]["annotations"] = json!({BOUND_BY_CONTROLLER: "yes"});
        }
        self.patch(&api, name, patch, "persistentvolumes").await
    }

    /// Asks for a volume for a claim, on a node.
    async fn ask_for_volume(&self, claim: &Claim, node: &str) -> Result<(), Trouble> {
        let (api, name) = (self.claims(claim), &*claim.name);
        let object = self.read(&api, name, "persistentvolumeclaims").await?.ok_or_else(|| missing("persistentvolumeclaim", name))?;
        let now = convert::claim(&object, &mut Interner::default()).value;
        if now.uid != claim.uid {
            return Err(Trouble::Final(format!("persistentvolumeclaim {name:?} has been replaced by another")));
        }
        match now.selected_node.as_deref() {
            Some(selected) if *selected == *node => return Ok(()),
            Some(other) => {
                return Err(Trouble::Final(format!("a volume for persistentvolumeclaim {name:?} is being made on node {other}")));
            }
            None if now.volume.is_some() => return Ok(()),
            None => {}
        }
        let metadata = json!({"resourceVersion": object.metadata.resource_version, "annotations": {SELECTED_NODE: node}});
        self.patch(&api, name, json!({"metadata": metadata}), "persistentvolumeclaims").await
    }

    /// Waits until all claims of the plan are bound.
    async fn wait(&self, waiter: &mut Waiter, node: &str, plan: &VolumePlan, deadline: Instant) -> Result<(), Failure> {
        let mut pause = self.options.first_pause;
        loop {
            waiter.look(node)?;
            let unbound = match self.progress(node, plan).await {
                Ok(Progress::Bound) => return Ok(()),
                Ok(Progress::Waits(claim)) => format!("claim {claim} is not bound"),
                Ok(Progress::GivenBack(claim)) => return Err(Failure::NotProvisioned(claim)),
                Err(Trouble::Final(why)) => return Err(Failure::Failed(format!("binding volumes: {why}"))),
                Err(Trouble::Conflict(why) | Trouble::Passing(why)) => why,
            };
            let until = deadline.min(Instant::now() + pause);
            if timeout_at(until, waiter.change()).await.is_err() {
                pause = (pause * 2).min(self.options.last_pause);
            }
            if Instant::now() >= deadline {
                let waited = Duration::from_millis(plan.timeout_ms);
                return Err(Failure::Failed(format!("binding volumes: context deadline exceeded: {unbound} after {waited:?}")));
            }
        }
    }

    /// How far the claims of the plan are, by the first that is not bound.
    async fn progress(&self, node: &str, plan: &VolumePlan) -> Result<Progress, Trouble> {
        for (claim, volume) in &plan.bind {
            let now = self.volume(&volume.name).await?.ok_or_else(|| missing("failed to check binding: persistentvolume", &volume.name))?;
            in_reach(&now, node, plan)?;
            if now.claim.as_ref().is_none_or(|(_, _, uid)| uid.is_empty()) {
                return Err(Trouble::Final(format!("ClaimRef got reset for pv {:?}", now.name)));
            }
            let now = self.claim(claim, "failed to check binding").await?;
            if now.volume.is_none() || !now.bind_completed {
                return Ok(Progress::Waits(claim.name.clone()));
            }
        }
        for claim in &plan.provision {
            let now = self.claim(claim, "failed to check provisioning pvc").await?;
            match now.selected_node.as_deref() {
                Some(selected) if selected == node => {}
                Some(_) => return Err(Trouble::Final(format!("provisioning failed for PVC {:?}", claim.name))),
                None => return Ok(Progress::GivenBack(claim.name.clone())),
            }
            let waits = || Ok(Progress::Waits(claim.name.clone()));
            let Some(volume) = &now.volume else { return waits() };
            // A volume may be shown later than its claim.
            let Some(volume) = self.volume(volume).await? else { return waits() };
            in_reach(&volume, node, plan)?;
            if !now.bind_completed {
                return waits();
            }
        }
        Ok(Progress::Bound)
    }

    fn claims(&self, claim: &Claim) -> Api<ClaimObject> {
        Api::namespaced(self.client.clone(), &claim.namespace)
    }

    /// A claim as it is now.
    async fn claim(&self, claim: &Claim, doing: &str) -> Result<Claim, Trouble> {
        let object = self.read(&self.claims(claim), &claim.name, "persistentvolumeclaims").await?;
        let now = object.map(|o| convert::claim(&o, &mut Interner::default()).value).filter(|now| now.uid == claim.uid);
        now.ok_or_else(|| missing(&format!("{doing}: persistentvolumeclaim"), &claim.name))
    }

    /// A volume as it is now.
    async fn volume(&self, name: &str) -> Result<Option<Volume>, Trouble> {
        let object = self.read(&Api::<PersistentVolumeObject>::all(self.client.clone()), name, "persistentvolumes").await?;
        Ok(object.map(|o| convert::volume(&o, &mut Interner::default()).value))
    }

    async fn read<K>(&self, api: &Api<K>, name: &str, plural: &str) -> Result<Option<K>, Trouble>
    where
        K: Resource + Clone + Debug + DeserializeOwned,
    {
        let _permit = self.limit.acquire().await;
        let answer = timeout(self.options.deadline, api.get_opt(name)).await;
        answer.map_err(|_| self.late())?.map_err(|e| trouble(Problem::of(&e), "get", plural))
    }

    async fn patch<K>(&self, api: &Api<K>, name: &str, patch: Value, plural: &str) -> Result<(), Trouble>
    where
        K: Resource + Clone + Debug + DeserializeOwned,
    {
        let _permit = self.limit.acquire().await;
        let answer = timeout(self.options.deadline, api.patch(name, &PatchParams::default(), &Patch::Merge(patch))).await;
        answer.map_err(|_| self.late())?.map(|_| ()).map_err(|e| trouble(Problem::of(&e), "patch", plural))
    }

    fn late(&self) -> Trouble {
        Trouble::Passing(format!("no answer within {:?}", self.options.deadline))
    }
}

/// Whether another try may help.
fn trouble(problem: Problem, verb: &str, plural: &str) -> Trouble {
    match problem {
        Problem::Conflict(answer) => Trouble::Conflict(answer),
        Problem::Busy(_, answer) | Problem::Server(_, answer) | Problem::Unreachable(answer) | Problem::Unauthorized(answer) => {
            Trouble::Passing(answer)
        }
        Problem::Forbidden(answer) => {
            Trouble::Final(format!("{answer}: grant verb {verb:?} on resource {plural:?} in API group \"\" to the scheduler's account"))
        }
        Problem::NotFound(answer) | Problem::Refused(_, answer) | Problem::Other(answer) => Trouble::Final(answer),
    }
}

fn missing(kind: &str, name: &str) -> Trouble {
    Trouble::Final(format!("{kind} {name:?} not found"))
}

/// A volume that the node cannot reach is no use to the pod there.
fn in_reach(volume: &Volume, node: &str, plan: &VolumePlan) -> Result<(), Trouble> {
    if volume.is_reachable_once_bound(&plan.node_labels, &plan.migrated_plugins) {
        return Ok(());
    }
    Err(Trouble::Final(format!("pv {:?} node affinity doesn't match node {node:?}: no matching NodeSelectorTerms", volume.name)))
}

#[cfg(test)]
mod tests;
