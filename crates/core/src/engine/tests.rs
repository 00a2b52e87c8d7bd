//! The engine from the outside: events in, actions out, on a clock that the test turns.
//! Leaves out what single plugins decide: their own files test that.

use super::{Engine, EngineOptions};
use crate::consult::{About, Question};
use crate::event::{Action, BindOutcome, Event, Millis, PodRef, PolicyAnswer};
use crate::fixture::{hinted, node, pod, requesting, with};
use crate::profile::{Profile, Weight};
use aisched_model::config::Config;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, SpreadConstraint};
use aisched_model::policy::{Policy, PolicySource};
use aisched_model::selector::{LabelSelector, Operator, Requirement};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// An engine and its clock; what it asked for is kept as short texts.
pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) now: Millis,
}

impl World {
    /// Every default plugin that exists, no policy service, synced.
    pub(super) fn new<const N: usize>(nodes: [Node; N]) -> Self {
        let mut world = Self::with_policy_service(nodes);
        let mut config = Config::default();
        config.apollo.endpoint = "".into();
        world.see(Event::Configured(Arc::new(config)));
        world
    }

    pub(super) fn with_policy_service<const N: usize>(nodes: [Node; N]) -> Self {
        let mut world = Self::starting(nodes);
        world.see(Event::Synced);
        world
    }

    fn starting<const N: usize>(nodes: [Node; N]) -> Self {
        Self::running(&["NodeUnschedulable", "NodeAffinity", "NodeResourcesFit", "StorageTierAware"], nodes)
    }

    /// These plugins; asks for policies, but is not synced.
    pub(super) fn running<const N: usize>(plugins: &[&str], nodes: [Node; N]) -> Self {
        let profile = Profile::of("ai-storage-scheduler", plugins.iter().map(|p| (*p, Weight::Fixed(1))));
        let mut world = Self { engine: Engine::new(alloc::vec![profile], EngineOptions::default()), now: 0 };
        for node in nodes {
            world.see(Event::NodeSet(Arc::new(node), Vec::new()));
        }
        world
    }

    /// An event, then everything the engine does about it at this moment.
    pub(super) fn see(&mut self, event: Event) -> Vec<String> {
        self.engine.handle(self.now, event);
        self.run()
    }

    pub(super) fn pod(&mut self, pod: Pod) -> Vec<String> {
        self.see(Event::PodSet(Arc::new(pod)))
    }

    pub(super) fn at(&mut self, now: Millis) -> Vec<String> {
        self.now = now;
        self.run()
    }

    fn run(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        while self.engine.next_poll(self.now).is_some_and(|at| at <= self.now) {
            done.extend(self.engine.poll(self.now).iter().filter_map(describe));
        }
        done
    }

    pub(super) fn bind_ends(&mut self, name: &str, node: &str, outcome: BindOutcome) -> Vec<String> {
        self.see(Event::BindEnded { pod: PodRef::from(&pod(name)), node: node.into(), outcome })
    }
}

fn describe(action: &Action) -> Option<String> {
    Some(match action {
        Action::FetchPolicy(pod) => format!("ask {}", pod.name),
        Action::ForgetPolicy(_) | Action::Decided(_) => return None,
        Action::ReportResult(r) => format!("report {} {} {}ms", r.request_id, r.success, r.duration_ms),
        Action::Bind { pod, node, by_extender: true, .. } => format!("extender binds {} {node}", pod.name),
        Action::Bind { pod, node, volumes: None, .. } => format!("bind {} {node}", pod.name),
        Action::Bind { pod, node, volumes: Some(plan), .. } => {
            let bind = plan.bind.iter().map(|(claim, volume)| format!(" {}={}", claim.name, volume.name));
            let provision = plan.provision.iter().map(|claim| format!(" {}+", claim.name));
            format!("bind {} {node}{}", pod.name, bind.chain(provision).collect::<String>())
        }
        Action::Consult(q) => consult(q),
        Action::RecordEvent(e) => format!("event {}: {}", e.reason, e.note),
        Action::SetCondition { pod, transition, reason, .. } => format!("condition {} {reason} {transition}", pod.name),
        Action::Nominate { pod, node } => format!("nominate {} {node}", pod.name),
        Action::Preempt { pod, node, victims, .. } => {
            let victims: Vec<&str> = victims.iter().map(|v| &*v.name).collect();
            format!("preempt {} for {} on {node}", victims.join(" "), pod.name)
        }
        Action::Remedy(remedy) => remedy.message().into(),
        Action::PolicyResolved { pod, source } => format!("policy {} {}", pod.name, source.as_str()),
    })
}

