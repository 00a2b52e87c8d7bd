//! From the plugin sets that a profile writes to the plugins that run at each extension point: defaults, `multiPoint`, `*`.
//! Leaves out reading the sets (`profiles`).

use super::points::{POINTS, Point};
use std::collections::{BTreeMap, BTreeSet};

/// A plugin as a set lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    /// 0 when none was given.
    pub(super) weight: i32,
    /// Path of the entry; empty for a default.
    pub(super) path: String,
}

/// What a profile writes of one extension point, or of `multiPoint`.
#[derive(Clone, Debug, Default)]
pub(super) struct PluginSet {
    pub(super) enabled: Vec<Listed>,
    pub(super) disabled: Vec<String>,
}

/// All of a profile's sets.
#[derive(Clone, Debug, Default)]
pub(super) struct PluginSets {
    pub(super) multi_point: PluginSet,
    pub(super) at: BTreeMap<Point, PluginSet>,
}

/// A plugin that runs at an extension point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnabledPlugin {
    /// Its name.
    pub name: String,
    /// What a score counts with, 0 when the profile does not say; at other points 0.
    pub weight: i32,
}

/// The plugins that run at each extension point, in their order; points without any are left out.
pub type EnabledPlugins = BTreeMap<Point, Vec<EnabledPlugin>>;

/// An entry that cannot stand where it stands, and what would be right.
pub(super) struct Misplaced {
    pub(super) entry: Listed,
    pub(super) expected: String,
}

/// The profile's `multiPoint` over the default one: a default that is listed again keeps its place and takes the new weight, what is
/// disabled goes, the rest follows.
pub(super) fn over_defaults<'a>(defaults: impl IntoIterator<Item = (&'a str, i32)>, custom: &PluginSet) -> PluginSet {
    let disabled = |name: &str| custom.disabled.iter().any(|d| d == "*" || d == name);
    let mut replaced = BTreeSet::new();
    let mut enabled = Vec::new();
    for (name, weight) in defaults.into_iter().filter(|(name, _)| !disabled(name)) {
        // Of several entries of a name the last replaces; the others stay, and are found out as repeated.
        match custom.enabled.iter().rposition(|e| e.name == name) {
            Some(i) => {
                replaced.insert(i);
                enabled.push(custom.enabled[i].clone());
            }
            None => enabled.push(Listed { name: name.into(), weight, path: String::new() }),
        }
    }
    enabled.extend(custom.enabled.iter().enumerate().filter(|(i, _)| !replaced.contains(i)).map(|(_, e)| e.clone()));
    PluginSet { enabled, disabled: custom.disabled.clone() }
}

/// The plugins of every extension point. `points_of` says which points a plugin has; of unknown plugins nothing is said.
pub(super) fn expand(sets: &PluginSets, points_of: impl Fn(&str) -> Option<&'static [Point]>) -> (EnabledPlugins, Vec<Misplaced>) {
    let (mut plugins, mut misplaced) = (EnabledPlugins::new(), Vec::new());
    let none = PluginSet::default();
    for (point, key) in POINTS {
        let set = sets.at.get(&point).unwrap_or(&none);
        let has = |entry: &Listed| points_of(&entry.name).is_some_and(|points| points.contains(&point));
        let own = own_entries(set, key, &points_of, has, &mut misplaced);
        let general = if is_disabled(set, "*") { Vec::new() } else { general_entries(sets, set, key, has, &mut misplaced) };
        // First what is listed here and in multiPoint too, in this point's order; then multiPoint; then what only this point lists.
        let overrides = |e: &&Listed| general.iter().any(|g| g.name == e.name);
        let first = own.iter().copied().filter(overrides);
        let then = general.iter().copied().filter(|g| own.iter().all(|e| e.name != g.name));
        let last = own.iter().copied().filter(|e| !overrides(e));
        let enabled: Vec<EnabledPlugin> = first.chain(then).chain(last).map(|e| e.at(point)).collect();
        if !enabled.is_empty() {
            plugins.insert(point, enabled);
        }
    }
    (plugins, misplaced)
}

