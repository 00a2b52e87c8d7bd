//! YAML (or JSON) text as a tree in which every value knows its line, so that any later complaint can name it.
//! Leaves out what the values mean.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use std::fmt;

/// A value and its line.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// Line of the value, from 1; of a map or list the line of its first entry. 0 when unknown.
    pub(crate) line: u64,
    pub(crate) node: Node,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Null, a boolean, a number or a text.
    Scalar(Value),
    /// A list.
    List(Vec<Tree>),
    /// A map in the order of the text.
    Map(Vec<(String, Tree)>),
}

/// Text that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) line: u64,
    pub(crate) message: String,
}

/// Reads every document of `text`; empty documents are left out.
pub(crate) fn read(text: &str) -> Result<Vec<Tree>, Unreadable> {
    // The limits that guard against hostile text would refuse the dump of a large cluster; `n` is a name, not `false`.
    let options = serde_saphyr::options! { budget: None, with_snippet: false, strict_booleans: true };
    let documents: Vec<Tree> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| Unreadable { line: error.location().map_or(0, |l| l.line()), message: error.to_string() })?;
    Ok(documents)
}

impl Tree {
    /// The same without lines.
    pub(crate) fn to_value(&self) -> Value {
        match &self.node {
            Node::Scalar(value) => value.clone(),
            Node::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Node::Map(entries) => Value::Object(entries.iter().map(|(k, v)| (k.clone(), v.to_value())).collect::<Map<_, _>>()),
        }
    }

    /// The value under a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.node {
            Node::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            Node::Scalar(_) | Node::List(_) => None,
        }
    }

    /// The text under a key of a map.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.node {
            Node::Scalar(Value::String(text)) => Some(text),
            Node::Scalar(_) | Node::List(_) | Node::Map(_) => None,
        }
    }

    /// Follows a path such as `spec.containers[0].resources.requests.nvidia.com/gpu` as far as it leads.
    pub(crate) fn at(&self, path: &str) -> &Self {
        let path = path.trim_start_matches('.');
        match &self.node {
            Node::Map(entries) => {
                let follows = |key: &str| path.strip_prefix(key).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
                let step = entries.iter().filter_map(|(k, v)| follows(k).map(|rest| (k.len(), rest, v))).max_by_key(|(n, ..)| *n);
                step.filter(|(n, ..)| *n > 0).map_or(self, |(_, rest, value)| value.at(rest))
            }
            Node::List(items) => {
                let step = path.strip_prefix('[').and_then(|p| p.split_once(']'));
                let step = step.and_then(|(i, rest)| Some((items.get(i.parse::<usize>().ok()?)?, rest)));
                step.map_or(self, |(value, rest)| value.at(rest))
            }
            Node::Scalar(_) => self,
        }
    }

    /// Short text of the value, for messages.
    pub(crate) fn shown(&self) -> String {
        match &self.node {
            Node::Scalar(Value::String(text)) => text.clone(),
            Node::Scalar(value) => value.to_string(),
            Node::List(_) => "a list".into(),
            Node::Map(_) => "a map".into(),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Node>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), node: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_bool<E>(self, b: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(b)))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Number(n.into())))
    }
    fn visit_u64<E>(self, n: u64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Number(n.into())))
    }
    fn visit_f64<E>(self, n: f64) -> Result<Node, E> {
        Ok(Node::Scalar(Number::from_f64(n).map_or_else(|| Value::String(n.to_string()), Value::Number)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Scalar(Value::String(text.to_owned())))
    }
    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Scalar(Value::String(text)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry::<String, Tree>()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a: 1\nspec:\n  list:\n  - x: true\n    nvidia.com/gpu: lots\n  - y: 1.5\n---\n# nothing\n---\nb: ~\nq: 500m\n";

    #[test]
    fn paths_lead_to_lines() {
        let trees = read(TEXT).unwrap();
        for (path, line, shown) in [
            ("a", 1, "1"),
            ("spec.list[0].x", 4, "true"),
            (".spec.list[0].nvidia.com/gpu", 5, "lots"),
            ("spec.list[1].y", 6, "1.5"),
            ("spec.list[1].none", 6, "a map"),
            ("spec.list[9]", 4, "a list"),
        ] {
            let found = trees[0].at(path);
            assert_eq!((found.line, found.shown().as_str()), (line, shown), "{path}");
        }
    }

    #[test]
    fn documents_that_are_empty_do_not_count() {
        let trees = read(TEXT).unwrap();
        assert_eq!(trees.len(), 2);
        assert_eq!(trees[1].to_value(), serde_json::json!({"b": null, "q": "500m"}));
    }

    #[test]
    fn broken_text_names_its_line() {
        let error = read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.line >= 2, "{error:?}");
    }
}
