//! The flags of `run`, with kube-scheduler's names and meanings where it has them.
//! Flags of kube-scheduler that have no meaning here are taken off the command line with a warning, so that a manifest can be
//! switched over by changing the image.

mod election;

use crate::logging::LogFormat;
use election::ElectionArgs;
use std::net::IpAddr;
use std::path::PathBuf;

/// Flags of `run`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// KubeSchedulerConfiguration file; without it, one profile named by --scheduler-name runs all default and AI storage plugins
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// kubeconfig file; without it KUBECONFIG, then the in-cluster account
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Address of the API server; wins over the kubeconfig's
    #[arg(long, value_name = "URL")]
    pub(crate) master: Option<String>,
    /// Requests per second to the API server; without it, or below 0, there is no limit. Wins over clientConnection of --config
    #[arg(long, value_name = "QPS", allow_negative_numbers = true)]
    pub(crate) kube_api_qps: Option<f64>,
    /// Requests that may go to the API server at once, with --kube-api-qps [default: 100]
    #[arg(long, value_name = "N")]
    pub(crate) kube_api_burst: Option<u32>,
    /// Port for HTTPS (health, metrics, API); 0 turns it off
    #[arg(long, default_value_t = 10259, value_name = "PORT")]
    pub(crate) secure_port: u16,
    /// Address to listen on
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub(crate) bind_address: IpAddr,
    /// Certificate to serve with; without it one is made at the start
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub(crate) tls_cert_file: Option<PathBuf>,
    /// Key of --tls-cert-file
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub(crate) tls_private_key_file: Option<PathBuf>,
    /// Folder in which a certificate made at the start is kept
    #[arg(long, value_name = "DIR", conflicts_with = "tls_cert_file")]
    pub(crate) cert_dir: Option<PathBuf>,
    /// Pods whose spec.schedulerName is this are scheduled
    #[arg(long, default_value = "ai-storage-scheduler", value_name = "NAME", conflicts_with = "config")]
    pub(crate) scheduler_name: String,
    /// Endpoint of the APOLLO service (host:port or https://host:port); wins over AIStorageConfig; empty turns it off
    #[arg(long, env = "APOLLO_ENDPOINT", value_name = "ENDPOINT")]
    pub(crate) apollo_endpoint: Option<String>,
    /// Namespace of the AIStorageConfig to follow
    #[arg(long, env = "AISC_NAMESPACE", default_value = "keti", value_name = "NAMESPACE")]
    pub(crate) config_namespace: String,
    /// Name of the AIStorageConfig to follow
    #[arg(long, env = "AISC_NAME", default_value = "default", value_name = "NAME")]
    pub(crate) config_name: String,
    /// How log lines look
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    /// Verbosity, 0 to 10; 4 logs what is for developers
    #[arg(long, short, default_value_t = 2, value_name = "LEVEL")]
    pub(crate) v: u8,
    /// Switches of Kubernetes features, as Name=true,Name=false: every gate of kube-scheduler 1.37 is known, those that change nothing here are named at the start
    #[arg(long, value_name = "GATES", value_delimiter = ',')]
    pub(crate) feature_gates: Vec<String>,
    #[command(flatten)]
    pub(crate) election: ElectionArgs,
}

impl RunArgs {
    /// The AIStorageConfig to follow: namespace/name.
    pub(crate) fn config_object(&self) -> String {
        format!("{}/{}", self.config_namespace, self.config_name)
    }
}

/// A flag of kube-scheduler that is accepted and does nothing.
struct Unneeded {
    name: &'static str,
    /// Whether `--name value` takes a value of its own; booleans take one only as `--name=value`.
    takes_value: bool,
    why: &'static str,
}

const fn valued(name: &'static str, why: &'static str) -> Unneeded {
    Unneeded { name, takes_value: true, why }
}

const fn switch(name: &'static str, why: &'static str) -> Unneeded {
    Unneeded { name, takes_value: false, why }
}

const OWN_AUTH: &str = "the kubeconfig of --kubeconfig is used for authentication and authorisation";
const OWN_TLS: &str = "TLS 1.2 and 1.3 are served with safe suites only";
const OWN_LOGS: &str = "see --log-format and --v";
const NO_PROFILER: &str = "there is no profiler to serve";

