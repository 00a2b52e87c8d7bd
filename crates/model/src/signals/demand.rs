//! What a pod that trains reads per second when it does not say so, by its accelerators and what it trains (`signals.md` §7.3).
//! Leaves out checkpoints, which come in bursts, and pods that are only guessed to train.

use crate::pod::Pod;
use alloc::format;
use alloc::string::String;

/// One row of MLPerf Storage: MB/s that one accelerator consumes.
struct Workload {
    name: &'static str,
    /// What the name of an image, or a label, contains when the pod trains this.
    words: &'static [&'static str],
    h100: i64,
    a100: i64,
}

/// Models and the frameworks that are made for one of them. The last row is that of any other: the least that was measured, so that a
/// guess takes no more than it must.
const WORKLOADS: [Workload; 3] = [
    Workload { name: "3D-UNet", words: &["unet", "monai"], h100: 3177, a100: 1614 },
    Workload { name: "CosmoFlow", words: &["cosmoflow"], h100: 808, a100: 513 },
    Workload { name: "ResNet50", words: &[], h100: 205, a100: 105 },
];
/// Node labels, as a pod selects them, that name the accelerator.
const ACCELERATOR_LABELS: &[&str] = &[
    "nvidia.com/gpu.product",
    "cloud.google.com/gke-accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
    "eks.amazonaws.com/instance-gpu-name",
];
/// Accelerators of the faster column.
const FAST: &[&str] = &["h100", "h200", "h800", "gh200", "b200", "gb200", "b300"];

/// MB/s that a pod with accelerators reads while it trains, and how that was reckoned.
///
/// Example: 8 GPUs, image `resnet`, no accelerator selected: 8 × 105 = 840.
#[must_use]
pub fn training_demand(pod: &Pod) -> Option<(i64, String)> {
    let n = Some(pod.n_gpus()).filter(|n| *n > 0)?;
    let spec = &pod.spec;
    let texts = || spec.images.iter().chain(spec.labels.iter().map(|(_, value)| value)).map(|text| text.to_ascii_lowercase());
    let trains = |workload: &&Workload| workload.words.iter().any(|word| texts().any(|text| text.contains(word)));
    let [.., other] = &WORKLOADS;
    let workload = WORKLOADS.iter().find(trains).unwrap_or(other);
    let selected = ACCELERATOR_LABELS.iter().find_map(|key| spec.node_selector.get(key)).map(|value| value.to_ascii_lowercase());
    let fast = selected.is_some_and(|name| FAST.iter().any(|fast| name.contains(fast)));
    let (accelerator, each) = if fast { ("H100", workload.h100) } else { ("A100", workload.a100) };
    Some((each.saturating_mul(n), format!("MLPerf Storage: {n} x {each} MB/s, {} on {accelerator}", workload.name)))
}
