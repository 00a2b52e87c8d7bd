//! One run of one scheduler: start it, create the pods, wait until all are bound, read its CPU time and memory, judge the outcome.
//! Leaves out repeating and comparing.

use crate::api::Api;
use crate::judge::judge;
use crate::process::{Program, cpu_time, peak_rss, quiet};
use crate::schedulers::{Contender, Programs};
use crate::workload::{BOUND, HOPELESS, NAMESPACE, PRIORITY_CLASS, Workload, bound_pod, hopeless_pod};
use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

/// Pods created at once, as in scheduler_perf.
const CREATORS: usize = 30;
/// How often it is looked whether the scheduler still lives.
const LOOK: Duration = Duration::from_secs(1);
/// Time between hopeless pods, as in scheduler_perf.
const HOPELESS_EVERY: Duration = Duration::from_millis(200);

/// What one run gave.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// Pods bound per second, from the first creation to the last bind.
    pub(crate) pods_per_second: f64,
    /// User and system time of the scheduler from the first creation until it is quiet, by pod, in milliseconds.
    pub(crate) cpu_ms_per_pod: f64,
    /// Most memory resident since its start, in MiB.
    pub(crate) peak_rss_mib: f64,
    /// Seconds until the last pod was created: how much of the time the creators alone took.
    pub(crate) created_after_seconds: f64,
    /// Seconds until the last pod was bound.
    pub(crate) bound_after_seconds: f64,
    /// Seconds from its start to its first bind: the lists, and taking them in.
    pub(crate) first_bind_seconds: f64,
    /// CPU time that it used before the first pod of the workload, in milliseconds.
    pub(crate) start_cpu_ms: f64,
}

/// Where and what to measure.
pub(crate) struct Bench {
    pub(crate) api: Api,
    pub(crate) programs: Programs,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) workload: Workload,
    pub(crate) n_nodes: usize,
    pub(crate) n_pods: usize,
    pub(crate) n_bound: usize,
    pub(crate) timeout: Duration,
}

impl Bench {
    /// One run, on nodes that are there and empty; leaves no pod behind.
    pub(crate) async fn measure(&self, scheduler: Contender, run: &str) -> Result<Sample> {
        let (program, args) = scheduler.command(&self.programs, &self.kubeconfig)?;
        let log = self.logs.join(format!("{run}-{}.log", scheduler.slug()));
        let started = Instant::now();
        let mut program = Program::start(scheduler.title(), &program, &args, log)?;
        let log = program.log().to_owned();
        let sample = self.measure_program(scheduler, &mut program, started).await;
        let sample = sample.with_context(|| format!("{} failed in {run}; its log is {}", scheduler.title(), log.display()))?;
        program.stop().await?;
        self.api.delete_all(&pods_path(), self.deadline()).await?;
        Ok(sample)
    }

    async fn measure_program(&self, scheduler: Contender, program: &mut Program, started: Instant) -> Result<Sample> {
        self.bind_first(scheduler, program).await?;
        let first_bind = started.elapsed();
        self.api.delete_all(&pods_path(), self.deadline()).await?;
        let pid = program.pid();
        quiet(pid).await?;
        let bound = self.api.appearing(&pods_path(), "spec.nodeName!=").await?;
        let cpu_before = cpu_time(pid)?;
        let start = Instant::now();
        let work = async { tokio::try_join!(self.create_pods(scheduler), self.all_bound(bound, self.n_pods, program)) };
        let (created, ()) = tokio::select! {
            done = work => done?,
            Err(error) = self.create_hopeless(scheduler), if self.workload.has_hopeless() => return Err(error),
        };
        let elapsed = start.elapsed();
        self.api.delete_all(&pods_of(HOPELESS), self.deadline()).await?;
        quiet(pid).await?;
        let cpu = cpu_time(pid)?.saturating_sub(cpu_before);
        judge(&self.api.list("/api/v1/nodes").await?, &self.api.list(&pods_path()).await?, self.n_pods)?;
        #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let (n_pods, rss) = (self.n_pods as f64, peak_rss(pid)? as f64);
        Ok(Sample {
            pods_per_second: n_pods / elapsed.as_secs_f64(),
            cpu_ms_per_pod: cpu.as_secs_f64() * 1000.0 / n_pods,
            peak_rss_mib: rss / f64::from(1 << 20),
            created_after_seconds: created.duration_since(start).as_secs_f64(),
            bound_after_seconds: elapsed.as_secs_f64(),
            first_bind_seconds: first_bind.as_secs_f64(),
            start_cpu_ms: cpu_before.as_secs_f64() * 1000.0,
        })
    }

