//! What `run` schedules with: the profiles and limits of `--config`, or the one default profile.
//! Leaves out reading the file's fields: that is the adapter's.

use crate::files;
use crate::flags::RunArgs;
use aisched_core::features::Features;
use aisched_core::plugins::args::PluginArgs;
use aisched_core::profile::Profile;
use aisched_core::queue::QueueOptions;
use aisched_kube::client::ClientOptions;
use aisched_kube::lease::LeaseOptions;
use aisched_kube::scheduler_config::{self, DEFAULT_BURST, ExtenderConfig, LeaderElection, SchedulerConfig};
use aisched_kube::traffic::Pace;
use anyhow::{Result, bail};

/// Profiles, limits, and where the API server is.
pub(super) struct Setup {
    pub(super) profiles: Vec<Profile>,
    pub(super) queue: QueueOptions,
    pub(super) client: ClientOptions,
    pub(super) extenders: Vec<ExtenderConfig>,
    pub(super) features: Features,
    /// The election to stand in; without one this process schedules at once.
    pub(super) election: Option<LeaseOptions>,
}

impl Setup {
    pub(super) fn of(args: &RunArgs) -> Result<Self> {
        let features = features(&args.feature_gates)?;
        let pace = |qps: Option<f64>, burst: u32| Pace::of(args.kube_api_qps.or(qps), args.kube_api_burst.unwrap_or(burst));
        let mut client =
            ClientOptions { kubeconfig: args.kubeconfig.clone(), master: args.master.clone(), pace: pace(None, DEFAULT_BURST) };
        let Some(path) = &args.config else {
            let plugin_args = PluginArgs { features, ..PluginArgs::default() };
            let profiles = vec![Profile::ai_storage_with(args.scheduler_name.as_str(), &plugin_args)];
            // Schedulers of other names have nothing to do with this one, kube-scheduler least of all. Whoever starts one by hand starts
            // one; replicas ask for an election.
            let base = LeaderElection {
                leader_elect: false,
                resource_name: args.scheduler_name.clone(),
                resource_namespace: args.config_namespace.clone(),
                ..LeaderElection::default()
            };
            let election = election(args, base, &args.scheduler_name)?;
            return Ok(Self {
                profiles,
                queue: queue(QueueOptions::default(), features),
                client,
                extenders: Vec::new(),
                features,
                election,
            });
        };
        let config = match scheduler_config::load(&files::read(path)?, &path.display().to_string(), features) {
            Ok(config) => config,
            Err(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                bail!("{} fault(s) in --config:\n{}", faults.len(), faults.join("\n"));
            }
        };
        warn(&config);
        client.pace = pace(config.client_connection.qps, config.client_connection.burst);
        client.kubeconfig = client.kubeconfig.or(config.client_connection.kubeconfig);
        let profiles: Vec<Profile> = config.profiles.iter().map(|p| p.to_profile()).collect();
        let election = election(args, config.leader_election, profiles.first().map_or("", |p| &p.scheduler_name))?;
        Ok(Self { profiles, queue: queue(config.queue, features), client, extenders: config.extenders, features, election })
    }

    /// The first profile's name: who speaks of what concerns no single pod.
    pub(super) fn reporter(&self) -> &str {
        self.profiles.first().map_or("", |p| &p.scheduler_name)
    }
}

fn queue(options: QueueOptions, features: Features) -> QueueOptions {
    QueueOptions { pop_from_backoff: features.scheduler_pop_from_backoff_q, ..options }
}

/// What the gates are set to; says which of them change nothing.
fn features(words: &[String]) -> Result<Features> {
    let read = Features::read(words.iter().map(String::as_str));
    let (features, idle) = read.map_err(|fault| anyhow::anyhow!("--feature-gates: {fault}"))?;
    if !idle.is_empty() {
        tracing::warn!("--feature-gates: nothing depends here on {}", idle.join(", "));
    }
    Ok(features)
}

fn election(args: &RunArgs, base: LeaderElection, reporter: &str) -> Result<Option<LeaseOptions>> {
    let election = args.election.over(base)?;
    Ok(election.leader_elect.then(|| LeaseOptions::new(&election, reporter)))
}

/// Says what of the configuration is not acted on.
fn warn(config: &SchedulerConfig) {
    if !config.missing_plugins.is_empty() {
        tracing::warn!("plugins that are not part of this version take no part: {}", config.missing_plugins.join(", "));
    }
    if config.delay_cache_until_active {
        tracing::warn!("delayCacheUntilActive has no effect: a scheduler that follows always has warm caches");
    }
    for note in &config.notes {
        tracing::warn!("{note}");
    }
}
