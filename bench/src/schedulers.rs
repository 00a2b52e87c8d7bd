//! The programs that are compared: how each is started, and which pods are its own.
//! Leaves out what is measured of them.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Where the configuration without AI plugins lies, and its name.
pub(crate) const CONFIG_NAMESPACE: &str = "keti";
const WITHOUT_AI: &str = "bench-without-ai";

/// A scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    /// The real one, with its default configuration, but clients without rate limit and no leader election
    KubeScheduler,
    /// Ours, `run` with nothing but a kubeconfig: kube-scheduler's default plugins and the AI storage plugins
    Ours,
    /// Ours with every AI storage plugin switched off in its AIStorageConfig: kube-scheduler's default plugins alone
    OursPlain,
    /// Binds round robin without looking: the most that the API server allows
    NullBinder,
}

/// The programs on this machine.
pub(crate) struct Programs {
    /// The Go control plane, which is kube-scheduler too.
    pub(crate) controlplane: PathBuf,
    /// Ours.
    pub(crate) scheduler: PathBuf,
}

impl Contender {
    /// Name in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::KubeScheduler => "kube-scheduler",
            Self::Ours => "ai-storage-scheduler",
            Self::OursPlain => "ai-storage-scheduler, AI plugins off",
            Self::NullBinder => "null binder",
        }
    }

    /// Name in file names.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::KubeScheduler => "kube-scheduler",
            Self::Ours => "ours",
            Self::OursPlain => "ours-plain",
            Self::NullBinder => "null-binder",
        }
    }

    /// `schedulerName` of its pods.
    pub(crate) fn scheduler_name(self) -> &'static str {
        match self {
            Self::KubeScheduler => "default-scheduler",
            Self::Ours | Self::OursPlain => "ai-storage-scheduler",
            Self::NullBinder => crate::null_binder::SCHEDULER_NAME,
        }
    }

    /// The program and its arguments.
    pub(crate) fn command(self, programs: &Programs, kubeconfig: &Path) -> Result<(PathBuf, Vec<String>)> {
        let kubeconfig = kubeconfig.to_str().context("the kubeconfig's path is no UTF-8")?;
        let (program, args): (_, Vec<&str>) = match self {
            Self::KubeScheduler => {
                let flags = ["--kube-api-qps=5000", "--kube-api-burst=5000", "--leader-elect=false", "--secure-port=0"];
                (programs.controlplane.clone(), ["kube-scheduler"].into_iter().chain(flags).collect())
            }
            // No policy service runs here; asking for one would delay the first pods by its deadline.
            Self::Ours => (programs.scheduler.clone(), vec!["run", "--leader-elect=false", "--secure-port=0", "--apollo-endpoint="]),
            Self::OursPlain => (
                programs.scheduler.clone(),
                vec!["run", "--leader-elect=false", "--secure-port=0", "--apollo-endpoint=", "--config-name", WITHOUT_AI],
            ),
            Self::NullBinder => (std::env::current_exe().context("cannot find the bench's own program")?, vec!["null-binder"]),
        };
        let args = args.into_iter().map(String::from).chain([format!("--kubeconfig={kubeconfig}")]).collect();
        Ok((program, args))
    }
}

/// The AIStorageConfig of [`Contender::OursPlain`].
pub(crate) fn config_without_ai() -> Value {
    let plugins = ["dataLocalityAware", "storageTierAware", "ioPatternBased", "kueueAware", "pipelineStageAware", "csiStorageAware"];
    let off: serde_json::Map<String, Value> = plugins.into_iter().map(|name| (name.into(), json!({"enabled": false}))).collect();
    json!({
        "apiVersion": "ai-storage.keti/v1", "kind": "AIStorageConfig",
        "metadata": {"name": WITHOUT_AI, "namespace": CONFIG_NAMESPACE},
        "spec": {"plugins": off},
    })
}
