//! Reports to send: which answers are still unreported, which were reported, and a bounded queue of messages.
//! Makes no calls and has no clock; the client sends what this hands out.

use crate::client::PolicyRequest;
use crate::link::Link;
use crate::stats::ReportCounts;
use crate::wire::SchedulingResult;
use aisched_model::Str;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// More reports than this do not wait: the next ones are dropped and counted.
const MAX_WAITING: usize = 10_000;
/// More unreported answers than this are not remembered: an answer each for the largest cluster's pods.
const MAX_UNREPORTED: usize = 200_000;
/// Ids of so many reported answers are remembered, the newest ones.
const MAX_REPORTED: usize = 50_000;
/// Why an answer failed that nobody reported.
const UNUSED: &str = "the answer served no scheduling attempt";

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultReport {
    /// Names the answer.
    pub request_id: Str,
    /// The pod's namespace.
    pub namespace: Str,
    /// The pod's name.
    pub name: Str,
    /// Bound to a node, or the reason why not.
    pub outcome: Outcome,
    /// From entering the queue to this outcome.
    pub duration: Duration,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Bound to this node.
    Bound(Str),
    /// Finally failed, for this reason.
    Failed(Str),
}

/// A report ready to be sent, with the server that gave the answer.
pub(crate) type Outgoing = (SchedulingResult, Arc<Link>);

/// Unreported, reported and waiting.
#[derive(Default)]
pub(crate) struct Feedback {
    unreported: HashMap<Str, Unreported>,
    ids_by_pod: HashMap<Str, Vec<Str>>,
    reported: HashSet<Str>,
    reported_in_order: VecDeque<Str>,
    waiting: VecDeque<Outgoing>,
    pub(crate) counts: ReportCounts,
}

struct Unreported {
    uid: Str,
    namespace: Str,
    name: Str,
    link: Arc<Link>,
}

impl Feedback {
    /// An answer came for a pod; its server keeps an entry until it is reported.
    pub(crate) fn answered(&mut self, pod: &PolicyRequest, id: &Str, link: &Arc<Link>) {
        let is_known = self.reported.contains(id) || self.unreported.contains_key(id);
        if is_known || self.unreported.len() >= MAX_UNREPORTED {
            return;
        }
        let unreported = Unreported { uid: pod.uid.clone(), namespace: pod.namespace.clone(), name: pod.name.clone(), link: link.clone() };
        self.unreported.insert(id.clone(), unreported);
        let ids = self.ids_by_pod.entry(pod.uid.clone()).or_default();
        ids.push(id.clone());
    }

    /// An answer came that is for nobody any more; its server is told at once.
    pub(crate) fn unused(&mut self, pod: &PolicyRequest, id: &Str, link: &Arc<Link>) {
        let report = failed(id.clone(), pod.namespace.clone(), pod.name.clone());
        self.report(report, link);
    }

    /// Queues a report, unless the answer was reported already. It goes to the server that gave the answer, or to `server`.
    pub(crate) fn report(&mut self, report: ResultReport, server: &Arc<Link>) {
        if self.reported.contains(&report.request_id) {
            self.counts.repeated += 1;
            return;
        }
        let link = match self.take(&report.request_id) {
            Some(unreported) => unreported.link,
            None => server.clone(),
        };
        self.queue(report, link);
    }

    /// A pod is gone: its answers that nobody reported are reported as failed, so that their server forgets them too.
    pub(crate) fn forget(&mut self, uid: &str) {
        for id in self.ids_by_pod.remove(uid).unwrap_or_default() {
            if let Some(pod) = self.unreported.remove(&id) {
                self.queue(failed(id, pod.namespace, pod.name), pod.link);
            }
        }
    }

    /// The report that has waited longest.
    pub(crate) fn next(&mut self) -> Option<Outgoing> {
        self.waiting.pop_front()
    }

    pub(crate) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take(&mut self, id: &str) -> Option<Unreported> {
        let unreported = self.unreported.remove(id)?;
        if let Some(ids) = self.ids_by_pod.get_mut(&unreported.uid) {
            ids.retain(|other| **other != *id);
            if ids.is_empty() {
                self.ids_by_pod.remove(&unreported.uid);
            }
        }
        Some(unreported)
    }

    fn queue(&mut self, report: ResultReport, link: Arc<Link>) {
        self.remember(report.request_id.clone());
        if self.waiting.len() >= MAX_WAITING {
            self.counts.dropped += 1;
            return;
        }
        self.waiting.push_back((message(report), link));
    }

    fn remember(&mut self, id: Str) {
        self.reported.insert(id.clone());
        self.reported_in_order.push_back(id);
        if self.reported_in_order.len() > MAX_REPORTED
            && let Some(oldest) = self.reported_in_order.pop_front()
        {
            self.reported.remove(&oldest);
        }
    }
}

