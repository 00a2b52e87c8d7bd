//! Clients of the API server: which server, with whose credentials, and how long a call may take.
//! Leaves out what is asked of it.

use crate::problem::root_cause;
use crate::traffic::{Pace, Told, Traffic};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use secrecy::ExposeSecret;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// An answer that takes longer will not come: watches aside, every call is answered within seconds.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A watch that hears nothing for longer is cut off: API servers send a bookmark every minute.
const WATCH_READ_TIMEOUT: Duration = Duration::from_secs(90);

/// Where the API server is.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--master`: the server's address instead of the kubeconfig's.
    pub master: Option<String>,
    /// How fast each client may ask; as fast as it likes without.
    pub pace: Option<Pace>,
}

/// One client per kind of use.
#[derive(Clone)]
pub struct Clients {
    /// For lists and watches: an answer may take for ever.
    pub watch: Client,
    /// For events, conditions and everything else that may be repeated.
    pub calls: Client,
    /// For binds: nothing is repeated behind the caller's back.
    pub binds: Client,
    /// The server, for messages.
    pub server: String,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig cannot be used.
    #[error("kubeconfig {file}: {problem}")]
    Kubeconfig {
        /// File, or how it was found.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no kubeconfig, and this is no pod.
    #[error("no cluster: name a kubeconfig with --kubeconfig or KUBECONFIG, or run in a pod with a service account ({0})")]
    NoCluster(String),
    /// The address cannot be used.
    #[error("--master {0}: not the address of a server, which looks like https://10.0.0.1:6443")]
    Master(String),
    /// The client cannot be made of it.
    #[error("the client for {server} cannot be made: {problem}")]
    Client {
        /// Server.
        server: String,
        /// What is wrong.
        problem: String,
    },
}

/// Makes the clients: `--kubeconfig`, then `KUBECONFIG`, then the service account of the pod, then `~/.kube/config`.
///
/// Each request is told to `told`.
///
/// # Errors
/// [`ClientError`], when a configuration cannot be used. Whether the server answers is not asked.
pub async fn connect(options: &ClientOptions, told: Told) -> Result<Clients, ClientError> {
    let mut config = find(options).await?;
    if let Some(master) = options.master.as_deref().filter(|m| !m.is_empty()) {
        config.cluster_url = address(master).parse().map_err(|_| ClientError::Master(master.into()))?;
    }
    clients(config, options.pace, &told)
}

/// The bearer token of the configuration that [`connect`] would use, for whoever asks another server in the same user's name;
/// `None` when the user has another kind of credential.
///
/// # Errors
/// [`ClientError`], when a configuration cannot be used or its token's file not be read.
pub async fn bearer_token(kubeconfig: Option<&Path>) -> Result<Option<String>, ClientError> {
    let options = ClientOptions { kubeconfig: kubeconfig.map(Path::to_path_buf), ..ClientOptions::default() };
    let auth = find(&options).await?.auth_info;
    match (&auth.token, &auth.token_file) {
        (Some(token), _) => Ok(Some(token.expose_secret().to_owned())),
        (None, Some(file)) => match tokio::fs::read_to_string(file).await {
            Ok(token) => Ok(Some(token.trim().to_owned())),
            Err(error) => Err(ClientError::Kubeconfig { file: file.clone(), problem: format!("the token cannot be read: {error}") }),
        },
        (None, None) => Ok(None),
    }
}

/// Makes the clients of one configuration.
fn clients(mut config: Config, pace: Option<Pace>, told: &Told) -> Result<Clients, ClientError> {
    let server = config.cluster_url.to_string();
    let host: Arc<str> = config.cluster_url.authority().map_or("", |authority| authority.as_str()).into();
    // kube's own retries would repeat a bind whose first answer was lost, and hide trouble for minutes.
    config.default_retry = false;
    let client = |config: Config| match ClientBuilder::try_from(config) {
        Ok(builder) => Ok(builder.with_layer(&Traffic::new(host.clone(), pace, told.clone())).build()),
        Err(e) => Err(ClientError::Client { server: server.clone(), problem: root_cause(&e) }),
    };
    config.reset_reader_on_write = true;
    config.read_timeout = Some(WATCH_READ_TIMEOUT);
    let watch = client(config.clone())?;
    config.read_timeout = Some(READ_TIMEOUT);
    let calls = client(config.clone())?;
    let binds = client(config)?;
    Ok(Clients { watch, calls, binds, server })
}

async fn find(options: &ClientOptions) -> Result<Config, ClientError> {
    if let Some(path) = &options.kubeconfig {
        let shown = path.display().to_string();
        return from_kubeconfig(Kubeconfig::read_from(path), &shown).await;
    }
    if let Some(found) = Kubeconfig::from_env().transpose() {
        let shown = format!("{} (from KUBECONFIG)", std::env::var("KUBECONFIG").unwrap_or_default());
        return from_kubeconfig(found, &shown).await;
    }
    match (Config::incluster(), std::env::home_dir().map(|home| home.join(".kube/config"))) {
        (Ok(config), _) => Ok(config),
        (Err(_), Some(path)) if path.exists() => from_kubeconfig(Kubeconfig::read_from(&path), &path.display().to_string()).await,
        // With --master alone, the server is asked without credentials, as kube-scheduler does.
        (Err(error), _) => match options.master.as_deref() {
            Some(master) => Ok(Config::new(address(master).parse().map_err(|_| ClientError::Master(master.into()))?)),
            None => Err(ClientError::NoCluster(root_cause(&error))),
        },
    }
}

fn address(master: &str) -> String {
    if master.contains("://") { master.into() } else { format!("https://{master}") }
}

async fn from_kubeconfig(read: Result<Kubeconfig, KubeconfigError>, file: &str) -> Result<Config, ClientError> {
    let broken = |error: KubeconfigError| ClientError::Kubeconfig { file: file.into(), problem: problem(&error, file) };
    let kubeconfig = read.map_err(broken)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(broken)
}

/// The problem in words, without the lines of the file around it: those may hold secrets.
fn problem(error: &KubeconfigError, file: &str) -> String {
    match error {
        KubeconfigError::ReadConfig(error, path) if Path::new(file) == path.as_path() => format!("cannot be read: {error}"),
        KubeconfigError::ReadConfig(error, path) => format!("{} cannot be read: {error}", path.display()),
        KubeconfigError::Parse(error) => format!("is no kubeconfig: {}", error.without_snippet()),
        KubeconfigError::CurrentContextNotSet => "names no current-context; set one with `kubectl config use-context`".into(),
        KubeconfigError::LoadContext(name) => format!("current-context names the context {name:?}, which is not in it"),
        KubeconfigError::LoadClusterOfContext(name) => format!("the context names the cluster {name:?}, which is not in it"),
        KubeconfigError::MissingClusterUrl => "the cluster has no server".into(),
        KubeconfigError::ParseClusterUrl(error) => format!("the cluster's server is no address: {error}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
        clusters: [{name: k, cluster: {server: 'http://10.0.0.1:8080'}}]\nusers: [{name: u, user: {token: secret-token}}]\n";

    async fn connect_with(name: &str, text: Option<&str>, master: Option<&str>) -> Result<String, String> {
        let file = std::env::temp_dir().join(format!("aisched-{}-{name}", std::process::id()));
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let options = ClientOptions { kubeconfig: Some(file.clone()), master: master.map(Into::into), pace: None };
        let result = connect(&options, Arc::new(|_| ())).await.map(|c| c.server).map_err(|e| e.to_string());
        let _gone = std::fs::remove_file(&file);
        result.map_err(|e| e.replace(&file.display().to_string(), "FILE"))
    }

    #[tokio::test]
    async fn server_comes_from_the_kubeconfig_unless_the_master_is_named() {
        assert_eq!(connect_with("good", Some(GOOD), None).await, Ok("http://10.0.0.1:8080/".into()));
        assert_eq!(connect_with("master", Some(GOOD), Some("http://10.0.0.2:1")).await, Ok("http://10.0.0.2:1/".into()));
        assert!(connect_with("bad-master", Some(GOOD), Some("http://a b")).await.unwrap_err().starts_with("--master http://a b"));
    }

    #[tokio::test]
    async fn token_is_the_users_own_or_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let (file, secret) = (directory.path().join("kubeconfig"), directory.path().join("token"));
        std::fs::write(&secret, "from-file\n").unwrap();
        let user = |text: &str| GOOD.replace("token: secret-token", text);
        let from_file = format!("tokenFile: {}", secret.display());
        for (text, expected) in [
            (GOOD.to_owned(), Some("secret-token")),
            (user(&from_file), Some("from-file")),
            (user(&format!("token: own, {from_file}")), Some("own")),
            (user("username: u"), None),
        ] {
            std::fs::write(&file, &text).unwrap();
            assert_eq!(bearer_token(Some(&file)).await.unwrap().as_deref(), expected, "{text}");
        }
        std::fs::remove_file(&secret).unwrap();
        std::fs::write(&file, user(&from_file)).unwrap();
        assert!(bearer_token(Some(&file)).await.unwrap_err().to_string().contains("the token cannot be read: No such file"));
    }

    #[tokio::test]
    async fn broken_kubeconfig_names_file_and_problem_and_no_secret() {
        for (name, text, expected) in [
            ("absent", None, "kubeconfig FILE: cannot be read: No such file"),
            ("text", Some("token: secret-token\n - : ["), "kubeconfig FILE: is no kubeconfig: "),
            ("type", Some("clusters: secret-token\n"), "kubeconfig FILE: is no kubeconfig: "),
            ("empty", Some("{}"), "kubeconfig FILE: names no current-context"),
            (
                "context",
                Some(&*GOOD.replace("current-context: c", "current-context: d")),
                "current-context names the context \"d\", which is not in it",
            ),
            ("cluster", Some(&*GOOD.replace("cluster: k,", "cluster: l,")), "the context names the cluster \"l\", which is not in it"),
            ("server", Some(&*GOOD.replace("http://10", "http://1 0")), "the cluster's server is no address"),
        ] {
            let error = connect_with(name, text, None).await.unwrap_err();
            assert!(error.contains(expected), "{name}: {error}");
            assert!(!error.contains("secret"), "{name}: {error}");
        }
    }
}
