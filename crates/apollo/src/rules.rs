//! The policy server's rules file: reads it, finds the rule for a pod, builds the rule's answer in either dialect.
//! Leaves out serving, delays and watching the file.

use crate::wire;
use prost::Message;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;
use tonic::Code;

/// How long an answer says that it holds, in the dialect that says so.
const ANSWER_HOLDS_SECONDS: i64 = 300;

/// A quoted line of a rules file is cut to this length.
const MAX_QUOTE_BYTES: usize = 120;

/// Which of the field's servers is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The policy engine: weights in field 13, signature in field 20.
    #[default]
    Engine,
    /// The policy server: timestamps in fields 13 and 14, weights in field 15, never a signature.
    Server,
}

impl FromStr for Dialect {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "engine" => Ok(Self::Engine),
            "server" => Ok(Self::Server),
            _ => Err(format!("unknown dialect {word:?}; accepted: engine, server")),
        }
    }
}

/// What is wrong with a rules file.
#[derive(Debug, Error)]
pub enum RulesError {
    /// It cannot be read.
    #[error("cannot read the rules file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is no rules file.
    #[error("{}{}: {problem}", path.display(), at.as_ref().map(|at| format!(": {at}")).unwrap_or_default())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The field, by its path from the top: `rules[2].answer.decision`.
        at: Option<String>,
        /// What is wrong, and where in the text.
        problem: String,
    },
}

/// Rules, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// For which pods, what is done.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rule {
    /// For people: shown when the rule answers.
    pub(crate) name: Option<String>,
    r#match: Match,
    answer: Answer,
    delay_ms: u64,
    pub(crate) error: Option<InjectedError>,
    /// The call is never answered.
    pub(crate) silence: bool,
}

/// What a pod must have; nothing matches every pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Match {
    namespace: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// Of any container; `*` at its end stands for anything: `nvcr.io/nvidia/*`.
    image: Option<String>,
}

/// The fields of `SchedulingPolicy`. The pod's name and namespace are the asked pod's unless the rule lies about them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Answer {
    request_id: Option<String>,
    pod_name: Option<String>,
    pod_namespace: Option<String>,
    #[serde(deserialize_with = "crate::words::decision")]
    decision: i32,
    node_preferences: Vec<wire::NodePreference>,
    resource_requirements: Option<wire::ComputedResourceRequirements>,
    storage_requirements: Option<wire::StorageRequirements>,
    constraints: Vec<wire::SchedulingConstraint>,
    priority: i32,
    allow_preemption: bool,
    affinity_rules: Vec<wire::AffinityRule>,
    reason: String,
    plugin_weights: Option<wire::PluginWeights>,
    workload_signature: Option<wire::WorkloadSignatureInfo>,
}

/// A gRPC error in the place of an answer: `UNAVAILABLE` or `UNAVAILABLE: words`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InjectedError {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Rules {
    /// Reads a rules file's text; `path` is for messages.
    ///
    /// # Errors
    /// [`RulesError::Invalid`] names the file, the rule by its position, the field, and the value or what is accepted.
    pub fn parse(text: &str, path: &Path) -> Result<Self, RulesError> {
        let invalid = |at: Option<String>, problem: String| RulesError::Invalid { path: path.to_owned(), at, problem };
        let options = serde_saphyr::options! { with_snippet: false };
        let mut at = None;
        let parsed: Result<Self, _> = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
            serde_path_to_error::deserialize(deserializer).map_err(|error| {
                at = Some(error.path().to_string()).filter(|path| path != "." && path != "?");
                error.into_inner()
            })
        });
        let rules = parsed.map_err(|error| invalid(at, problem(&error, text)))?;
        for (i, rule) in rules.rules.iter().enumerate() {
            if rule.error.is_some() && rule.silence {
                let problem = "a rule has either an error or silence, not both";
                return Err(invalid(Some(format!("rules[{i}]")), problem.to_owned()));
            }
        }
        Ok(rules)
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none; then every pod gets an empty answer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The first rule that matches the pod, with its position.
    pub(crate) fn find(&self, pod: &wire::SchedulingPolicyRequest) -> Option<(usize, &Rule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.r#match.holds(pod))
    }
}

