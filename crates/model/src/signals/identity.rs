//! What a pod is, by the labels and annotations of the system that made it (`signals.md` §5).
//! Leaves out what the pod says itself, and what its owners say: labels on the pod are all that is read.

use crate::Str;
use crate::pod::Pod;
use crate::storage_facts::names;
use crate::workload::{IoPattern, Stage};
use alloc::string::String;
use alloc::vec::Vec;

/// What is taken of a pod that does not say so itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Pipeline stage.
    pub stage: Option<Stage>,
    /// I/O pattern.
    pub io_pattern: Option<IoPattern>,
    /// Datasets and models.
    pub datasets: Vec<Str>,
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
    let annotation = |key: &str, on: bool| pod.spec.annotations.get(key).filter(|_| on);
    let model = annotation(KSERVE_MODEL, kserve).into_iter().cloned();
    let datasets = annotation(FLUID_DATASETS, fluid).map(|list| names(list)).unwrap_or_default();
    let executor = by_maker && pod.spec.labels.has("spark-role", "executor");
    Identity {
        stage: if by_maker { stage(pod) } else { None },
        // Scans and shuffles.
        io_pattern: executor.then_some(IoPattern::Sequential),
        datasets: model.filter(|uri| !uri.trim().is_empty()).chain(datasets).collect(),
    }
}

fn stage(pod: &Pod) -> Option<Stage> {
    let labels = &pod.spec.labels;
    if let Some((_, _, stage)) = BY_VALUE.iter().find(|(key, value, _)| labels.get(key).is_some_and(|v| v.eq_ignore_ascii_case(value))) {
        return *stage;
    }
    if let Some((_, stage)) = BY_LABEL.iter().find(|(key, _)| labels.contains_key(key)) {
        return Some(*stage);
    }
    if pod.spec.annotations.has(KFP_ROLE, "driver") {
        return None;
    }
    let path = pod.spec.annotations.get(ARGO_NODE_NAME).map(|path| last_step(path));
    let step = path.or_else(|| labels.get(TEKTON_TASK).map(|task| task.to_ascii_lowercase()));
    step.and_then(|step| stage_of_step(&step)).or_else(|| pod.wants_gpu().then_some(Stage::Training))
}

/// The name at the end of a step's path, without retries and loop items: `train` of `flow.Train(0)`.
fn last_step(path: &str) -> String {
    let whole = path.split('(').next().unwrap_or(path);
    whole.rsplit('.').next().unwrap_or(whole).to_ascii_lowercase()
}

fn stage_of_step(step: &str) -> Option<Stage> {
    BY_STEP.iter().find(|(_, words)| words.iter().any(|word| step.contains(word))).map(|(stage, _)| *stage)
}
