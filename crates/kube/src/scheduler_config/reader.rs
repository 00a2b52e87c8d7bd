//! Reads maps, lists and scalars of a document strictly, and keeps every fault with its line.
//! Leaves out what the fields are: callers name them.

use super::words;
use crate::documents::ParseFault;
use crate::documents::tree::{Node, Tree};
use aisched_core::features::Features;
use serde_json::Value;
use std::ops::RangeInclusive;

/// A value of the document and its path.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    pub(super) tree: &'a Tree,
    pub(super) path: String,
}

impl<'a> Place<'a> {
    /// The whole document.
    pub(super) fn root(tree: &'a Tree) -> Self {
        Self { tree, path: String::new() }
    }

    /// The value of a field; null counts as absent, as it does for the API.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let tree = self.tree.get(name).filter(|t| !matches!(t.node, Node::Scalar(Value::Null)))?;
        Some(Self { tree, path: self.path_of(name) })
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }
}

/// Reads one document.
pub(super) struct Reader<'a> {
    file: &'a str,
    object: &'a str,
    /// What is on where the configuration is for: without it some fields are refused.
    pub(super) features: Features,
    pub(super) faults: Vec<ParseFault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str, object: &'a str) -> Self {
        Self { file, object, features: Features::default(), faults: Vec::new() }
    }

    /// What stands at `at` cannot be used.
    pub(super) fn fault(&mut self, at: &Place<'_>, expected: impl Into<String>) {
        self.fault_at(at.tree.line, &at.path, &at.tree.shown(), expected);
    }

    /// A field of the map `at` that must be there is not.
    pub(super) fn missing(&mut self, at: &Place<'_>, field: &str, expected: impl Into<String>) {
        self.fault_at(at.tree.line, &at.path_of(field), "", expected);
    }

    pub(super) fn fault_at(&mut self, line: u64, path: &str, value: &str, expected: impl Into<String>) {
        // Keys and certificates of extenders may stand in the file itself.
        let value = if path.ends_with("Data") { "" } else { value };
        self.faults.push(ParseFault {
            file: self.file.into(),
            line,
            document: 1,
            object: self.object.into(),
            field: path.into(),
            value: value.into(),
            expected: expected.into(),
        });
    }

    /// Checks that a map stands there and holds no other fields than these.
    pub(super) fn map(&mut self, at: &Place<'_>, fields: &[&str]) {
        let Node::Map(entries) = &at.tree.node else { return self.fault(at, "a map") };
        for (key, value) in entries.iter().filter(|(key, _)| !fields.contains(&key.as_str())) {
            let expected = format!("one of the fields {}{}", fields.join(", "), words::did_you_mean(key, fields.iter().copied()));
            self.fault_at(value.line, &at.path_of(key), "unknown field", expected);
        }
    }

    /// The entries of a list; none when it is absent.
    pub(super) fn list<'t>(&mut self, map: &Place<'t>, field: &str) -> Vec<Place<'t>> {
        let Some(at) = map.field(field) else { return Vec::new() };
        match &at.tree.node {
            Node::List(items) => items.iter().enumerate().map(|(i, tree)| Place { tree, path: format!("{}[{i}]", at.path) }).collect(),
            Node::Scalar(_) | Node::Map(_) => {
                self.fault(&at, "a list");
                Vec::new()
            }
        }
    }

    /// A text; `None` when it is absent or none.
    pub(super) fn text<'t>(&mut self, map: &Place<'t>, field: &str) -> Option<&'t str> {
        let at = map.field(field)?;
        self.as_text(&at)
    }

    pub(super) fn as_text<'t>(&mut self, at: &Place<'t>) -> Option<&'t str> {
        match &at.tree.node {
            Node::Scalar(Value::String(text)) => return Some(text),
            Node::Scalar(_) | Node::List(_) | Node::Map(_) => self.fault(at, "a text"),
        }
        None
    }

    /// A list of texts.
    pub(super) fn texts<'t>(&mut self, map: &Place<'t>, field: &str) -> Vec<(Place<'t>, &'t str)> {
        let items = self.list(map, field);
        items.into_iter().filter_map(|at| self.as_text(&at).map(|text| (at, text))).collect()
    }

    /// One of these words; `None` when it is absent or none of them.
    pub(super) fn word<T: Copy>(&mut self, map: &Place<'_>, field: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(map, field)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if let (None, Some(at)) = (found, map.field(field)) {
            self.fault(&at, format!("one of {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")));
        }
        found
    }

    /// A whole number within bounds; `None` when it is absent or none.
    pub(super) fn int(&mut self, map: &Place<'_>, field: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let at = map.field(field)?;
        let number = match &at.tree.node {
            Node::Scalar(Value::Number(n)) => n.as_i64().or_else(|| n.as_f64().and_then(whole)),
            Node::Scalar(_) | Node::List(_) | Node::Map(_) => None,
        };
        if number.is_none_or(|n| !range.contains(&n)) {
            self.fault(&at, format!("a whole number{}", bounds(&range, number)));
            return None;
        }
        number
    }

    /// A whole number of the API's usual width.
    pub(super) fn int32(&mut self, map: &Place<'_>, field: &str, range: RangeInclusive<i32>) -> Option<i32> {
        let wide = i64::from(*range.start())..=i64::from(*range.end());
        self.int(map, field, wide).and_then(|n| i32::try_from(n).ok())
    }

    /// A number; `None` when it is absent or none.
    pub(super) fn number(&mut self, map: &Place<'_>, field: &str) -> Option<f64> {
        let at = map.field(field)?;
        let number = match &at.tree.node {
            Node::Scalar(value) => value.as_f64(),
            Node::List(_) | Node::Map(_) => None,
        };
        if number.is_none() {
            self.fault(&at, "a number");
        }
        number
    }

    /// A switch; `None` when it is absent or none.
    pub(super) fn flag(&mut self, map: &Place<'_>, field: &str) -> Option<bool> {
        let at = map.field(field)?;
        let flag = match &at.tree.node {
            Node::Scalar(value) => value.as_bool(),
            Node::List(_) | Node::Map(_) => None,
        };
        if flag.is_none() {
            self.fault(&at, "true or false");
        }
        flag
    }

    /// A duration as Go writes it, in nanoseconds; `None` when it is absent or none.
    pub(super) fn duration(&mut self, map: &Place<'_>, field: &str) -> Option<i64> {
        let at = map.field(field)?;
        let nanos = match &at.tree.node {
            Node::Scalar(Value::String(text)) => words::go_duration(text),
            Node::Scalar(_) | Node::List(_) | Node::Map(_) => None,
        };
        if nanos.is_none() {
            self.fault(&at, "a duration such as 15s, 1m30s or 250ms");
        }
        nanos
    }
}

#[allow(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
fn whole(n: f64) -> Option<i64> {
    (n.fract() == 0.0 && n.abs() < 1e15).then_some(n as i64)
}

/// The bounds in words. The width of the type is none that anybody needs to be told of, unless the value passed it.
fn bounds(range: &RangeInclusive<i64>, value: Option<i64>) -> String {
    let (min, max) = (*range.start(), *range.end());
    if max >= i64::from(i32::MAX) && value.is_none_or(|n| n <= max) {
        format!(" of at least {min}")
    } else {
        format!(" from {min} to {max}")
    }
}