/// The parser's words, and the line that they point at: they do not always repeat the value.
fn problem(error: &serde_saphyr::Error, text: &str) -> String {
    let line = error.location().and_then(|at| text.lines().nth(usize::try_from(at.line()).ok()?.checked_sub(1)?));
    match line.map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => format!("{error}: {}", &line[..line.floor_char_boundary(MAX_QUOTE_BYTES)]),
        None => error.to_string(),
    }
}

impl Match {
    fn holds(&self, pod: &wire::SchedulingPolicyRequest) -> bool {
        let is_namespace = self.namespace.as_ref().is_none_or(|wanted| *wanted == pod.pod_namespace);
        let mut labels = self.labels.iter();
        let mut annotations = self.annotations.iter();
        let is_image = self.image.as_ref().is_none_or(|wanted| pod.pod_images.iter().any(|image| is_image(image, wanted)));
        is_namespace
            && is_image
            && labels.all(|(key, wanted)| is_like(pod.pod_labels.get(key), wanted))
            && annotations.all(|(key, wanted)| is_like(pod.pod_annotations.get(key), wanted))
    }
}

/// Whether a value is there and as wanted; `*` wants any.
fn is_like(value: Option<&String>, wanted: &str) -> bool {
    value.is_some_and(|value| wanted == "*" || value == wanted)
}

fn is_image(image: &str, wanted: &str) -> bool {
    wanted.strip_suffix('*').map_or(image == wanted, |beginning| image.starts_with(beginning))
}

impl Rule {
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    /// The rule's answer to a question about `pod`, sent at `now_seconds` of the Unix epoch.
    pub(crate) fn answer(
        &self,
        pod: &wire::SchedulingPolicyRequest,
        dialect: Dialect,
        request_id: String,
        now_seconds: i64,
    ) -> wire::SchedulingPolicy {
        let answer = self.answer.clone();
        let weights = answer.plugin_weights.map(|weights| weights.encode_to_vec()).unwrap_or_default();
        let signature = answer.workload_signature.map(|signature| signature.encode_to_vec());
        let stamp = |seconds| wire::Timestamp { seconds, nanos: 0 }.encode_to_vec();
        let [field_13, field_14, field_15, field_20] = match dialect {
            Dialect::Engine => [weights, vec![], vec![], signature.unwrap_or_default()],
            Dialect::Server => [stamp(now_seconds), stamp(now_seconds + ANSWER_HOLDS_SECONDS), weights, vec![]],
        };
        wire::SchedulingPolicy {
            request_id: answer.request_id.unwrap_or(request_id),
            pod_name: answer.pod_name.unwrap_or_else(|| pod.pod_name.clone()),
            pod_namespace: answer.pod_namespace.unwrap_or_else(|| pod.pod_namespace.clone()),
            // Neither of the field's servers leaves the decision out.
            decision: match answer.decision {
                0 => wire::SchedulingDecision::Allow.into(),
                decision => decision,
            },
            node_preferences: answer.node_preferences,
            resource_requirements: answer.resource_requirements,
            storage_requirements: answer.storage_requirements,
            constraints: answer.constraints,
            priority: answer.priority,
            allow_preemption: answer.allow_preemption,
            affinity_rules: answer.affinity_rules,
            reason: answer.reason,
            plugin_weights_or_created_at: field_13,
            expires_at: field_14,
            plugin_weights_of_older_servers: field_15,
            workload_signature: field_20,
        }
    }
}

impl<'de> Deserialize<'de> for InjectedError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (word, message) = text.split_once(':').unwrap_or((&text, "injected by a rule"));
        let is_word = |code: &Code| name(*code) == word.trim().to_ascii_uppercase().replace('-', "_");
        let codes = || (1..=16).map(Code::from);
        let code = codes().find(is_word).ok_or_else(|| {
            let accepted: Vec<String> = codes().map(name).collect();
            serde::de::Error::custom(format!("unknown gRPC code {word:?}; accepted: {}", accepted.join(", ")))
        })?;
        Ok(Self { code, message: message.trim().to_owned() })
    }
}

/// A code as gRPC writes it: `DEADLINE_EXCEEDED` for `DeadlineExceeded`.
fn name(code: Code) -> String {
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}