fn consult(question: &Question) -> String {
    match &question.about {
        About::Nodes(nodes) => format!("consult {} on {}", question.pod.name, nodes.join(" ")),
        About::Victims(proposals) => {
            let proposals: Vec<String> = proposals.iter().map(|p| format!("{}: {}", p.node, p.victims.uids.join(" "))).collect();
            format!("consult {} on victims {}", question.pod.name, proposals.join(", "))
        }
    }
}

pub(super) fn cordoned(name: &str) -> Node {
    Node { unschedulable: true, ..node(name) }
}

fn policy(id: &str) -> Arc<Policy> {
    Arc::new(Policy { request_id: Some(id.into()), ..Policy::default() })
}

pub(super) fn answer(name: &str, policy: Option<Arc<Policy>>, source: PolicySource) -> Event {
    Event::PolicyAnswered(PolicyAnswer { uid: format!("uid-{name}").into(), source, policy })
}

#[test]
fn pod_is_bound_and_the_event_says_so() {
    let mut world = World::new([node("n")]);
    assert_eq!(world.pod(pod("p")), ["bind p n"]);
    assert_eq!(world.bind_ends("p", "n", BindOutcome::Bound), ["event Scheduled: Successfully assigned default/p to n"]);
    assert_eq!(world.engine.records().get("default/p").unwrap().decision.node.as_deref(), Some("n"));
}

#[test]
fn nothing_is_decided_before_everything_is_known() {
    let mut world = World::starting([node("n")]);
    let mut old = requesting("old", "6", "1Gi");
    old.node = Some("n".into());
    assert!(world.pod(requesting("new", "6", "1Gi")).iter().all(|a| a.starts_with("ask")));
    world.see(answer("new", None, PolicySource::Fallback));
    world.pod(old);
    let done = world.see(Event::Synced);
    assert!(done.contains(&"condition new Unschedulable true".to_string()), "{done:?}");
}

#[test]
fn refused_pod_is_bound_when_its_label_arrives() {
    let mut world = World::new([node("n")]);
    let picky = with(pod("p"), |s| s.node_selector = Labels::from([("disk", "nvme")]));
    let message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
    assert_eq!(world.pod(picky), ["condition p Unschedulable true".to_string(), format!("event FailedScheduling: {message}")]);
    world.now = 5000;
    assert_eq!(world.see(Event::NodeSet(Arc::new(Node { allocatable_pods: 9, ..node("n") }), Vec::new())), [""; 0]);
    let labelled = Node { labels: Labels::from([("disk", "nvme")]), ..node("n") };
    assert_eq!(world.see(Event::NodeSet(Arc::new(labelled), Vec::new())), ["bind p n"]);
}

#[test]
fn unchanged_refusal_writes_no_condition_again() {
    let mut world = World::new([cordoned("n")]);
    let mut p = pod("p");
    world.pod(p.clone());
    p.refused = Some(Arc::new(aisched_model::pod::RefusedCondition {
        reason: "Unschedulable".into(),
        message: "0/1 nodes are available: 1 node(s) were unschedulable.".into(),
    }));
    assert_eq!(world.pod(p), [""; 0], "its own condition does not requeue it");
    let again = world.at(300_000);
    assert_eq!(again, ["event FailedScheduling: 0/1 nodes are available: 1 node(s) were unschedulable."]);
}

#[test]
fn pod_without_any_node_waits_for_one() {
    let mut world = World::new([]);
    assert_eq!(world.pod(pod("p")), ["condition p Unschedulable true", "event FailedScheduling: no nodes available to schedule pods"]);
    world.now = 1000;
    assert_eq!(world.see(Event::NodeSet(Arc::new(node("n")), Vec::new())), ["bind p n"]);
}

#[test]
fn failed_bind_frees_the_node_and_is_tried_again_after_its_backoff() {
    let mut world = World::new([node("n")]);
    world.pod(requesting("p", "8", "1Gi"));
    assert_eq!(world.pod(requesting("q", "8", "1Gi"))[0], "condition q Unschedulable true");
    world.now = 2000;
    let done = world.bind_ends("p", "n", BindOutcome::Failed("boom".into()));
    assert_eq!(
        done,
        ["condition p SchedulerError true", "event FailedScheduling: running Bind plugin \"DefaultBinder\": boom", "bind q n"]
    );
    world.bind_ends("q", "n", BindOutcome::Gone("deleted".into()));
    assert_eq!(world.at(2999), [""; 0]);
    assert_eq!(world.at(3000), ["bind p n"]);
}

