//! A decision read back from its JSON (`product.md` §4), and what decided it.
//! Leaves out how it looks on a screen.

use aisched_core::cures::Cure;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A decision; fields that are not shown are left out.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionView {
    pub(crate) pod: String,
    pub(crate) node: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) policy: PolicyView,
    #[serde(default)]
    pub(crate) profile: Pairs<FieldView>,
    /// Objects of other systems, and how many seconds ago each was last told.
    #[serde(default)]
    pub(crate) heard: Pairs<u64>,
    #[serde(default)]
    pub(crate) n_nodes: usize,
    #[serde(default)]
    pub(crate) n_feasible: usize,
    /// Feasible ones by falling total, then the others.
    pub(crate) nodes: Vec<NodeReport>,
    #[serde(default)]
    pub(crate) cures: Vec<CureView>,
}

/// What would make a pod fit on a node.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct CureView {
    pub(crate) node: String,
    pub(crate) changes: Vec<ChangeView>,
}

impl From<&Cure> for CureView {
    fn from(cure: &Cure) -> Self {
        let changes = cure.changes.iter().map(|change| ChangeView { text: change.text() }).collect();
        Self { node: cure.node.to_string(), changes }
    }
}

/// One change, in words that follow the node's name.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct ChangeView {
    pub(crate) text: String,
}

/// Where the policy came from.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyView {
    pub(crate) source: String,
    pub(crate) request_id: Option<String>,
    pub(crate) decision: Option<String>,
    pub(crate) reason: Option<String>,
    /// What the server says that nothing acts on.
    #[serde(default)]
    pub(crate) advice: Pairs<String>,
}

/// One field of the workload profile.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct FieldView {
    pub(crate) value: String,
    pub(crate) source: String,
    /// What an inferred value was taken from.
    pub(crate) from: Option<String>,
    /// For how long that had been known.
    #[serde(rename = "ageSeconds")]
    pub(crate) age_seconds: Option<u64>,
}

/// One node's part.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct NodeReport {
    pub(crate) node: String,
    pub(crate) feasible: bool,
    pub(crate) reasons: Vec<ReasonView>,
    pub(crate) total: Option<Milli>,
    pub(crate) plugins: Vec<PluginScore>,
}

/// One reason against a node.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct ReasonView {
    pub(crate) plugin: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
}

/// One plugin's score.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct PluginScore {
    pub(crate) name: String,
    pub(crate) weight: Milli,
    pub(crate) score: i64,
    pub(crate) skipped: bool,
    #[serde(default)]
    pub(crate) components: Pairs<i64>,
    #[serde(default)]
    pub(crate) sources: Pairs<String>,
}

/// A number in thousandths: JSON has it as 812.25.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Milli(pub(crate) i64);

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match (self.0 < 0, f.sign_plus()) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let (whole, part) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        let text = if part == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part:03}").trim_end_matches('0').to_owned() };
        f.pad(&text)
    }
}

impl<'de> Deserialize<'de> for Milli {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[allow(clippy::cast_possible_truncation, reason = "saturates, and real totals are small")]
        let milli = |n: f64| (n * 1000.0).round() as i64;
        f64::deserialize(deserializer).map(|n| Self(milli(n)))
    }
}

/// A JSON object in its own order.
#[derive(Clone, Debug)]
pub(crate) struct Pairs<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pairs<T> {
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Pairs<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// One part of a total: a component, or a plugin that has none; its points count with the plugin's weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Plugin.
    pub(crate) plugin: String,
    /// Component.
    pub(crate) component: Option<String>,
    /// Points of the best node.
    pub(crate) points: Milli,
    /// Points of the runner-up.
    pub(crate) runner_up: Option<Milli>,
}

impl Part {
    /// Lead over the runner-up.
    pub(crate) fn lead(&self) -> Milli {
        Milli(self.points.0 - self.runner_up.unwrap_or_default().0)
    }

