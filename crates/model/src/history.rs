//! Where pods ran lately, by their claims, their owner and their images: caches that publish nothing are warm there (`signals.md` C18).
//! Leaves out how much of them is still there: age in hours is all that is known.

use crate::Str;
use crate::pod::Pod;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

/// Claims, owners and images that are remembered; beyond that the one that was used longest ago is forgotten.
const MOST_THINGS: usize = 4096;
/// Nodes that are remembered of each, those of the latest hours.
const MOST_NODES: usize = 16;
/// Nothing older counts.
pub const HOURS: u64 = 6;
const HOUR_MS: u64 = 3_600_000;

/// Labels that name the job or service that a pod belongs to, where its controller does not.
const OWNER_LABELS: &[&str] = &[
    "jobset.sigs.k8s.io/jobset-name",
    "training.kubeflow.org/job-name",
    "ray.io/cluster",
    "spark-app-selector",
    "serving.kserve.io/inferenceservice",
    "batch.kubernetes.io/job-name",
];

/// What pods have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A claim: namespace, name.
    Claim(Str, Str),
    /// A controller or a job: namespace, and what it is.
    Owner(Str, Str),
    /// An image.
    Image(Str),
}

/// Where pods ran.
#[derive(Clone, Debug, Default)]
pub struct History {
    runs: BTreeMap<Thing, Runs>,
    /// By when they were noted last.
    in_order: BTreeSet<(u64, Thing)>,
    /// Counts notes, and what was forgotten before its time.
    n_changes: u64,
    /// Hours since the clock's start.
    hour: u64,
}

#[derive(Clone, Debug, Default)]
struct Runs {
    noted: u64,
    /// When it was first noted, or a node of it was last forgotten.
    lost: u64,
    /// The hour in which a pod last ran on a node.
    nodes: BTreeMap<Str, u64>,
}

/// What a pod has in common with earlier ones.
pub fn things(pod: &Pod) -> impl Iterator<Item = Thing> {
    let (namespace, spec) = (&pod.namespace, &pod.spec);
    let claims: Vec<Thing> = pod.claims().map(|name| Thing::Claim(namespace.clone(), name)).collect();
    let controller = spec.controller.as_ref().map(|(kind, name)| format!("{kind:?} {name}"));
    let labelled = OWNER_LABELS.iter().find_map(|key| Some(format!("{key}={}", spec.labels.get(key)?)));
    let owner = controller.or(labelled).map(|owner| Thing::Owner(namespace.clone(), owner.into()));
    claims.into_iter().chain(owner).chain(spec.images.iter().cloned().map(Thing::Image))
}

impl History {
    /// Tells the time, in milliseconds.
    pub fn tell_time(&mut self, now_ms: u64) {
        self.hour = now_ms / HOUR_MS;
    }

    /// Whether it knows that it is so late.
    #[must_use]
    pub fn is_at(&self, now_ms: u64) -> bool {
        self.hour == now_ms / HOUR_MS
    }

    /// A pod runs, or has run until now, on a node.
    pub fn note(&mut self, pod: &Pod, node: &Str) {
        for thing in things(pod) {
            self.n_changes += 1;
            let fresh = Runs { lost: self.n_changes, ..Runs::default() };
            let runs = self.runs.entry(thing.clone()).or_insert(fresh);
            self.in_order.remove(&(runs.noted, thing.clone()));
            runs.noted = self.n_changes;
            runs.note(node, self.hour);
            self.in_order.insert((self.n_changes, thing));
        }
        while self.runs.len() > MOST_THINGS {
            let Some((_, thing)) = self.in_order.pop_first() else { return };
            self.runs.remove(&thing);
        }
    }

    /// For how many whole hours no pod with this has run on a node; `None` when none has lately.
    #[must_use]
    pub fn hours_since(&self, thing: &Thing, node: &Str) -> Option<u64> {
        let ran = self.runs.get(thing)?.nodes.get(node)?;
        Some(self.hour.saturating_sub(*ran)).filter(|hours| *hours < HOURS)
    }

    /// Whether nothing is remembered of this.
    #[must_use]
    pub fn is_new(&self, thing: &Thing) -> bool {
        !self.runs.contains_key(thing)
    }

    /// What has to be the same for every node's past to be the same, as long as no pod comes to it or leaves it.
    #[must_use]
    pub fn basis(&self, thing: &Thing) -> [u64; 2] {
        [self.runs.get(thing).map_or(0, |runs| runs.lost), self.hour]
    }

    /// Another machine may come under the name of this one.
    pub fn forget_node(&mut self, node: &Str) {
        self.n_changes += 1;
        for runs in self.runs.values_mut().filter(|runs| runs.nodes.contains_key(node)) {
            runs.nodes.remove(node);
            runs.lost = self.n_changes;
        }
    }

    /// Other data may come under the name of this claim.
    pub fn forget_claim(&mut self, namespace: &Str, name: &Str) {
        let thing = Thing::Claim(namespace.clone(), name.clone());
        if let Some(runs) = self.runs.remove(&thing) {
            self.in_order.remove(&(runs.noted, thing));
        }
    }
}