/// kube-scheduler's flags that need nothing done here.
const UNNEEDED: &[Unneeded] = &[
    valued("kube-api-content-type", "JSON is spoken"),
    valued("authentication-kubeconfig", OWN_AUTH),
    switch("authentication-skip-lookup", OWN_AUTH),
    valued("authentication-token-webhook-cache-ttl", OWN_AUTH),
    switch("authentication-tolerate-lookup-failure", OWN_AUTH),
    valued("authorization-always-allow-paths", OWN_AUTH),
    valued("authorization-kubeconfig", OWN_AUTH),
    valued("authorization-webhook-cache-authorized-ttl", OWN_AUTH),
    valued("authorization-webhook-cache-unauthorized-ttl", OWN_AUTH),
    valued("client-ca-file", OWN_AUTH),
    valued("requestheader-allowed-names", OWN_AUTH),
    valued("requestheader-client-ca-file", OWN_AUTH),
    valued("requestheader-extra-headers-prefix", OWN_AUTH),
    valued("requestheader-group-headers", OWN_AUTH),
    valued("requestheader-uid-headers", OWN_AUTH),
    valued("requestheader-username-headers", OWN_AUTH),
    switch("disable-http2-serving", "HTTP/2 is served"),
    valued("http2-max-streams-per-connection", "HTTP/2 streams are bounded already"),
    switch("permit-address-sharing", "the port is not shared"),
    switch("permit-port-sharing", "the port is not shared"),
    valued("tls-cipher-suites", OWN_TLS),
    valued("tls-curve-preferences", OWN_TLS),
    valued("tls-min-version", OWN_TLS),
    valued("tls-sni-cert-key", OWN_TLS),
    switch("contention-profiling", NO_PROFILER),
    switch("profiling", NO_PROFILER),
    valued("pod-max-in-unschedulable-pods-duration", "refused pods are tried again after five minutes"),
    valued("emulated-version", "kube-scheduler 1.37 is matched"),
    valued("min-compatibility-version", "API servers from 1.33 on are served"),
    valued("allow-metric-labels", "all metrics are shown"),
    valued("allow-metric-labels-manifest", "all metrics are shown"),
    valued("disabled-metrics", "all metrics are shown"),
    valued("show-hidden-metrics-for-version", "all metrics are shown"),
    valued("log-flush-frequency", OWN_LOGS),
    valued("log-json-info-buffer-size", OWN_LOGS),
    switch("log-json-split-stream", OWN_LOGS),
    valued("log-text-info-buffer-size", OWN_LOGS),
    switch("log-text-split-stream", OWN_LOGS),
    valued("logging-format", OWN_LOGS),
    valued("vmodule", OWN_LOGS),
];

/// Takes kube-scheduler's unneeded flags off a command line; gives what is left and a warning for each.
pub(crate) fn strip_unneeded(args: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut warnings) = (Vec::new(), Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let (name, inline_value) = match arg.strip_prefix("--").map(|a| a.split_once('=')) {
            Some(Some((name, _))) => (name, true),
            Some(None) => (&arg[2..], false),
            None => ("", false),
        };
        match UNNEEDED.iter().find(|flag| flag.name == name) {
            Some(flag) => {
                warnings.push(format!("--{} has no effect: {}", flag.name, flag.why));
                if flag.takes_value && !inline_value {
                    args.next();
                }
            }
            None => kept.push(arg),
        }
    }
    (kept, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unneeded_flags_go_with_a_warning_and_their_value() {
        let line = "x --authentication-skip-lookup=false --vmodule a=1 --profiling --secure-port 0 --tls-min-version=VersionTLS12 run";
        let (kept, warnings) = strip_unneeded(line.split(' ').map(String::from));
        assert_eq!(kept, ["x", "--secure-port", "0", "run"]);
        assert_eq!(warnings.len(), 4);
        assert!(warnings[0].starts_with("--authentication-skip-lookup has no effect: "), "{}", warnings[0]);
    }
}