#[test]
fn failed_bind_of_a_pod_that_is_bound_after_all_is_no_failure() {
    let mut world = World::new([node("n")]);
    world.pod(pod("p"));
    let mut bound = pod("p");
    bound.node = Some("n".into());
    world.pod(bound);
    assert_eq!(world.bind_ends("p", "n", BindOutcome::Failed("timeout".into())), [""; 0]);
    assert_eq!(world.engine.depth(), crate::queue::Depth::default());
}

#[test]
fn pod_deleted_while_binding_leaves_nothing_behind() {
    let mut world = World::new([node("n")]);
    world.pod(requesting("p", "8", "1Gi"));
    world.see(Event::PodGone(PodRef::from(&pod("p"))));
    assert_eq!(world.bind_ends("p", "n", BindOutcome::Failed("not found".into())), [""; 0]);
    assert_eq!(world.pod(requesting("q", "8", "1Gi")), ["bind q n"]);
}

#[test]
fn ended_pods_use_nothing_and_wake_those_who_wait_for_room() {
    let mut world = World::new([node("n")]);
    let mut running = requesting("old", "8", "1Gi");
    running.node = Some("n".into());
    world.pod(running.clone());
    world.pod(requesting("p", "8", "1Gi"));
    world.now = 1000;
    running.ended = true;
    assert_eq!(world.pod(running), ["bind p n"]);
}

#[test]
fn deleting_pod_is_skipped() {
    let mut world = World::new([node("n")]);
    let mut p = pod("p");
    p.deleting = true;
    assert_eq!(world.pod(p), ["event FailedScheduling: skip schedule deleting pod: default/p"]);
}

#[test]
fn pods_of_other_schedulers_are_left_alone() {
    let mut world = World::new([node("n")]);
    assert_eq!(world.pod(with(pod("p"), |s| s.scheduler_name = "default-scheduler".into())), [""; 0]);
}

#[test]
fn unusable_hints_are_reported_once() {
    let mut world = World::new([cordoned("n")]);
    let done = world.pod(hinted("p", [("io-pattern", "sideways")]));
    assert!(done[0].starts_with("event InvalidStorageHint: ai-storage.keti/io-pattern: \"sideways\""), "{done:?}");
    assert!(world.at(300_000).iter().all(|a| !a.contains("InvalidStorageHint")));
}

#[test]
fn policy_makes_its_pod_ready_and_is_reported_once() {
    let mut world = World::with_policy_service([node("n")]);
    assert_eq!(world.pod(pod("p")), ["ask p"]);
    world.now = 50;
    assert_eq!(world.see(answer("p", Some(policy("id-1")), PolicySource::Success)), ["policy p APOLLO", "bind p n"]);
    world.now = 70;
    let done = world.bind_ends("p", "n", BindOutcome::Bound);
    assert_eq!(done[1], "report id-1 true 70ms");
}

#[test]
fn slow_policy_service_delays_a_pod_by_the_policy_wait_only() {
    let mut world = World::with_policy_service([cordoned("n")]);
    world.pod(pod("p"));
    assert_eq!(world.at(199), [""; 0]);
    assert_eq!(world.at(200)[..1], ["policy p FALLBACK"]);
    world.see(answer("p", Some(policy("late")), PolicySource::Success));
    world.now = 1300;
    assert_eq!(world.see(Event::NodeSet(Arc::new(node("n")), Vec::new())), ["ask p"]);
}

#[test]
fn refusal_reports_its_policy_once_even_when_the_cache_serves_it_again() {
    let mut world = World::with_policy_service([cordoned("n")]);
    world.pod(pod("p"));
    let first = world.see(answer("p", Some(policy("id-1")), PolicySource::Success));
    assert!(first.contains(&"report id-1 false 0ms".to_string()), "{first:?}");
    world.at(300_000);
    let second = world.see(answer("p", Some(policy("id-1")), PolicySource::Cache));
    assert!(second.contains(&"policy p CACHE".to_string()) && second.iter().all(|a| !a.starts_with("report")), "{second:?}");
}

#[test]
fn pod_waits_in_backoff_for_a_policy_when_falling_back_is_off() {
    let mut world = World::with_policy_service([node("n")]);
    let mut config = Config::default();
    config.apollo.fallback_enabled = false;
    world.see(Event::Configured(Arc::new(config)));
    world.pod(pod("p"));
    let done = world.see(answer("p", None, PolicySource::Fallback));
    assert_eq!(done[2], "event FailedScheduling: no answer from the APOLLO policy service, and apollo.fallbackEnabled is false");
    assert_eq!(world.at(1000), ["ask p"]);
}

