//! What our own engine makes of a scenario: the same engine, plugins and conversion as in production, without an API server.
//! Leaves out kube-scheduler, which is asked by `oracle`.

use crate::answer::{Answer, Node, Verdict};
use crate::scenario::Scenario;
use aisched_core::decision::{Decision, NodeReport};
use aisched_core::engine::{Engine, EngineOptions};
use aisched_core::event::{Action, Event, PolicyAnswer};
use aisched_core::features::Features;
use aisched_core::profile::MILLI;
use aisched_kube::documents::parse_documents;
use aisched_kube::scheduler_config;
use aisched_model::Str;
use aisched_model::config::Config;
use aisched_model::devices::{Allocation, ClaimPlan};
use aisched_model::policy::PolicySource;
use anyhow::{Result, anyhow};
use serde_json::json;
use std::sync::Arc;

const DEFAULT_CONFIG: &str = "{\"apiVersion\": \"kubescheduler.config.k8s.io/v1\", \"kind\": \"KubeSchedulerConfiguration\"}";

/// Asks our engine.
pub(crate) fn ask(scenario: &Scenario) -> Answer {
    let mut answer = Answer { name: scenario.name.clone(), ..Answer::default() };
    if let Err(error) = fill(&mut answer, scenario) {
        answer.error = format!("{error:#}");
    }
    answer
}

fn fill(answer: &mut Answer, scenario: &Scenario) -> Result<()> {
    let mut engine = engine(scenario)?;
    let mut nominated = Vec::new();
    let (mut victims, mut errors, mut plans) = (Vec::new(), Vec::new(), Vec::new());
    let mut decisions: Vec<Arc<Decision>> = Vec::new();
    while engine.next_poll(0).is_some_and(|at| at == 0) {
        for action in engine.poll(0) {
            match action {
                Action::Decided(decision) => decisions.push(decision),
                Action::Nominate { pod, node } => nominated.push((pod.uid, node)),
                Action::SetCondition { pod, reason: "SchedulerError", message, .. } => errors.push((pod.uid, message)),
                Action::Bind { pod, claims: Some(plan), .. } => plans.push((pod.uid, plan)),
                Action::Preempt { pod, victims: all, .. } => victims.push((pod.uid, all)),
                Action::FetchPolicy(pod) => {
                    let fallback = PolicyAnswer { uid: pod.uid.clone(), source: PolicySource::Fallback, policy: None };
                    engine.handle(0, Event::PolicyAnswered(fallback));
                }
                _ => {}
            }
        }
    }
    answer.order = decisions.iter().map(|decision| decision.pod.to_string()).collect();
    if scenario.order_only {
        return Ok(());
    }
    for decision in decisions {
        let mut verdict = verdict(&decision);
        // A node that is announced while its pod's volumes are bound belongs to binding, which is not compared.
        let kept = nominated.iter().filter(|(uid, _)| *uid == decision.uid && decision.node.is_none());
        verdict.nominated = kept.map(|(_, node)| node.to_string()).collect();
        let gone = victims.iter().filter(|(uid, _)| *uid == decision.uid).flat_map(|(_, all)| all);
        verdict.victims = gone.map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect();
        verdict.victims.sort_unstable();
        let chosen = verdict.node.clone().and_then(|node| verdict.nodes.get_mut(&node));
        if let (Some(node), Some((_, plan))) = (chosen, plans.iter().find(|(uid, _)| *uid == decision.uid)) {
            node.devices = devices(plan);
        }
        // An error ends the cycle: of the nodes nothing is said.
        if let Some((_, error)) = errors.iter().find(|(uid, _)| *uid == decision.uid) {
            let errors = verdict.nodes.into_values().flat_map(|node| node.reasons).collect();
            verdict = Verdict { pod: verdict.pod, error: error.to_string(), errors, ..Verdict::default() };
        }
        answer.pods.push(verdict);
    }
    Ok(())
}

/// An engine that knows the whole cluster.
fn engine(scenario: &Scenario) -> Result<Engine> {
    let (features, _) = Features::read(scenario.gates.split(',')).map_err(|fault| anyhow!(fault))?;
    let text = scenario.config.as_ref().map_or_else(|| DEFAULT_CONFIG.to_owned(), ToString::to_string);
    let config = scheduler_config::load(&text, "config", features).map_err(|faults| anyhow!("{}", joined(&faults)))?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": scenario.objects}).to_string();
    let objects = parse_documents(&list, &scenario.name).map_err(|faults| anyhow!("{}", joined(&faults)))?;
    let mut events: Vec<Event> = objects.into_iter().filter_map(aisched_kube::documents::Object::into_event).collect();
    events.sort_by_key(|event| matches!(event, Event::PodSet(pod) if pod.node.is_none()));
    let profiles: Vec<_> = config.profiles.iter().map(scheduler_config::ProfileConfig::to_profile).collect();
    let mut engine = Engine::new(profiles, EngineOptions { report_nodes: usize::MAX, records: 0, ..EngineOptions::default() });
    engine.handle(0, Event::Configured(Arc::new(without_ai())));
    events.into_iter().for_each(|event| engine.handle(0, event));
    engine.handle(0, Event::Synced);
    Ok(engine)
}

fn joined(faults: &[impl ToString]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The configuration under which the AI storage plugins take no part: what is left is kube-scheduler's.
fn without_ai() -> Config {
    let mut config = Config::default();
    let plugins = &mut config.plugins;
    plugins.data_locality_aware.enabled = false;
    plugins.storage_tier_aware.enabled = false;
    plugins.io_pattern_based.enabled = false;
    plugins.kueue_aware.enabled = false;
    plugins.pipeline_stage_aware.enabled = false;
    plugins.csi_storage_aware.enabled = false;
    config.apollo.endpoint = Str::default();
    config
}

fn devices(plan: &ClaimPlan) -> Vec<String> {
    let given = plan.claims.iter().filter_map(|part| Some((&part.claim.name, part.give.as_ref()?)));
    let of = |(claim, given): (&Str, &Arc<Allocation>)| {
        given.devices.iter().map(|d| format!("{claim} {} {}/{}", d.request, d.pool.1, d.device)).collect::<Vec<_>>()
    };
    given.flat_map(of).collect()
}

fn verdict(decision: &Decision) -> Verdict {
    Verdict {
        pod: decision.pod.to_string(),
        node: decision.node.as_ref().map(ToString::to_string),
        message: decision.message.clone().unwrap_or_default(),
        nodes: decision.nodes.iter().map(|report| (report.node.to_string(), node(report))).collect(),
        ..Verdict::default()
    }
}

fn node(report: &NodeReport) -> Node {
    Node {
        plugin: report.reasons.first().map(|reason| reason.plugin.to_owned()).unwrap_or_default(),
        reasons: report.reasons.iter().map(|reason| reason.message.to_string()).collect(),
        scores: report.plugins.iter().map(|plugin| (plugin.name.to_owned(), plugin.score * plugin.weight / MILLI)).collect(),
        total: report.total.map(|total| total / MILLI),
        devices: Vec::new(),
    }
}