    /// `Plugin.component`.
    pub(crate) fn full_name(&self) -> String {
        match &self.component {
            Some(component) => format!("{}.{component}", self.plugin),
            None => self.plugin.clone(),
        }
    }
}

impl DecisionView {
    /// The chosen node's report.
    pub(crate) fn best(&self) -> Option<&NodeReport> {
        let chosen = self.node.as_ref()?;
        self.nodes.iter().find(|n| n.feasible && n.node == *chosen)
    }

    /// The feasible node of the highest total after the chosen one.
    pub(crate) fn runner_up(&self) -> Option<&NodeReport> {
        let chosen = self.node.as_ref()?;
        self.nodes.iter().find(|n| n.feasible && n.node != *chosen)
    }

    /// What the chosen node's total is made of, beside the runner-up's. A plugin counts in components where these add up to its
    /// score on both nodes; scores that were brought to a common scale afterwards count as a whole.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let Some(best) = self.best() else { return Vec::new() };
        let other = self.runner_up();
        let mut parts = Vec::new();
        for plugin in best.plugins.iter().filter(|p| !p.skipped) {
            let beside = other.map(|o| o.plugins.iter().find(|p| p.name == plugin.name));
            let split = plugin.adds_up() && beside.is_none_or(|p| p.is_none_or(PluginScore::adds_up));
            let points = |score: i64| Milli(score * plugin.weight.0);
            let mut push = |component: Option<&str>, of: &dyn Fn(&PluginScore) -> i64| {
                let runner_up = beside.map(|p| points(p.map_or(0, of)));
                parts.push(Part {
                    plugin: plugin.name.clone(),
                    component: component.map(str::to_owned),
                    points: points(of(plugin)),
                    runner_up,
                });
            };
            if split {
                for (name, _) in &plugin.components.0 {
                    push(Some(name), &|p| p.components.get(name).copied().unwrap_or(0));
                }
            } else {
                push(None, &|p| p.score);
            }
        }
        parts
    }

    /// The two parts that decided: those that lead the runner-up by most, or, when no other node would do, the two largest
    /// components; plugins that have none stand in only where there is no component at all. Empty when the two nodes are level.
    pub(crate) fn deciding(&self) -> Vec<Part> {
        let mut parts = self.parts();
        parts.retain(|part| part.lead().0 > 0);
        if self.runner_up().is_none() && parts.iter().any(|part| part.component.is_some()) {
            parts.retain(|part| part.component.is_some());
        }
        parts.sort_by_key(|part| std::cmp::Reverse(part.lead()));
        parts.truncate(2);
        parts
    }

    /// The shortest name of a part that nothing else in the decision has.
    pub(crate) fn short_name(&self, part: &Part) -> String {
        let same = |p: &&PluginScore| part.component.as_ref().is_some_and(|c| p.components.get(c).is_some());
        let owners = self.best().map_or(0, |best| best.plugins.iter().filter(same).count());
        match &part.component {
            Some(component) if owners <= 1 => component.clone(),
            Some(_) | None => part.full_name(),
        }
    }

    /// How many nodes each reason stands against, most frequent first; of the nodes reported on.
    pub(crate) fn funnel(&self) -> Vec<(&str, &str, usize)> {
        let mut counts: Vec<(&str, &str, usize)> = Vec::new();
        for reason in self.nodes.iter().flat_map(|n| &n.reasons) {
            match counts.iter_mut().find(|(plugin, message, _)| *plugin == reason.plugin && *message == reason.message) {
                Some(entry) => entry.2 += 1,
                None => counts.push((&reason.plugin, &reason.message, 1)),
            }
        }
        counts.sort_by_key(|(_, _, n)| std::cmp::Reverse(*n));
        counts
    }
}

impl PluginScore {
    fn adds_up(&self) -> bool {
        !self.components.0.is_empty() && self.components.0.iter().map(|(_, points)| points).sum::<i64>().clamp(0, 100) == self.score
    }
}
