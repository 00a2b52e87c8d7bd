//! What stands against nodes, and what the plugins that refuse them would have changed: for cures.
//! Leaves out whether that helps.

use super::part::{Part, prepare};
use super::tried;
use crate::cures::Change;
use crate::framework::Attempt;
use crate::preemption::rivals;
use crate::profile::Profile;
use aisched_model::node::NodeInfo;
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// What stands against a node.
pub(crate) enum Obstacle {
    /// With these changes, it would not.
    Curable(Vec<Change>),
    /// No plugin knows what would change it.
    Incurable,
}

impl From<Vec<Change>> for Obstacle {
    fn from(changes: Vec<Change>) -> Self {
        if changes.is_empty() { Self::Incurable } else { Self::Curable(changes) }
    }
}

/// What stands first against one node; `None` when the pod fits.
pub(crate) fn obstacle(profile: &Profile, attempt: &Attempt<'_>, idx: usize) -> Option<Obstacle> {
    let active = profile.active(attempt.config, attempt.policy);
    let (parts, refusal) = prepare(&active, attempt, &mut Vec::new());
    if let Some(against) = refusal {
        let plugin = profile.plugin(against.plugin);
        return Some(plugin.map_or(Obstacle::Incurable, |plugin| plugin.cure(attempt).into()));
    }
    let against = tried(&parts, attempt, idx)?;
    let part = parts.iter().find(|part| part.plugin.name() == against.plugin);
    Some(cure(part, &crowded(attempt, idx)))
}

/// What every plugin has against each node, taken together, as far as a first look tells; none when it is clear that none can be cured.
pub(crate) fn obstacles(profile: &Profile, attempt: &Attempt<'_>) -> Vec<Obstacle> {
    let active = profile.active(attempt.config, attempt.policy);
    let (parts, refusal) = prepare(&active, attempt, &mut Vec::new());
    let of_pod = refusal.map(|against| profile.plugin(against.plugin).map_or(Vec::new(), |plugin| plugin.cure(attempt)));
    if of_pod.as_ref().is_some_and(Vec::is_empty) {
        return Vec::new();
    }
    let of_node = |idx: usize| {
        let node = crowded(attempt, idx);
        let refusing = parts.iter().filter(|part| part.filter().is_some_and(|filter| filter.check(&node).is_some()));
        let mut all = of_pod.clone().unwrap_or_default();
        for part in refusing {
            match cure(Some(part), &node) {
                Obstacle::Curable(changes) => all.extend(changes),
                Obstacle::Incurable => return Obstacle::Incurable,
            }
        }
        all.into()
    };
    (0..attempt.snapshot.nodes.len()).map(of_node).collect()
}

fn cure(part: Option<&Part<'_>>, node: &NodeInfo) -> Obstacle {
    part.and_then(Part::filter).map_or(Obstacle::Incurable, |filter| filter.cure(node).into())
}

/// The node with the pods that are promised it before this one.
fn crowded<'a>(attempt: &Attempt<'a>, idx: usize) -> Cow<'a, NodeInfo> {
    let mut node: Cow<'a, NodeInfo> = Cow::Borrowed(&attempt.snapshot.nodes[idx]);
    let promised: Vec<_> = rivals(attempt, &node.node.name).cloned().collect();
    promised.into_iter().for_each(|rival| node.to_mut().add(rival));
    node
}