/// What the point lists itself and can list.
fn own_entries<'a>(
    set: &'a PluginSet,
    key: &str,
    points_of: impl Fn(&str) -> Option<&'static [Point]>,
    has: impl Fn(&Listed) -> bool,
    misplaced: &mut Vec<Misplaced>,
) -> Vec<&'a Listed> {
    let mut own: Vec<&Listed> = Vec::new();
    for entry in &set.enabled {
        let Some(points) = points_of(&entry.name) else { continue };
        if !has(entry) {
            let keys: Vec<&str> = points.iter().map(|p| p.key()).collect();
            let expected = format!("a plugin with the extension point {key}; this one has {}", keys.join(", "));
            misplaced.push(Misplaced { entry: entry.clone(), expected });
        } else if own.iter().any(|e| e.name == entry.name) {
            misplaced.push(Misplaced { entry: entry.clone(), expected: format!("every plugin once; it is enabled at {key} already") });
        } else {
            own.push(entry);
        }
    }
    own
}

/// What `multiPoint` brings to the point, those included that the point lists itself.
fn general_entries<'a>(
    sets: &'a PluginSets,
    set: &PluginSet,
    key: &str,
    has: impl Fn(&Listed) -> bool,
    misplaced: &mut Vec<Misplaced>,
) -> Vec<&'a Listed> {
    let mut general: Vec<&Listed> = Vec::new();
    for entry in sets.multi_point.enabled.iter().filter(|e| has(e) && !is_disabled(set, &e.name)) {
        let repeated = general.iter().any(|e| e.name == entry.name);
        let listed_here = set.enabled.iter().any(|e| e.name == entry.name);
        if repeated && !listed_here && misplaced.iter().all(|m| m.entry.path != entry.path) {
            misplaced.push(Misplaced { entry: entry.clone(), expected: format!("every plugin once; it is enabled at {key} already") });
        }
        if !repeated {
            general.push(entry);
        }
    }
    general
}

fn is_disabled(set: &PluginSet, name: &str) -> bool {
    set.disabled.iter().any(|d| d == name)
}

