//! The programs under test as processes: the scheduler with a test's own name, kube-scheduler, the policy server; watched through their logs.
//! Leaves out what they decide.

use crate::cluster::{Cluster, log_to, root, still_runs, target_dir};
use crate::process::{free_port, mortal, signal, start, tail};
use crate::wait::eventually;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;

/// How to start it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose pods it schedules.
    pub name: String,
    /// With whose credentials.
    pub kubeconfig: PathBuf,
    /// Namespace of its configuration.
    pub config_namespace: String,
    /// Where it asks for policies; empty for nowhere.
    pub apollo_endpoint: String,
    /// A KubeSchedulerConfiguration, whose profiles stand in for the name.
    pub config: Option<PathBuf>,
    /// Further flags.
    pub flags: Vec<String>,
}

/// A running program; killed when dropped.
pub struct Program {
    child: Child,
    /// What it prints; that of earlier ones with the same file included.
    pub log: PathBuf,
    /// The scheduler's HTTPS port; the policy server's.
    pub port: u16,
}

/// `AISCHED_BIN`, or the debug build, brought up to date first.
///
/// # Panics
/// When it does not build.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("AISCHED_BIN") {
            return root().join(path);
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo).args(["build", "--quiet", "--package", "ai-storage-scheduler"]).current_dir(root()).status();
        assert!(status.is_ok_and(|s| s.success()), "the scheduler does not build");
        target_dir().join("ai-storage-scheduler")
    })
}

impl Program {
    /// Starts the scheduler without waiting for anything.
    #[must_use]
    pub fn scheduler(options: &Options, log: &Path) -> Self {
        let mut command = mortal("KILL", binary());
        command.arg("run").arg("--kubeconfig").arg(&options.kubeconfig);
        command.args(["--config-namespace", &options.config_namespace]);
        match &options.config {
            Some(config) => command.arg("--config").arg(config),
            None => command.args(["--scheduler-name", &options.name]),
        };
        let port = free_port();
        command.args(["--bind-address", "127.0.0.1", "--secure-port", &port.to_string()]);
        command.args(["--apollo-endpoint", &options.apollo_endpoint]).args(&options.flags);
        log_to(&mut command, log);
        Self { child: start(command), log: log.into(), port }
    }

    /// Starts kube-scheduler under a name of its own; `lease` is namespace and name of the one that it stands in for.
    ///
    /// # Panics
    /// When its configuration cannot be written.
    #[must_use]
    pub fn kube_scheduler(cluster: &Cluster, name: &str, lease: Option<(&str, &str)>, log: &Path) -> Self {
        let config = log.with_extension("yaml");
        let election = match lease {
            Some((namespace, name)) => format!("{{resourceNamespace: {namespace}, resourceName: {name}}}"),
            None => "{leaderElect: false}".into(),
        };
        let text = format!(
            "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles: [{{schedulerName: {name}}}]\n\
            clientConnection: {{kubeconfig: {}, qps: 5000, burst: 5000}}\nleaderElection: {election}\n",
            cluster.kubeconfig.display()
        );
        std::fs::write(&config, text).expect("a configuration file");
        let mut command = mortal("KILL", &cluster.program);
        command.arg("kube-scheduler").arg("--config").arg(&config).arg("--secure-port=0");
        log_to(&mut command, log);
        Self { child: start(command), log: log.into(), port: 0 }
    }

    /// Starts the policy server with a file of rules, and waits until it serves.
    #[must_use]
    pub fn policy_server(rules: &Path, port: u16, log: &Path) -> Self {
        let mut command = mortal("KILL", binary());
        command.arg("policy-server").arg("--rules").arg(rules).arg("--listen").arg(format!("127.0.0.1:{port}"));
        log_to(&mut command, log);
        let mut server = Self { child: start(command), log: log.into(), port };
        server.wait_for_line("serving");
        server
    }

    /// Everything that it has logged.
    #[must_use]
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for a line with a text in it; the line.
    ///
    /// # Panics
    /// When it ends before.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let log = self.log.clone();
        eventually(&format!("a log line with {text:?}"), || {
            let found = self.logged().lines().find(|l| l.contains(text)).map(ToOwned::to_owned);
            still_runs(&mut self.child, &log, || found.is_some())?;
            Ok(found.unwrap_or_default())
        })
    }

    /// Waits until so many lines have a text in them.
    ///
    /// # Panics
    /// When it ends before.
    pub fn wait_for_lines(&mut self, text: &str, n_lines: usize) {
        let log = self.log.clone();
        eventually(&format!("{n_lines} log lines with {text:?}"), || {
            let n_found = self.logged().lines().filter(|l| l.contains(text)).count();
            still_runs(&mut self.child, &log, || n_found >= n_lines)
        });
    }

    /// Waits until the scheduler schedules.
    pub fn wait_until_ready(&mut self) {
        self.wait_for_line("scheduling begins");
    }

    /// The totals of the nodes that a pod could have gone to, from its latest `[ScoreMap]` line; in thousandths.
    pub fn score_map(&mut self, pod: &str) -> BTreeMap<String, i64> {
        let tag = format!("[ScoreMap] pod={pod} ");
        self.wait_for_line(&tag);
        let logged = self.logged();
        let line = logged.lines().rfind(|l| l.contains(&tag)).unwrap_or_default();
        let map = line.split_once("score_map=\"[").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(map, _)| map);
        map.split(", ").filter_map(|entry| entry.split_once(": ")).map(|(node, total)| (node.into(), thousandths(total))).collect()
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it runs");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// Kills it, as a machine that fails would.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(mut self) -> ExitStatus {
        signal("TERM", self.child.id());
        self.wait_for_end()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let log = self.log.clone();
        eventually("it ends", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(format!("it runs; {}:\n{}", log.display(), tail(&log, 10))),
            Err(error) => Err(error.to_string()),
        })
    }

    fn end(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// `812.5` is 812500.
fn thousandths(total: &str) -> i64 {
    let (whole, fraction) = total.split_once('.').unwrap_or((total, ""));
    format!("{whole}{fraction:0<3}").parse().unwrap_or_else(|_| panic!("{total:?} is no total"))
}
