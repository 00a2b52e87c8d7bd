//! A decision and its explanation, in the shape that `--output json`, the API and the logs show (`product.md` §4).
//! Made by `decide`; holds plain values only, so that it can be kept, sent and compared.

use crate::cures::Cure;
use aisched_model::Str;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Where a pod goes, or why it goes nowhere.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// `namespace/name`.
    pub pod: Str,
    /// UID.
    pub uid: Str,
    /// Profile that decided.
    pub scheduler_name: Str,
    /// The chosen node.
    pub node: Option<Str>,
    /// The whole message of a pod that was refused.
    pub message: Option<String>,
    /// Where the policy came from.
    pub policy: PolicyView,
    /// What the pod was taken to be; only fields that are known.
    pub profile: ProfileView,
    /// Objects of other systems that scores may rest on, each with how many seconds ago it was last told, at the time of the decision.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "heard")]
    pub heard: Vec<(u64, Str)>,
    /// Generation of the configuration in force.
    pub config_generation: u64,
    /// How many nodes there were.
    pub n_nodes: usize,
    /// How many of them would do.
    pub n_feasible: usize,
    /// The best of the other nodes, and by how much the chosen one leads it.
    pub runner_up: Option<RunnerUp>,
    /// What stood against nodes, and against how many: of all nodes, not only those reported on.
    #[serde(rename = "verdicts")]
    pub refusals: Vec<Verdict>,
    /// Nodes: the feasible ones by falling total, then the others by name.
    pub nodes: Vec<NodeReport>,
    /// What would cure the refusal, the smallest changes first: worked out only when somebody asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cures: Vec<Cure>,
    /// Whether the profile has AI storage plugins, so that the decision is logged for every pod.
    #[serde(skip)]
    pub has_ai_plugins: bool,
}

/// The second of the feasible nodes.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RunnerUp {
    /// Name.
    pub node: Str,
    /// Lead of the chosen node, in thousandths.
    #[serde(serialize_with = "thousandths")]
    pub margin: i64,
}

/// One reason that stands against nodes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// Plugin that refused.
    pub plugin: &'static str,
    /// Its message, as in events.
    pub message: Cow<'static, str>,
    /// How many nodes.
    #[serde(rename = "nodes")]
    pub n_nodes: usize,
}

/// A decision's policy: where it came from and what the server says; its effects are in the profile, the filters and the scores.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyView {
    /// `APOLLO`, `CACHE` or `FALLBACK`.
    pub source: &'static str,
    /// The answer's id.
    pub request_id: Option<Str>,
    /// `ALLOW`, `PREFER`, `REQUIRE`, `DELAY` or `REJECT`; `None` without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<&'static str>,
    /// The server's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Str>,
    /// What the server says that nothing acts on.
    #[serde(skip_serializing_if = "Advice::is_empty")]
    pub advice: Advice,
    /// Whether it said how the weights are shared out.
    #[serde(skip)]
    pub shares_weights: bool,
}

/// What a policy says for people alone, by name, as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advice(pub Vec<(&'static str, String)>);

impl Advice {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Advice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The workload profile, field by field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileView(pub Vec<(&'static str, FieldView)>);

/// One field of the workload profile.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldView {
    /// The value, as text.
    pub value: String,
    /// `apollo`, `cache`, `pod`, `inferred` or `default`.
    pub source: &'static str,
    /// What an inferred value was taken from, such as `label spark-role`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Str>,
    /// For how many seconds that has been known, at the time of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
}

/// One node's part in a decision.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct NodeReport {
    /// Name.
    pub node: Str,
    /// Whether the pod could run there.
    pub feasible: bool,
    /// Why not.
    pub reasons: Vec<ReasonView>,
    /// Sum of weight × score; `None` where infeasible.
    #[serde(serialize_with = "total")]
    pub total: Option<i64>,
    /// Per plugin; shared by all nodes of which the same is said.
    pub plugins: Arc<[PluginScore]>,
}

/// One reason against a node.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ReasonView {
    /// Plugin that refused.
    pub plugin: &'static str,
    /// Its message, as in events.
    pub message: Cow<'static, str>,
    /// The numbers behind it, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One plugin's score for one node.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PluginScore {
    /// Plugin.
    pub name: &'static str,
    /// What the score counted with, in thousandths.
    #[serde(serialize_with = "thousandths")]
    pub weight: i64,
    /// 0 to 100, normalised.
    pub score: i64,
    /// Whether the plugin had nothing to say about this pod.
    pub skipped: bool,
    /// What the score is made of: `components` by name, and `sources` that say what each was read from.
    #[serde(flatten)]
    pub components: Components,
}

/// Score components in the plugin's order, with what each was read from. Shared by all decisions that say the same.
#[derive(Clone, Debug, Default)]
pub struct Components(pub Arc<[Component]>);

/// Shared ones are equal without a look.
impl PartialEq for Components {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

/// One score component.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Name (`product.md` §4).
    pub name: &'static str,
    /// Points, 0 to the component's maximum.
    pub score: i64,
    /// What it was read from, for people.
    pub source: Cow<'static, str>,
}

impl Serialize for Components {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("components", &Pairs(self, |c| c.score))?;
        map.serialize_entry("sources", &Pairs(self, |c| c.source.clone()))?;
        map.end()
    }
}

/// The components as a map from name to one of their parts.
struct Pairs<'a, T>(&'a Components, fn(&Component) -> T);

impl<T: Serialize> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.0.iter().map(|c| (c.name, (self.1)(c))))
    }
}

impl Serialize for ProfileView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, field) in &self.0 {
            map.serialize_entry(name, field)?;
        }
        map.end()
    }
}

/// Seconds by what told.
fn heard<S: Serializer>(heard: &[(u64, Str)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(heard.iter().map(|(age, source)| (source, age)))
}

#[allow(clippy::cast_precision_loss, reason = "totals stay far below 2^53")]
fn total<S: Serializer>(total: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    total.map(|t| t as f64 / 1000.0).serialize(serializer)
}

/// Weights are whole numbers unless a policy shares them out.
#[allow(clippy::cast_precision_loss, reason = "weights are small")]
fn thousandths<S: Serializer>(weight: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    if weight % 1000 == 0 { serializer.serialize_i64(weight / 1000) } else { serializer.serialize_f64(*weight as f64 / 1000.0) }
}