impl Listed {
    fn at(&self, point: Point) -> EnabledPlugin {
        let weight = if matches!(point, Point::Score | Point::PlacementScore) { self.weight } else { 0 };
        EnabledPlugin { name: self.name.clone(), weight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Point::{Bind, Filter, PreScore, QueueSort, Score};

    const ALL: &[Point] = &[QueueSort, Filter, PreScore, Score, Bind];

    fn points_of(name: &str) -> Option<&'static [Point]> {
        match name {
            "Test" => Some(ALL),
            "ScoreA" | "ScoreB" => Some(&[PreScore, Score]),
            "Normal" => Some(&[Score]),
            "Sort" => Some(&[QueueSort]),
            "Bind" => Some(&[Bind]),
            _ => None,
        }
    }

    /// `A B=2` as entries.
    fn listed(text: &str) -> Vec<Listed> {
        let entry = |(i, word): (usize, &str)| {
            let (name, weight) = word.split_once('=').unwrap_or((word, "0"));
            Listed { name: name.into(), weight: weight.parse().unwrap(), path: format!("{text}[{i}]") }
        };
        text.split_whitespace().enumerate().map(entry).collect()
    }

    /// `enabled | disabled`.
    fn set(text: &str) -> PluginSet {
        let (enabled, disabled) = text.split_once('|').unwrap_or((text, ""));
        PluginSet { enabled: listed(enabled), disabled: disabled.split_whitespace().map(Into::into).collect() }
    }

    fn shown(entries: impl IntoIterator<Item = (String, i32)>) -> String {
        let word = |(name, weight): (String, i32)| if weight == 0 { name } else { format!("{name}={weight}") };
        entries.into_iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn multi_point_is_laid_over_the_defaults() {
        for (case, defaults, custom, expected) in [
            ("append", "D1 D2", "C", "D1 D2 C"),
            ("insert behind a default", "D1 D2", "C D2 | D2", "D1 C D2"),
            ("insert before all", "D1 D2", "C D1 D2 | *", "C D1 D2"),
            ("reorder", "D1 D2", "D2 D1 | *", "D2 D1"),
            ("nothing of one's own", "D1 D2", "", "D1 D2"),
            ("override in place", "D1=1 D2=2 D3=3", "D2=7", "D1=1 D2=7 D3=3"),
            ("order is kept after overriding", "D1 D2 D3", "D3=9 D1=8", "D1=8 D2 D3=9"),
            ("override and append", "D1=1 D2", "C D1=5", "D1=5 D2 C"),
            ("repeated entries stay to be found out", "D1 D2", "D1=1 D1=2", "D1=2 D2 D1=1"),
            ("disabled by name", "D1 D2", " | D1", "D2"),
            ("disabled and enabled again goes to the end", "D1 D2", "D1 | D1", "D2 D1"),
            ("all disabled", "D1 D2", "C | *", "C"),
        ] {
            let defaults = listed(defaults);
            let merged = over_defaults(defaults.iter().map(|d| (d.name.as_str(), d.weight)), &set(custom));
            assert_eq!(shown(merged.enabled.into_iter().map(|e| (e.name, e.weight))), expected, "{case}");
        }
    }

    /// The plugins at some points, and the misplaced entries.
    fn expanded(multi_point: &str, at: &[(Point, &str)]) -> (Vec<String>, Vec<String>) {
        let at = at.iter().map(|(point, text)| (*point, set(text))).collect();
        let (plugins, misplaced) = expand(&PluginSets { multi_point: set(multi_point), at }, points_of);
        let line = |(point, enabled): (Point, Vec<EnabledPlugin>)| {
            format!("{}: {}", point.key(), shown(enabled.into_iter().map(|e| (e.name, e.weight))))
        };
        (plugins.into_iter().map(line).collect(), misplaced.into_iter().map(|m| format!("{}: {}", m.entry.name, m.expected)).collect())
    }

    #[test]
    fn multi_point_is_expanded_to_the_points_that_a_plugin_has() {
        for (case, multi_point, at, expected) in [
            ("expansion", "Test=5", &[][..], &["queueSort: Test", "filter: Test", "preScore: Test", "score: Test=5", "bind: Test"][..]),
            (
                "disabled at some points",
                "Test",
                &[(PreScore, " | Test"), (Score, " | Test")],
                &["queueSort: Test", "filter: Test", "bind: Test"],
            ),
            (
                "several",
                "Test ScoreA",
                &[],
                &["queueSort: Test", "filter: Test", "preScore: Test ScoreA", "score: Test ScoreA", "bind: Test"],
            ),
            ("a point disabled", "ScoreA", &[(PreScore, " | *")], &["score: ScoreA"]),
            (
                "the point's own order comes first",
                "Normal Test ScoreA",
                &[(Score, "ScoreA Test")],
                &["queueSort: Test", "filter: Test", "preScore: Test ScoreA", "score: ScoreA Test Normal", "bind: Test"],
            ),
            (
                "only of what multiPoint enables",
                "ScoreB ScoreA",
                &[(Score, "Normal ScoreA ScoreB")],
                &["preScore: ScoreB ScoreA", "score: ScoreA ScoreB Normal"],
            ),
            (
                "weights of the point win",
                "ScoreA=2 ScoreB",
                &[(Score, "ScoreA=5 ScoreB=3")],
                &["preScore: ScoreA ScoreB", "score: ScoreA=5 ScoreB=3"],
            ),
            ("no weight at the point is none of multiPoint's", "ScoreA=2", &[(Score, "ScoreA")], &["preScore: ScoreA", "score: ScoreA"]),
            (
                "disabled and enabled at the point goes last",
                "ScoreA Normal",
                &[(Score, "ScoreA=4 | ScoreA")],
                &["preScore: ScoreA", "score: Normal ScoreA=4"],
            ),
            ("without multiPoint", "", &[(Score, "ScoreA=5")], &["score: ScoreA=5"]),
            ("unknown plugins are somebody else's", "Sort Strange", &[(Score, "Stranger")], &["queueSort: Sort"]),
        ] {
            assert_eq!(expanded(multi_point, at), (expected.iter().map(ToString::to_string).collect(), vec![]), "{case}");
        }
    }

    #[test]
    fn entries_that_cannot_stand_there_are_misplaced_once() {
        for (multi_point, at, expected) in [
            ("Test Test", &[][..], "Test: every plugin once; it is enabled at queueSort already"),
            ("", &[(Score, "ScoreA ScoreA")], "ScoreA: every plugin once; it is enabled at score already"),
            ("", &[(Filter, "ScoreA")], "ScoreA: a plugin with the extension point filter; this one has preScore, score"),
        ] {
            assert_eq!(expanded(multi_point, at).1, [expected], "{multi_point} {at:?}");
        }
        // Overridden at the only point that it has, a repeated entry says nothing.
        assert_eq!(expanded("Normal Normal", &[(Score, "Normal")]), (vec!["score: Normal".into()], vec![]));
    }
}