impl Runs {
    /// One node is forgotten for another only when it is of an earlier hour: a thing that runs everywhere would else be forgotten and noted
    /// with every pod.
    fn note(&mut self, node: &Str, hour: u64) {
        if self.nodes.len() == MOST_NODES && !self.nodes.contains_key(node) {
            let earlier = self.nodes.iter().filter(|(_, ran)| **ran < hour).min_by_key(|(_, ran)| **ran);
            let Some(oldest) = earlier.map(|(name, _)| name.clone()) else { return };
            self.nodes.remove(&oldest);
            self.lost = self.noted;
        }
        self.nodes.insert(node.clone(), hour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owners::OwnerKind;
    use crate::pod::{PodSpec, PodVolume};
    use alloc::sync::Arc;
    use alloc::vec;

    fn pod(image: &str, claim: &str) -> Pod {
        let volumes = vec![PodVolume::Claim { claim: claim.into(), read_only: false }];
        let controller = Some((OwnerKind::StatefulSet, "set".into()));
        let spec = PodSpec { images: vec![image.into()], volumes, controller, ..PodSpec::default() };
        Pod { namespace: "ns".into(), spec: Arc::new(spec), ..Pod::default() }
    }

    #[test]
    fn claims_owners_and_images_are_remembered_for_hours() {
        let mut history = History::default();
        history.tell_time(HOUR_MS);
        history.note(&pod("i", "data"), &"a".into());
        for (hours, expected) in [(0, Some(0)), (1, Some(1)), (5, Some(5)), (6, None), (100, None)] {
            history.tell_time(HOUR_MS * (1 + hours));
            for thing in
                [Thing::Claim("ns".into(), "data".into()), Thing::Owner("ns".into(), "StatefulSet set".into()), Thing::Image("i".into())]
            {
                assert_eq!(history.hours_since(&thing, &"a".into()), expected, "{thing:?} after {hours} h");
                assert_eq!(history.hours_since(&thing, &"b".into()), None);
            }
        }
    }

    #[test]
    fn jobs_are_known_by_their_labels() {
        let of = |labels: &[(&str, &str)]| {
            let spec = PodSpec { labels: labels.iter().copied().collect(), ..PodSpec::default() };
            things(&Pod { spec: Arc::new(spec), ..Pod::default() }).collect::<Vec<_>>()
        };
        let owner = |text: &str| vec![Thing::Owner("".into(), text.into())];
        assert_eq!(of(&[("batch.kubernetes.io/job-name", "j")]), owner("batch.kubernetes.io/job-name=j"));
        assert_eq!(
            of(&[("batch.kubernetes.io/job-name", "s-0"), ("jobset.sigs.k8s.io/jobset-name", "s")]),
            owner("jobset.sigs.k8s.io/jobset-name=s")
        );
        assert_eq!(of(&[("app", "web")]), []);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let (mut history, claim) = (History::default(), Thing::Claim("ns".into(), "data".into()));
        for node in ["a", "b"] {
            history.note(&pod("i", "data"), &node.into());
        }
        let before = history.basis(&claim);
        history.forget_node(&"c".into());
        assert_eq!(history.basis(&claim), before);
        history.forget_node(&"a".into());
        assert_ne!(history.basis(&claim), before);
        assert_eq!(["a", "b"].map(|n| history.hours_since(&claim, &n.into())), [None, Some(0)]);
        history.forget_claim(&"ns".into(), &"data".into());
        assert!(history.is_new(&claim));
        assert_eq!(history.hours_since(&Thing::Image("i".into()), &"b".into()), Some(0));
        history.forget_claim(&"ns".into(), &"data".into());
    }

    #[test]
    fn a_thing_that_runs_everywhere_is_forgotten_nowhere_within_the_hour() {
        let (mut history, thing) = (History::default(), Thing::Image("i".into()));
        let ran = |history: &History| {
            let on = |n: &usize| history.hours_since(&thing, &format!("node-{n}").into()).is_some();
            (0..2 * MOST_NODES).filter(on).collect::<Vec<_>>()
        };
        history.note(&pod("i", "data"), &"node-0".into());
        let first = history.basis(&thing);
        for n in 0..2 * MOST_NODES {
            history.note(&pod("i", "data"), &format!("node-{n}").into());
        }
        assert_eq!((ran(&history), history.basis(&thing)), ((0..MOST_NODES).collect(), first));
        history.tell_time(HOUR_MS);
        history.note(&pod("i", "data"), &format!("node-{MOST_NODES}").into());
        assert_eq!(ran(&history).last(), Some(&MOST_NODES), "the latest hour counts");
        assert_ne!(history.basis(&thing)[0], first[0]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = History::default();
        for i in 0..2 * MOST_THINGS {
            history.note(&pod("same", &format!("data-{i}")), &format!("node-{}", i % 100).into());
        }
        assert_eq!((history.runs.len(), history.in_order.len()), (MOST_THINGS, MOST_THINGS));
        assert!(history.runs.values().all(|runs| runs.nodes.len() <= MOST_NODES));
        assert!(!history.is_new(&Thing::Image("same".into())), "what is used all the time stays");
        assert!(history.is_new(&Thing::Claim("ns".into(), "data-0".into())));
    }
}