    /// Has one pod bound, and then deletes it: the scheduler has read the cluster and works.
    async fn bind_first(&self, scheduler: Contender, program: &mut Program) -> Result<()> {
        let bound = self.api.appearing(&pods_path(), "spec.nodeName!=").await?;
        let mut first = self.workload.pod(0, scheduler.scheduler_name());
        first["metadata"]["name"] = "first".into(); // no scheduler must take a pod of the workload for this one
        self.api.create(&pods_path(), &first).await?;
        self.all_bound(bound, 1, program).await.context("the first pod was not bound")
    }

    /// Creates the pods; returns when the last one was.
    async fn create_pods(&self, scheduler: Contender) -> Result<Instant> {
        let path = &pods_path();
        let create = |i| async move { self.api.create(path, &self.workload.pod(i, scheduler.scheduler_name())).await };
        futures::stream::iter(0..self.n_pods).map(create).buffer_unordered(CREATORS).try_collect::<()>().await?;
        Ok(Instant::now())
    }

    /// Creates pods that fit nowhere, for as long as it is asked to.
    async fn create_hopeless(&self, scheduler: Contender) -> Result<Infallible> {
        let mut n = 0;
        loop {
            tokio::time::sleep(HOPELESS_EVERY).await;
            self.api.create(&pods_of(HOPELESS), &hopeless_pod(n, scheduler.scheduler_name())).await?;
            n += 1;
        }
    }

    /// Waits until `n_pods` have appeared as bound; fails when the scheduler dies or time is up.
    async fn all_bound(&self, mut bound: UnboundedReceiver<Result<String>>, n_pods: usize, program: &mut Program) -> Result<()> {
        let deadline = self.deadline();
        let mut n_bound = 0;
        while n_bound < n_pods {
            match tokio::time::timeout(LOOK, bound.recv()).await {
                Ok(Some(name)) => {
                    name?;
                    n_bound += 1;
                }
                Ok(None) => bail!("the watch of bound pods ended by itself"),
                Err(_) => program.check_alive()?,
            }
            if Instant::now() >= deadline {
                bail!("{n_bound} of {n_pods} pods were bound within {} s", self.timeout.as_secs());
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Creates the namespaces, the nodes, what the workload's pods need beside them, and the pods that are bound from the start.
    pub(crate) async fn prepare(&self) -> Result<()> {
        for namespace in [NAMESPACE, BOUND, HOPELESS, crate::schedulers::CONFIG_NAMESPACE] {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            self.api.create("/api/v1/namespaces", &object).await?;
        }
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": PRIORITY_CLASS}, "value": 10,
        });
        self.api.create("/apis/scheduling.k8s.io/v1/priorityclasses", &class).await?;
        self.create_all((0..self.n_nodes).map(|i| ("/api/v1/nodes".into(), self.workload.node(i)))).await?;
        self.create_all((0..self.n_nodes).filter_map(|i| self.workload.for_node(i)).map(|(path, object)| (path.into(), object))).await?;
        self.create_all((0..self.n_pods).flat_map(|i| self.workload.for_pod(i))).await?;
        for namespace in [NAMESPACE, BOUND, HOPELESS] {
            // Before its namespace has this account, the API server refuses pods.
            self.api.wait_for(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/default"), self.deadline()).await?;
        }
        self.create_all((0..self.n_bound).map(|i| (pods_of(BOUND), bound_pod(i, self.n_nodes)))).await
    }

    async fn create_all(&self, objects: impl Iterator<Item = (String, Value)>) -> Result<()> {
        let create = |(path, object): (String, Value)| async move { self.api.create(&path, &object).await };
        futures::stream::iter(objects).map(create).buffer_unordered(CREATORS).try_collect().await
    }

    /// Installs the custom resource of our scheduler, and the configuration that switches its AI plugins off.
    pub(crate) async fn install_config(&self, crd: &Path) -> Result<()> {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        let mut apply = tokio::process::Command::new(&self.programs.controlplane);
        apply.args(["kubectl", &kubeconfig, "apply", "-f"]).arg(crd).kill_on_drop(true);
        let output = apply.output().await.context("cannot start kubectl")?;
        if !output.status.success() {
            bail!("kubectl apply -f {}: {}", crd.display(), String::from_utf8_lossy(&output.stderr).trim());
        }
        let deadline = self.deadline();
        let path = format!("/apis/ai-storage.keti/v1/namespaces/{}/aistorageconfigs", crate::schedulers::CONFIG_NAMESPACE);
        // The resource is served a moment after its definition was taken.
        while let Err(error) = self.api.create(&path, &crate::schedulers::config_without_ai()).await {
            if Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }
}

fn pods_path() -> String {
    pods_of(NAMESPACE)
}

fn pods_of(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}
