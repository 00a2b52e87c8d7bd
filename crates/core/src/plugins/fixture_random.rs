//! Small clusters and pods out of a seed, for comparing plugins with a naive reading of their rules.
//! Test code only; says nothing of what a plugin should answer.

use crate::fixture::{Cluster, node, pod, with};
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::{Node, Taint};
use aisched_model::pod::{Pod, PodAffinity, PodAffinityTerm, PodSpec, SpreadConstraint, TaintEffect, Toleration, TolerationOperator};
use aisched_model::selector::{LabelSelector, NodeSelectorTerm, Operator, Requirement};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// SplitMix64: the same seed, the same numbers.
pub(crate) struct Random(u64);

const NAMESPACES: &[&str] = &["default", "other", "unknown"];
const KEYS: &[&str] = &["kubernetes.io/hostname", "zone", "rack"];

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn list<T>(&mut self, below: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(below)).map(|_| make(self)).collect()
    }

    pub(crate) fn node(&mut self, name: &str) -> Node {
        let mut labels: Vec<(Str, Str)> = Vec::new();
        for (key, value, percent) in [
            ("kubernetes.io/hostname", name, 90),
            ("zone", self.pick(&["a", "b", "c"]), 85),
            ("rack", self.pick(&["1", "2", ""]), 75),
            ("pool", self.pick(&["x", "y"]), 60),
        ] {
            if self.chance(percent) {
                labels.push((key.into(), value.into()));
            }
        }
        let effects = [TaintEffect::NoSchedule, TaintEffect::PreferNoSchedule, TaintEffect::NoExecute];
        let effect = effects[usize::try_from(self.below(3)).unwrap()];
        let taints = if self.chance(25) { vec![Taint { key: "full".into(), value: "".into(), effect }] } else { Vec::new() };
        Node { labels: labels.into_iter().collect(), taints, unschedulable: self.chance(10), ..node(name) }
    }

    /// One to seven nodes with up to five pods each; about every third pod has terms of its own.
    pub(crate) fn cluster(&mut self) -> Cluster {
        let mut cluster = Cluster::default();
        cluster.snapshot.namespaces = [("default", Labels::from([("team", "a")])), ("other", Labels::from([("team", "b")]))]
            .into_iter()
            .map(|(name, labels)| (name.into(), labels))
            .collect();
        for i in 0..=self.below(7) {
            let name = format!("n{i}");
            cluster = cluster.node(self.node(&name));
            for j in 0..self.below(6) {
                let mut pod = self.pod(&format!("{i}-{j}"));
                pod.deleting = self.chance(10);
                cluster = cluster.placed(&name, pod);
            }
        }
        cluster
    }

    /// A pod that may have labels, affinity and anti-affinity.
    pub(crate) fn pod(&mut self, name: &str) -> Pod {
        let namespace: Str = self.pick(&["default", "default", "default", "default", "other", "unknown"]).into();
        let terms = self.chance(35);
        let spec = PodSpec {
            labels: self.labels(),
            pod_affinity: if terms { self.affinity(&namespace, 30) } else { PodAffinity::default() },
            pod_anti_affinity: if terms { self.affinity(&namespace, 40) } else { PodAffinity::default() },
            ..PodSpec::default()
        };
        Pod { namespace, ..with(pod(name), |s| *s = spec) }
    }

    pub(crate) fn labels(&mut self) -> Labels {
        let (app, tier) = (self.pick(&["web", "db"]), self.pick(&["1", "2"]));
        [("app", app, 85), ("tier", tier, 50)].into_iter().filter(|(.., percent)| self.chance(*percent)).map(|(k, v, _)| (k, v)).collect()
    }

    fn affinity(&mut self, own: &Str, percent: u64) -> PodAffinity {
        let required = if self.chance(percent) { self.list(3, |r| r.term(own)) } else { Vec::new() };
        let preferred =
            if self.chance(50) { self.list(4, |r| (i32::try_from(r.below(100)).unwrap() + 1, r.term(own))) } else { Vec::new() };
        PodAffinity { required, preferred }
    }

    fn term(&mut self, own: &Str) -> PodAffinityTerm {
        let namespaces = if self.chance(60) { vec![own.clone()] } else { self.list(3, |r| r.pick(NAMESPACES).into()) };
        let namespace_selector = self.chance(35).then(|| self.namespace_selector());
        PodAffinityTerm { selector: self.selector(), namespaces, namespace_selector, topology_key: self.pick(KEYS).into() }
    }

    fn namespace_selector(&mut self) -> LabelSelector {
        let value = self.pick(&["a", "b"]);
        LabelSelector(self.list(3, |r| r.requirement("team", value)))
    }

    fn requirement(&mut self, key: &str, value: &str) -> Requirement {
        let operators = [Operator::In, Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist];
        let operator = operators[usize::try_from(self.below(5)).unwrap()];
        let values = if matches!(operator, Operator::In | Operator::NotIn) { vec![value.into()] } else { Vec::new() };
        Requirement { key: key.into(), operator, values }
    }

    fn selector(&mut self) -> Option<LabelSelector> {
        if self.chance(5) {
            return None;
        }
        let n = if self.chance(10) { 1 } else { 3 };
        let requirements = self.list(n, |r| match r.below(2) {
            0 => r.requirement("app", "web"),
            _ => r.requirement("tier", "1"),
        });
        Some(LabelSelector(requirements))
    }

    /// A pod with one to three spread constraints, and perhaps node affinity and a toleration.
    pub(crate) fn spread_pod(&mut self) -> Pod {
        let constraints: Vec<SpreadConstraint> = (0..=self.below(3)).map(|_| self.constraint()).collect();
        let spec = PodSpec {
            labels: self.labels(),
            spread: constraints,
            node_selector: if self.chance(15) { Labels::from([("pool", "x")]) } else { Labels::default() },
            ..PodSpec::default()
        };
        let namespace: Str = self.pick(&["default", "default", "default", "other"]).into();
        let mut pod = Pod { namespace, ..with(pod("incoming"), |s| *s = spec) };
        if self.chance(20) {
            let term = NodeSelectorTerm { labels: vec![self.requirement("pool", "y")], fields: Vec::new() };
            pod = with(pod, |s| s.node_affinity.required = Some(vec![term]));
        }
        if self.chance(30) {
            let toleration = Toleration { key: "full".into(), operator: TolerationOperator::Exists, value: "".into(), effect: None };
            pod = with(pod, |s| s.tolerations.push(toleration));
        }
        pod
    }

    fn constraint(&mut self) -> SpreadConstraint {
        let hard = self.chance(50);
        SpreadConstraint {
            max_skew: if self.chance(70) { 1 } else { 2 },
            topology_key: self.pick(KEYS).into(),
            hard,
            selector: self.selector(),
            min_domains: (hard && self.chance(30)).then(|| i32::try_from(self.below(4)).unwrap() + 1),
            honor_affinity: self.chance(60),
            honor_taints: self.chance(40),
            match_label_keys: if self.chance(20) { vec![self.pick(&["app", "tier"]).into()] } else { Vec::new() },
        }
    }
}