#[test]
fn new_configuration_wakes_refused_pods() {
    let mut world = World::new([cordoned("n")]);
    world.pod(pod("p"));
    world.now = 1000;
    let mut config = Config::default();
    config.apollo.endpoint = "".into();
    config.generation = 2;
    let done = world.see(Event::Configured(Arc::new(config)));
    assert!(done.iter().any(|a| a.starts_with("event FailedScheduling")), "{done:?}");
}

#[test]
fn unusable_node_facts_are_reported_once_per_value() {
    let fault =
        |value: &str| aisched_model::storage_facts::Fault::new("ai-storage.keti/available-iops", value, "a whole number, 0 or more");
    let mut world = World::new([]);
    for (value, events) in [("lots", 1), ("lots", 0), ("many", 1)] {
        assert_eq!(world.see(Event::NodeSet(Arc::new(node("n")), alloc::vec![fault(value)])).len(), events, "{value}");
    }
}

/// A kubelet that knows better (`OutOfcpu`) would else be sent the pod's successor at once, for ever.
#[test]
fn pod_that_a_kubelet_turned_away_is_not_sent_there_again_for_a_while() {
    let mut world = World::new([node("n")]);
    let on = |name: &str| Pod { node: Some("n".into()), ..requesting(name, "1", "1Gi") };
    let turned_away = |name: &str| Pod { ended: true, rejected: Some("OutOfcpu".into()), ..on(name) };
    world.pod(turned_away("stranger"));
    assert_eq!(world.pod(requesting("p", "1", "1Gi")), ["bind p n"], "what was rejected before this process counts not");
    world.pod(on("p"));
    world.pod(turned_away("p"));
    let done = world.pod(requesting("q", "1", "1Gi"));
    assert!(done[1].contains("1 node(s) had a kubelet that turned such a pod away lately"), "{done:?}");
    assert_eq!(world.pod(requesting("other", "2", "1Gi")), ["bind other n"]);
    assert_eq!(world.engine.next_poll(world.now), Some(10_000));
    assert_eq!(world.at(10_000), ["bind q n"]);
    world.pod(on("q"));
    world.pod(turned_away("q"));
    world.pod(requesting("r", "1", "1Gi"));
    let running = Pod { start_s: Some(1), ..on("elsewhere") };
    assert_eq!(world.pod(running), ["bind r n"], "the kubelet runs such a pod");
}

/// PodTopologySpread counts a pod no more once its deletion has begun; kube-scheduler has the waiting pod wait until it is gone.
#[test]
fn pod_is_woken_when_the_deletion_of_one_that_it_is_spread_from_begins() {
    let zone = |name: &str| Node { labels: Labels::from([("zone", name)]), ..node(name) };
    let mut world = World::running(&["NodeResourcesFit", "PodTopologySpread"], [zone("a"), zone("b")]);
    let mut config = Config::default();
    config.apollo.endpoint = "".into();
    world.see(Event::Configured(Arc::new(config)));
    world.see(Event::Synced);
    let web = |name: &str| {
        with(requesting(name, "1", "1Gi"), |s| {
            s.labels = Labels::from([("app", "web")]);
            let app = Requirement { key: "app".into(), operator: Operator::In, values: ["web".into()].into() };
            s.spread = [SpreadConstraint {
                max_skew: 1,
                topology_key: "zone".into(),
                hard: true,
                selector: Some(LabelSelector([app].into())),
                min_domains: None,
                honor_affinity: true,
                honor_taints: false,
                match_label_keys: Vec::new(),
            }]
            .into();
        })
    };
    let on = |pod: Pod, node: &str| Pod { node: Some(node.into()), ..pod };
    world.pod(on(web("first"), "a"));
    world.pod(on(requesting("fills", "8", "1Gi"), "b"));
    assert_eq!(world.pod(web("p"))[0], "condition p Unschedulable true");
    world.now = 2000;
    assert_eq!(world.pod(Pod { deleting: true, ..on(web("first"), "a") }), ["bind p a"]);
}

#[test]
fn pod_is_woken_by_a_resize_that_the_watch_shows_together_with_the_bind() {
    let mut world = World::new([node("n")]);
    world.pod(requesting("p", "8", "1Gi"));
    world.bind_ends("p", "n", BindOutcome::Bound);
    world.pod(requesting("q", "4", "1Gi"));
    world.now = 2000;
    let on = |pod: Pod| Pod { node: Some("n".into()), ..pod };
    assert_eq!(world.pod(on(requesting("p", "4", "1Gi"))), ["bind q n"]);
}
