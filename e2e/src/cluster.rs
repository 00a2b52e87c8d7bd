//! The one control plane of a test run: started with the first test, gone with the process.
//! Leaves out what tests put into it.

use crate::api::Api;
use crate::process::{mortal, signal, start, tail};
use crate::wait::eventually;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A test's turn: with others, or alone because it changes what all share.
pub(crate) enum Turn {
    Shared(#[allow(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[allow(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

static TURN: RwLock<()> = RwLock::new(());

impl Turn {
    /// A test that failed during its turn leaves nothing locked.
    pub(crate) fn shared() -> Self {
        Self::Shared(TURN.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(crate) fn alone() -> Self {
        Self::Alone(TURN.write().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// The control plane.
pub struct Cluster {
    /// Files of this run: logs, kubeconfigs.
    pub dir: PathBuf,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The program that is etcd, API server, kubectl and kube-scheduler.
    pub program: PathBuf,
    /// The administrator's client.
    pub api: Api,
    process: u32,
}

/// The checkout's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).expect("e2e/ has a parent")
}

impl Cluster {
    /// The control plane of this run.
    pub fn get() -> &'static Self {
        Self::with_controllers("*,-node-lifecycle-controller,-taint-eviction-controller,-node-ipam-controller")
    }

    /// The control plane of this run, whose first caller says which controllers it has.
    pub fn with_controllers(controllers: &str) -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| Self::start(controllers))
    }

    fn start(controllers: &str) -> Self {
        let program = program();
        let dir = run_dir();
        let log = dir.join("controlplane.log");
        let mut command = mortal("TERM", &program);
        // The reach of a volume may change, as it does where a driver follows its volumes; PodGroups are served.
        command.arg("up").arg(dir.join("cluster")).args([
            "-kubelets",
            "-feature-gates",
            "MutablePVNodeAffinity=true,GenericWorkload=true",
            "-runtime-config",
            "scheduling.k8s.io/v1beta1=true",
            "-controllers",
            controllers,
        ]);
        log_to(&mut command, &log);
        let mut child = start(command);
        let ready = dir.join("cluster/ready");
        eventually("the control plane is ready", || still_runs(&mut child, &log, || ready.exists()));
        let kubeconfig = dir.join("cluster/kubeconfig");
        fs::create_dir(dir.join("bin")).expect("a folder for kubectl");
        std::os::unix::fs::symlink(&program, dir.join("bin/kubectl")).expect("a link named kubectl");
        let cluster = Self { api: Api::new(&kubeconfig), dir, kubeconfig, program, process: child.id() };
        cluster.install_definition();
        cluster.install_account();
        cluster
    }

    /// Makes etcd and the API server die, and waits until they are back.
    ///
    /// # Panics
    /// When they do not come back.
    pub fn kill_server(&self) {
        signal("HUP", self.process);
        for is_ready in [false, true] {
            let ready = self.dir.join("cluster/ready");
            eventually("the API server dies and comes back", || match ready.exists() == is_ready {
                true => Ok(()),
                false => Err(tail(&self.dir.join("controlplane.log"), 10)),
            });
        }
    }

    /// Installs the definition of AIStorageConfig, and waits until it is served.
    ///
    /// # Panics
    /// When it cannot be installed.
    pub fn install_definition(&self) {
        let output = self.try_install_definition();
        assert!(output.status.success(), "the definition is not installed: {}", String::from_utf8_lossy(&output.stderr));
        eventually("AIStorageConfig is served", || {
            let found = self.api.find("/apis/ai-storage.keti/v1/aistorageconfigs");
            found.map(|_| ()).ok_or_else(|| "not found".into())
        });
    }

    pub(crate) fn try_install_definition(&self) -> Output {
        let established = "kubectl wait --for=condition=Established crd/aistorageconfigs.ai-storage.keti --timeout=60s";
        self.try_shell(&format!("kubectl apply -f config/crd/aistorageconfig.yaml && {established}"), "")
    }

    /// Namespace, account and permissions of the deployment; the program itself is started by tests.
    fn install_account(&self) {
        let text = fs::read_to_string(root().join("deployments/ai-storage-scheduler.yaml")).expect("the deployment's manifest");
        let documents: Vec<&str> = text.split("\n---\n").filter(|d| !d.contains("kind: Deployment")).collect();
        self.shell_with("kubectl apply -f -", &documents.join("\n---\n"));
    }

    /// Runs a line of shell in the checkout, with `kubectl` on its PATH as the administrator's; what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn shell(&self, line: &str) -> String {
        self.shell_with(line, "")
    }

    /// [`Self::shell`] with text on standard input.
    ///
    /// # Panics
    /// When it fails.
    pub fn shell_with(&self, line: &str, input: &str) -> String {
        let output = self.try_shell(line, input);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{line}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// [`Self::shell_with`] that may fail.
    ///
    /// # Panics
    /// When there is no shell.
    #[must_use]
    pub fn try_shell(&self, line: &str, input: &str) -> Output {
        let path = format!("{}:{}", self.dir.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.args(["-o", "pipefail", "-c", line]).current_dir(root()).env("PATH", path);
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", self.dir.join("kube-cache"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash");
        let mut stdin = child.stdin.take().expect("standard input");
        // A program that does not read its input is not to blame for leaving it.
        let _unread = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("bash ends")
    }
}

/// `AISCHED_CONTROLPLANE`, or the one that the script builds.
fn program() -> PathBuf {
    let output = Command::new(root().join("scripts/lib/controlplane.sh")).stderr(Stdio::inherit()).output().expect("the script runs");
    assert!(output.status.success(), "the control plane could not be built");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// A fresh folder beside the build's output; those of earlier runs go.
fn run_dir() -> PathBuf {
    let runs = target_dir().join("e2e-runs");
    for run in fs::read_dir(&runs).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(run.file_name()).exists() {
            let _gone = fs::remove_dir_all(run.path());
        }
    }
    let dir = runs.join(std::process::id().to_string());
    fs::create_dir_all(&dir).expect("a folder for this run");
    dir
}

/// `target/debug`, wherever this test was built.
pub(crate) fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    test.parent().and_then(Path::parent).map(Path::to_path_buf).expect("tests lie in target/PROFILE/deps")
}

/// Sends both outputs of a command to a file.
pub(crate) fn log_to(command: &mut Command, log: &Path) {
    let file = File::options().create(true).append(true).open(log).expect("a log file");
    command.stdin(Stdio::null()).stdout(file.try_clone().expect("a second handle")).stderr(file);
}

/// Whether something is so while a program runs; panics with its log when it has ended.
pub(crate) fn still_runs(child: &mut Child, log: &Path, so: impl FnOnce() -> bool) -> Result<(), String> {
    if so() {
        return Ok(());
    }
    if let Ok(Some(status)) = child.try_wait() {
        panic!("it ended ({status}); {}:\n{}", log.display(), tail(log, 40));
    }
    Err(format!("not yet; {}:\n{}", log.display(), tail(log, 10)))
}
