//! How much of a pod's Fluid datasets a node has at hand, by the labels that Fluid writes on claims and nodes (`signals.md` F1, F6–F8).
//! Leaves out pods that name their datasets themselves.

use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::pod::Pod;
use aisched_model::signals::Signals;
use aisched_model::snapshot::Snapshot;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Prefix of Fluid's labels on claims, and on nodes with a cache worker.
const WORKER: &str = "fluid.io/s-";
/// Prefix of its labels on nodes with a client.
const CLIENT: &str = "fluid.io/f-";
/// Wider places, and what a cache there is worth in per cent of one on the node: Fluid's own ratios.
const PLACES: [(&str, i64); 2] = [("topology.kubernetes.io/zone", 50), ("topology.kubernetes.io/region", 20)];
/// What a client on the node is worth.
const CLIENT_PERCENT: i64 = 60;

/// The datasets behind a pod's claims.
pub(super) struct Datasets<'a>(Vec<Dataset<'a>>);

struct Dataset<'a> {
    name: Str,
    /// The label of nodes with a cache worker.
    worker: &'a str,
    /// The label of nodes with a client.
    client: String,
    /// How much is cached; all of it when Fluid does not say.
    percent: i64,
    /// Values of [`PLACES`] where cache workers are.
    places: [Vec<&'a Str>; 2],
}

impl<'a> Datasets<'a> {
    pub(super) fn of(pod: &Pod, snapshot: &'a Snapshot, on: &Signals) -> Self {
        let claims = pod.claims().filter(|_| on.fluid).filter_map(|name| snapshot.claim(&pod.namespace, &name));
        Self(claims.filter_map(|claim| Dataset::of(&claim.namespace, &claim.name, &claim.labels, snapshot)).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mean over the datasets. Example, of 20: one that is cached to 80 % with a worker on the node is 16, in its zone 8.
    pub(super) fn points(&self, labels: &Labels, max: i64) -> i64 {
        let sum: i64 = self.0.iter().map(|d| max * d.at_hand(labels) / 100).sum();
        i64::try_from(self.0.len()).ok().and_then(|n| sum.checked_div(n)).unwrap_or(0)
    }

    pub(super) fn source(&self, labels: &Labels) -> String {
        let one = |d: &Dataset<'_>| format!("Fluid dataset {}, {} % cached, {} % at hand here", d.name, d.percent, d.at_hand(labels));
        self.0.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

impl<'a> Dataset<'a> {
    /// A dataset has its claim's name. The labels of Fluid's runtimes contain the shorter common one: that is the one to look for.
    fn of(namespace: &Str, name: &Str, labels: &'a Labels, snapshot: &'a Snapshot) -> Option<Self> {
        let keys = labels.iter().filter(|(key, value)| key.starts_with(WORKER) && &***value == "true").map(|(key, _)| &**key);
        let worker = keys.min_by_key(|key| key.len())?;
        let key = (namespace.clone(), name.clone());
        let place = |(key, _): (&str, i64)| {
            let mut values: Vec<&Str> =
                snapshot.nodes.iter().filter(|n| n.node.labels.contains_key(worker)).filter_map(|n| n.node.labels.get(key)).collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        Some(Self {
            name: name.clone(),
            worker,
            client: worker.replacen(WORKER, CLIENT, 1),
            percent: snapshot.foreign.datasets.get(&key).copied().unwrap_or(100).clamp(0, 100),
            places: PLACES.map(place),
        })
    }

    /// How much of the dataset is at hand on a node, in per cent.
    fn at_hand(&self, labels: &Labels) -> i64 {
        let near = || {
            let places = PLACES.iter().zip(&self.places);
            places.filter(|((key, _), values)| labels.get(key).is_some_and(|own| values.contains(&own))).map(|((_, worth), _)| *worth).max()
        };
        let worth = match () {
            () if labels.contains_key(self.worker) => 100,
            () if labels.contains_key(&self.client) => CLIENT_PERCENT,
            () => near().unwrap_or(0),
        };
        self.percent * worth / 100
    }
}
