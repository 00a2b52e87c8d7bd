//! Extenders as values: whom they are interested in, what they are asked, what they say; and what they said as one more plugin.
//! Leaves out asking them (`aisched-kube`) and the pods that wait for their answers (`engine`).

use crate::decision::{Component, Components};
use crate::event::PodRef;
use crate::framework::{Attempt, ClusterEvent, Filter, Plugin, Prepared, Refusal, RefusalCode, Score};
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Stands for all extenders among the plugins that refuse a pod, as in kube-scheduler.
pub const EXTENDER: &str = "Extender";

/// The points of one extender for one node, weight included, end here on both sides: sums stay far from overflowing.
pub const MAX_POINTS: i64 = 1_000_000_000_000;

/// What has to be known of an extender to tell which pods concern it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "one switch per verb")]
pub struct Extender {
    /// Its address; names it in messages.
    pub name: Str,
    /// Whether it filters nodes.
    pub filters: bool,
    /// Whether it scores nodes.
    pub prioritizes: bool,
    /// Whether it has a say in who is preempted.
    pub preempts: bool,
    /// Whether it binds pods.
    pub binds: bool,
    /// It is interested in pods that request one of these resources; in every pod when there are none.
    pub managed: Vec<Str>,
}

impl Extender {
    /// Whether it wants to be asked about a pod.
    #[must_use]
    pub fn is_interested(&self, pod: &Pod) -> bool {
        self.managed.is_empty() || pod.spec.requests.scalars.iter().any(|(name, _)| self.managed.contains(name))
    }
}

/// A question to all extenders that are interested in a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Tells it from an earlier one about the same pod.
    pub id: u64,
    /// The pod.
    pub pod: Arc<Pod>,
    /// What is asked.
    pub about: About,
}

/// What extenders are asked.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// Which of these nodes will do, and how well. By name, in order; never empty.
    Nodes(Arc<[Str]>),
    /// Who has to leave which node.
    Victims(Vec<Proposal>),
}

/// A node on which preemption would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The node.
    pub node: Str,
    /// Every pod on it.
    pub pods: Vec<PodRef>,
    /// Who would have to leave.
    pub victims: Victims,
}

/// Pods that have to leave a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Victims {
    /// Their UIDs.
    pub uids: Vec<Str>,
    /// How many of them a disruption budget protects.
    pub n_violations: usize,
}

/// What the extenders say.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The question.
    pub id: u64,
    /// UID of the pod.
    pub uid: Str,
    /// What they say of it.
    pub said: Said,
}

/// What extenders say; or why an attempt fails that cannot do without one of them.
#[derive(Clone, Debug)]
pub enum Said {
    /// Of nodes.
    Nodes(Result<Judged, String>),
    /// Of victims, by node.
    Victims(Result<BTreeMap<Str, Victims>, String>),
}

/// What all extenders together say of nodes. One that is neither passed nor failed is out without a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Nodes that every extender left.
    pub passed: BTreeSet<Str>,
    /// Reasons against others.
    pub failed: BTreeMap<Str, Failed>,
    /// Scores, of each extender that gave any.
    pub scores: Vec<Scores>,
}

/// Why an extender is against a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Whether pods that leave could change it.
    pub code: RefusalCode,
    /// Its own words.
    pub message: Str,
}

/// One extender's scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    /// The extender.
    pub extender: Str,
    /// What they count with.
    pub weight: i64,
    /// Per node, as given.
    pub by_node: BTreeMap<Str, i64>,
}

/// kube-scheduler's factor from an extender's scale (to 10) to a plugin's (to 100).
const SCALE: i64 = 10;

impl Scores {
    /// What a node's total gets.
    fn points(&self, node: &str) -> i64 {
        let score = self.by_node.get(node).copied().unwrap_or(0);
        score.saturating_mul(self.weight).saturating_mul(SCALE).clamp(-MAX_POINTS, MAX_POINTS)
    }
}

/// What extenders said of the nodes they were asked about; takes part in a decision as one more plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The nodes asked about, by name.
    pub asked: Arc<[Str]>,
    /// What was said.
    pub judged: Judged,
}

impl Told {
    /// Whether a node was asked about.
    #[must_use]
    pub fn knows(&self, node: &Str) -> bool {
        self.asked.binary_search(node).is_ok()
    }
}

impl Plugin for Told {
    fn name(&self) -> &'static str {
        EXTENDER
    }

    fn prepare<'a>(&'a self, _attempt: &Attempt<'a>) -> Prepared<'a> {
        Prepared::filter(Opinion(self)).and_score(Opinion(self))
    }

    /// Anything may: what moves an extender nobody knows.
    fn helps(&self, _pod: &Pod, _event: &ClusterEvent<'_>) -> bool {
        true
    }
}

struct Opinion<'a>(&'a Told);

impl Filter for Opinion<'_> {
    fn check(&self, node: &NodeInfo) -> Option<Refusal> {
        let (name, judged) = (&node.node.name, &self.0.judged);
        if self.0.knows(name) && judged.passed.contains(name) {
            return None;
        }
        // Of a node that it drops without a word, or was not asked about, kube-scheduler has nothing to say either.
        let silent = Refusal { code: RefusalCode::Unresolvable, reasons: SmallVec::new() };
        let said =
            |failed: &Failed| Refusal { code: failed.code, reasons: [Cow::Owned(String::from(&*failed.message))].into_iter().collect() };
        Some(judged.failed.get(name).map_or(silent, said))
    }

    fn reads_node_only(&self) -> bool {
        true
    }
}

impl Score for Opinion<'_> {
    fn skips(&self) -> bool {
        self.0.judged.scores.is_empty()
    }

    fn raw(&self, node: &NodeInfo) -> i64 {
        self.0.judged.scores.iter().map(|scores| scores.points(&node.node.name)).sum()
    }

    fn components(&self, node: &NodeInfo) -> Components {
        let name = &node.node.name;
        let part = |s: &Scores| format!("{} by {}, weight {}", s.by_node.get(name).unwrap_or(&0), s.extender, s.weight);
        let parts: Vec<String> = self.0.judged.scores.iter().map(part).collect();
        if parts.is_empty() {
            return Components::default();
        }
        let source = format!("{SCALE} times {}", parts.join("; "));
        Components([Component { name: "extenders", score: self.raw(node), source: source.into() }].into())
    }
}

/// What of the extenders' answers a decision goes by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard<'a> {
    /// What they said of the nodes, if they were asked.
    pub told: Option<&'a Told>,
    /// Whether they have a say in preemption.
    pub advice: Advice<'a>,
}

/// The extenders' part in preemption.
#[derive(Clone, Copy, Debug, Default)]
pub enum Advice<'a> {
    /// None.
    #[default]
    None,
    /// They have to be asked which candidate may be taken.
    Ask,
    /// They were asked.
    Told(&'a VictimsTold),
}

/// What extenders said of the candidates for preemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VictimsTold {
    /// The candidates' nodes.
    pub asked: BTreeSet<Str>,
    /// What was said.
    pub said: Result<BTreeMap<Str, Victims>, String>,
}
