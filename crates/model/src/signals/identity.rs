//! What a pod is, by the labels and annotations of the system that made it (`signals.md` §5).
//! Leaves out what the pod says itself, and what its owners say: labels on the pod are all that is read.

use crate::Str;
use crate::pod::Pod;
use crate::storage_facts::names;
use crate::workload::{IoPattern, Stage};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What is taken of a pod that does not say so itself, each with what says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Pipeline stage.
    pub stage: Option<(Stage, String)>,
    /// Whether nothing but the wish for a GPU tells the stage.
    pub is_guess: bool,
    /// I/O pattern.
    pub io_pattern: Option<(IoPattern, String)>,
    /// Datasets and models; never an empty list.
    pub datasets: Option<(Vec<Str>, String)>,
}

/// Labels whose presence alone tells the stage.
const BY_LABEL: &[(&str, Stage)] = &[
    ("serving.kserve.io/inferenceservice", Stage::Inference),
    ("leaderworkerset.sigs.k8s.io/name", Stage::Inference),
    ("training.kubeflow.org/job-name", Stage::Training),
];
/// Labels whose value tells the stage; `None`: a part that steers and moves no data.
const BY_VALUE: &[(&str, &str, Option<Stage>)] = &[
    ("jobset.sigs.k8s.io/replicatedjob-name", "dataset-initializer", Some(Stage::DataLoading)),
    ("jobset.sigs.k8s.io/replicatedjob-name", "model-initializer", Some(Stage::DataLoading)),
    ("jobset.sigs.k8s.io/replicatedjob-name", "node", Some(Stage::Training)),
    ("jobset.sigs.k8s.io/replicatedjob-name", "launcher", None),
    ("spark-role", "executor", Some(Stage::Preprocessing)),
    ("spark-role", "driver", None),
    ("ray.io/node-type", "head", None),
    ("ray.io/originated-from-crd", "RayService", Some(Stage::Inference)),
    ("training.kubeflow.org/replica-type", "launcher", None),
];
/// Words in the name of a pipeline's step; the first that is found tells. `predict` comes before the `pre` in it.
const BY_STEP: &[(Stage, &[&str])] = &[
    (Stage::Inference, &["serve", "infer", "predict", "deploy"]),
    (Stage::DataLoading, &["load", "ingest", "download", "init"]),
    (Stage::Preprocessing, &["pre", "etl", "transform", "feature", "augment", "tokeni"]),
    (Stage::Training, &["train", "fit", "finetune", "tune"]),
    (Stage::Evaluation, &["eval", "test", "valid"]),
];
/// Annotation of Argo with the path of a step.
const ARGO_NODE_NAME: &str = "workflows.argoproj.io/node-name";
/// Label of Tekton with the name of a step.
const TEKTON_TASK: &str = "tekton.dev/pipelineTask";
/// Annotation of Kubeflow Pipelines; its drivers move no data.
const KFP_ROLE: &str = "pipelines.kubeflow.org/runtime-role";
/// Annotation of KServe with the model's URI.
const KSERVE_MODEL: &str = "internal.serving.kserve.io/storage-initializer-sourceuri";
/// Annotation of Fluid's webhook with the datasets that a pod uses.
const FLUID_DATASETS: &str = "fluid.io/datasets-in-use";

/// What the pod is taken to be. `kserve` and `fluid` say whether those systems are believed about its datasets, `by_maker` whether its
/// stage is taken from the system that made it.
#[must_use]
pub fn identity(pod: &Pod, by_maker: bool, kserve: bool, fluid: bool) -> Identity {
    let annotation = |key: &'static str, on: bool| pod.spec.annotations.get(key).filter(|_| on).map(|value| (key, value));
    let model =
        annotation(KSERVE_MODEL, kserve).filter(|(_, uri)| !uri.trim().is_empty()).map(|(key, uri)| (key, alloc::vec![uri.clone()]));
    let used = annotation(FLUID_DATASETS, fluid).map(|(key, list)| (key, names(list))).filter(|(_, names)| !names.is_empty());
    let (keys, datasets): (Vec<&str>, Vec<Vec<Str>>) = model.into_iter().chain(used).unzip();
    let executor = by_maker && pod.spec.labels.has("spark-role", "executor");
    let by_system = if by_maker { stage(pod) } else { Told::Nothing };
    let (stage, is_guess) = match by_system {
        Told::Stage(stage, source) => (Some((stage, source)), false),
        Told::Nothing if by_maker && pod.wants_gpu() => (Some((Stage::Training, "the request for a GPU".into())), true),
        Told::Nothing | Told::NoData => (None, false),
    };
    Identity {
        stage,
        is_guess,
        // Scans and shuffles.
        io_pattern: executor.then(|| (IoPattern::Sequential, "label spark-role".into())),
        datasets: (!keys.is_empty()).then(|| (datasets.concat(), format!("annotation {}", keys.join(", ")))),
    }
}

/// What the system that made a pod tells of its stage.
enum Told {
    Stage(Stage, String),
    /// A part that steers and moves no data.
    NoData,
    Nothing,
}

fn stage(pod: &Pod) -> Told {
    let labels = &pod.spec.labels;
    if let Some((key, _, stage)) = BY_VALUE.iter().find(|(key, value, _)| labels.get(key).is_some_and(|v| v.eq_ignore_ascii_case(value))) {
        return stage.map_or(Told::NoData, |stage| Told::Stage(stage, format!("label {key}")));
    }
    if let Some((key, stage)) = BY_LABEL.iter().find(|(key, _)| labels.contains_key(key)) {
        return Told::Stage(*stage, format!("label {key}"));
    }
    if pod.spec.annotations.has(KFP_ROLE, "driver") {
        return Told::NoData;
    }
    let path = pod.spec.annotations.get(ARGO_NODE_NAME).map(|path| (last_step(path), format!("annotation {ARGO_NODE_NAME}")));
    let step = path.or_else(|| Some((labels.get(TEKTON_TASK)?.to_ascii_lowercase(), format!("label {TEKTON_TASK}"))));
    step.and_then(|(step, source)| Some(Told::Stage(stage_of_step(&step)?, source))).unwrap_or(Told::Nothing)
}

/// The name at the end of a step's path, without retries and loop items: `train` of `flow.Train(0)`.
fn last_step(path: &str) -> String {
    let whole = path.split('(').next().unwrap_or(path);
    whole.rsplit('.').next().unwrap_or(whole).to_ascii_lowercase()
}

fn stage_of_step(step: &str) -> Option<Stage> {
    BY_STEP.iter().find(|(_, words)| words.iter().any(|word| step.contains(word))).map(|(stage, _)| *stage)
}
