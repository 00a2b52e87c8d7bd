//! What the AI storage plugins share: APOLLO's node preferences, what is left of nodes' I/O budgets, components and their sums.
//! Leaves out every table: those are the plugins' own (`scoring.md` §§3–5).

use crate::cures::Change;
use crate::decision::{Component, Components};
use crate::framework::{Attempt, MAX_SCORE};
use aisched_model::pod::Pod;
use aisched_model::workload::Tier;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Said of a node that APOLLO's policy rules out.
pub(super) const NOT_ALLOWED: &str = "node(s) were not allowed by the APOLLO policy";
/// That a node has a tier.
pub(super) fn has_tier(tier: Tier) -> Change {
    Change::Label(format!("storage-tier/{}", tier.as_str()).into(), Some("true".into()))
}

/// More nodes than this are counted, not named, in an explanation.
const NAMED_NODES: usize = 10;

/// What an explanation says a component was read from.
pub(super) type Text = Cow<'static, str>;

/// A component within `0..=max`.
pub(super) fn bounded(points: i64, max: i64) -> i64 {
    points.clamp(0, max.max(0))
}

/// A plugin's score: the sum of its components within 0 to 100.
pub(super) fn total(points: &[i64]) -> i64 {
    points.iter().sum::<i64>().clamp(0, MAX_SCORE)
}

/// Names, points and sources side by side.
pub(super) fn components<const N: usize>(names: [&'static str; N], points: [i64; N], sources: [Text; N]) -> Components {
    let parts = names.into_iter().zip(points).zip(sources);
    Components(parts.map(|((name, score), source)| Component { name, score, source }).collect())
}

/// `x × a / b`, rounded towards zero, for any size of `a` and `b`; `x` is at most a component's maximum and `a` at most `b`.
pub(super) fn share(x: i64, a: i64, b: i64) -> i64 {
    i64::try_from(i128::from(x) * i128::from(a) / i128::from(b.max(1))).unwrap_or(x)
}

/// Whether a change of the pod itself could change what it is to the storage plugins.
pub(super) fn hints_changed(old: &Pod, new: &Pod) -> bool {
    old.spec.labels != new.spec.labels || old.spec.annotations != new.spec.annotations
}

/// The nodes that a policy prefers.
pub(super) struct Preferences<'a> {
    /// Known nodes by name, each once, with its best score, at least 0; `None` without an APOLLO answer.
    listed: Option<Vec<(&'a str, i64)>>,
    highest: i64,
}

impl<'a> Preferences<'a> {
    pub(super) fn of(attempt: &Attempt<'a>) -> Self {
        let listed = attempt.policy.map(|policy| {
            let preferences = policy.node_preferences.iter().map(|p| (p.node.trim(), i64::from(p.score).max(0)));
            let mut known: Vec<_> = preferences.filter(|(node, _)| attempt.snapshot.node_idx(node).is_some()).collect();
            known.sort_unstable_by_key(|(node, score)| (*node, Reverse(*score)));
            known.dedup_by_key(|(node, _)| *node);
            known
        });
        let highest = listed.iter().flatten().map(|(_, score)| *score).max().unwrap_or(0);
        Self { listed, highest }
    }

    /// Whether there is an APOLLO answer.
    pub(super) fn answered(&self) -> bool {
        self.listed.is_some()
    }

    /// Whether the answer prefers no node that exists.
    pub(super) fn is_empty(&self) -> bool {
        self.listed.as_ref().is_none_or(Vec::is_empty)
    }

    /// The preferred nodes that exist, for an explanation; at most a few.
    pub(super) fn names(&self) -> String {
        let listed = self.listed.as_deref().unwrap_or_default();
        let mut text = listed.iter().take(NAMED_NODES).map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        if listed.len() > NAMED_NODES {
            text.push_str(&format!(", … +{} more", listed.len() - NAMED_NODES));
        }
        text
    }

    /// The score of a listed node.
    pub(super) fn listed(&self, node: &str) -> Option<i64> {
        let listed = self.listed.as_deref()?;
        listed.binary_search_by_key(&node, |(name, _)| *name).ok().map(|i| listed[i].1)
    }

    /// No answer: half of `max`. Listed: in proportion to the best score listed. Else a third.
    ///
    /// Example: listed 50 where the best is 120, of 30: 12.
    pub(super) fn points(&self, node: &str, max: i64) -> i64 {
        if !self.answered() {
            return max / 2;
        }
        match self.listed(node) {
            Some(_) if self.highest == 0 => 0,
            Some(score) => max * score / self.highest,
            None => max / 3,
        }
    }

    pub(super) fn source(&self, node: &str) -> Text {
        if !self.answered() {
            return "no APOLLO answer".into();
        }
        match self.listed(node) {
            Some(score) => format!("preferred by APOLLO with {score}, the best being {}", self.highest).into(),
            None if self.is_empty() => "APOLLO prefers no node".into(),
            None => "APOLLO prefers other nodes".into(),
        }
    }
}

#[cfg(test)]
mod tests;
