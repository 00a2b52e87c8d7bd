//! The flags of leader election: kube-scheduler's, and as there they win over the file of `--config`.
//! Leaves out the election: that is the adapter's.

use aisched_kube::scheduler_config::{LeaderElection, parse_duration};
use anyhow::{Result, bail};
use clap::builder::{BoolishValueParser, NonEmptyStringValueParser};
use std::time::Duration;

/// A renewal is tried again after a retry period with as much luck in it; client-go's rule.
const JITTER: f64 = 1.2;

/// Flags that begin with `--leader-elect`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Leader election")]
pub(crate) struct ElectionArgs {
    /// Whether to schedule only while holding a Lease, so that one of several replicas does [default: false; with --config as it says, else true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    leader_elect: Option<bool>,
    /// How long a leader that is not heard of is still taken for one [default: 15s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    leader_elect_lease_duration: Option<Duration>,
    /// How long a leader tries to renew before it gives up and ends [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    leader_elect_renew_deadline: Option<Duration>,
    /// Pause between attempts to get or renew the Lease [default: 2s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    leader_elect_retry_period: Option<Duration>,
    /// Kind of the lock
    #[arg(long, value_name = "KIND", default_value = "leases", value_parser = ["leases"])]
    leader_elect_resource_lock: String,
    /// Name of the Lease [default: --scheduler-name; with --config as it says, else kube-scheduler]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    leader_elect_resource_name: Option<String>,
    /// Namespace of the Lease [default: --config-namespace; with --config as it says, else kube-system]
    #[arg(long, value_name = "NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    leader_elect_resource_namespace: Option<String>,
}

impl ElectionArgs {
    /// What the flags make of an election.
    pub(crate) fn over(&self, base: LeaderElection) -> Result<LeaderElection> {
        let election = LeaderElection {
            leader_elect: self.leader_elect.unwrap_or(base.leader_elect),
            lease_duration: self.leader_elect_lease_duration.unwrap_or(base.lease_duration),
            renew_deadline: self.leader_elect_renew_deadline.unwrap_or(base.renew_deadline),
            retry_period: self.leader_elect_retry_period.unwrap_or(base.retry_period),
            resource_name: self.leader_elect_resource_name.clone().unwrap_or(base.resource_name),
            resource_namespace: self.leader_elect_resource_namespace.clone().unwrap_or(base.resource_namespace),
        };
        let LeaderElection { leader_elect, lease_duration, renew_deadline, retry_period, .. } = &election;
        for (broken, flag, value, expected) in [
            (lease_duration.is_zero(), "lease-duration", lease_duration, "a duration above 0"),
            (retry_period.is_zero(), "retry-period", retry_period, "a duration above 0"),
            (lease_duration <= renew_deadline, "lease-duration", lease_duration, "a duration above the renew deadline"),
            (
                *renew_deadline <= retry_period.mul_f64(JITTER),
                "renew-deadline",
                renew_deadline,
                "a duration above 1.2 times the retry period",
            ),
        ] {
            if broken && *leader_elect {
                bail!("--leader-elect-{flag}: {value:?}: expected {expected}");
            }
        }
        Ok(election)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        election: ElectionArgs,
    }

    fn over(flags: &str) -> Result<LeaderElection, String> {
        let line = Line::try_parse_from(format!("x {flags}").split_whitespace()).map_err(|e| e.to_string())?;
        line.election.over(LeaderElection::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn flags_win_over_what_is_there() {
        let base = LeaderElection::default();
        for (flags, expected) in [
            ("", base.clone()),
            ("--leader-elect", base.clone()),
            ("--leader-elect=false", LeaderElection { leader_elect: false, ..base.clone() }),
            (
                "--leader-elect=0 --leader-elect-lease-duration=1s",
                LeaderElection { leader_elect: false, lease_duration: Duration::from_secs(1), ..base.clone() },
            ),
            (
                "--leader-elect-lease-duration=1m0s --leader-elect-renew-deadline 40s --leader-elect-retry-period=500ms",
                LeaderElection {
                    lease_duration: Duration::from_secs(60),
                    renew_deadline: Duration::from_secs(40),
                    retry_period: Duration::from_millis(500),
                    ..base.clone()
                },
            ),
            (
                "--leader-elect-resource-lock=leases --leader-elect-resource-name n --leader-elect-resource-namespace s",
                LeaderElection { resource_name: "n".into(), resource_namespace: "s".into(), ..base },
            ),
        ] {
            assert_eq!(over(flags).unwrap(), expected, "{flags}");
        }
    }

    #[test]
    fn election_that_cannot_work_is_refused_with_the_flag_and_what_would_be_right() {
        for (flags, expected) in [
            ("--leader-elect-lease-duration=10s", "--leader-elect-lease-duration: 10s: expected a duration above the renew deadline"),
            ("--leader-elect-retry-period=9s", "--leader-elect-renew-deadline: 10s: expected a duration above 1.2 times the retry period"),
            ("--leader-elect-retry-period=0s", "--leader-elect-retry-period: 0ns: expected a duration above 0"),
            ("--leader-elect-retry-period=often", "expected a duration such as 15s"),
            ("--leader-elect-retry-period=-2s", "expected a duration such as 15s"),
            ("--leader-elect-resource-lock=endpoints", "leases"),
            ("--leader-elect=perhaps", "perhaps"),
        ] {
            let error = over(flags).unwrap_err();
            assert!(error.contains(expected), "{flags}: {error}");
        }
    }
}