/// The report of an answer that served no attempt.
fn failed(request_id: Str, namespace: Str, name: Str) -> ResultReport {
    ResultReport { request_id, namespace, name, outcome: Outcome::Failed(UNUSED.into()), duration: Duration::ZERO }
}

fn message(report: ResultReport) -> SchedulingResult {
    let (node, failure) = match report.outcome {
        Outcome::Bound(node) => (Some(node), None),
        Outcome::Failed(reason) => (None, Some(reason)),
    };
    let text = |text: Option<Str>| text.as_deref().unwrap_or_default().to_owned();
    SchedulingResult {
        request_id: report.request_id.to_string(),
        pod_name: report.name.to_string(),
        pod_namespace: report.namespace.to_string(),
        success: node.is_some(),
        scheduled_node: text(node),
        failure_reason: text(failure),
        scheduling_duration_ms: i64::try_from(report.duration.as_millis()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{Target, TlsFiles, tcp};

    fn server(port: u16) -> Arc<Link> {
        let target = Target::parse(&format!("localhost:{port}")).unwrap();
        Arc::new(Link::new(target, TlsFiles::default(), Duration::from_secs(1), tcp()))
    }

    fn bound(id: &str) -> ResultReport {
        ResultReport {
            request_id: id.into(),
            namespace: "default".into(),
            name: "train-0".into(),
            outcome: Outcome::Bound("node-a".into()),
            duration: Duration::from_millis(12),
        }
    }

    fn answered(feedback: &mut Feedback, id: &str, uid: &str, server: &Arc<Link>) {
        let pod = PolicyRequest { uid: uid.into(), namespace: "default".into(), name: "train-0".into(), ..PolicyRequest::default() };
        feedback.answered(&pod, &id.into(), server);
    }

    #[test]
    fn report_carries_what_became_of_the_answer() {
        let mut feedback = Feedback::default();
        feedback.report(bound("r-1"), &server(1));
        let (sent, _) = feedback.next().unwrap();
        let expected = SchedulingResult {
            request_id: "r-1".into(),
            pod_name: "train-0".into(),
            pod_namespace: "default".into(),
            scheduled_node: "node-a".into(),
            success: true,
            failure_reason: String::new(),
            scheduling_duration_ms: 12,
        };
        assert_eq!(sent, expected);
    }

    #[test]
    fn answer_is_reported_once() {
        let mut feedback = Feedback::default();
        let server = server(1);
        answered(&mut feedback, "r-1", "uid-1", &server);
        feedback.report(bound("r-1"), &server);
        feedback.report(bound("r-1"), &server);
        answered(&mut feedback, "r-1", "uid-1", &server);
        feedback.forget("uid-1");
        assert!(feedback.next().is_some());
        assert!(feedback.next().is_none());
        assert_eq!(feedback.counts.repeated, 1);
    }

    #[test]
    fn unreported_answers_of_a_forgotten_pod_are_reported_as_failed() {
        let mut feedback = Feedback::default();
        let server = server(1);
        for id in ["r-1", "r-2", "r-3"] {
            answered(&mut feedback, id, "uid-1", &server);
        }
        answered(&mut feedback, "r-4", "uid-2", &server);
        feedback.report(bound("r-2"), &server);
        feedback.forget("uid-1");
        let sent: Vec<_> =
            std::iter::from_fn(|| feedback.next()).map(|(sent, _)| (sent.request_id, sent.success, sent.failure_reason)).collect();
        let expected = [
            ("r-2".to_owned(), true, String::new()),
            ("r-1".to_owned(), false, UNUSED.to_owned()),
            ("r-3".to_owned(), false, UNUSED.to_owned()),
        ];
        assert_eq!(sent, expected);
    }

    #[test]
    fn report_goes_to_the_server_that_answered() {
        let mut feedback = Feedback::default();
        let (old, new) = (server(1), server(2));
        answered(&mut feedback, "r-1", "uid-1", &old);
        feedback.report(bound("r-1"), &new);
        feedback.report(bound("r-2"), &new);
        assert_eq!(feedback.next().unwrap().1.target, old.target);
        assert_eq!(feedback.next().unwrap().1.target, new.target);
    }

    #[test]
    fn reports_beyond_the_queue_are_dropped_and_counted() {
        let mut feedback = Feedback::default();
        let server = server(1);
        for i in 0..MAX_WAITING + 3 {
            feedback.report(bound(&i.to_string()), &server);
        }
        assert_eq!((feedback.n_waiting(), feedback.counts.dropped), (MAX_WAITING, 3));
    }

    #[test]
    fn memory_of_reported_ids_is_bounded() {
        let mut feedback = Feedback::default();
        for i in 0..MAX_REPORTED + 10 {
            feedback.remember(i.to_string().into());
        }
        assert_eq!(feedback.reported.len(), MAX_REPORTED);
        assert!(!feedback.reported.contains("9"));
    }
}
