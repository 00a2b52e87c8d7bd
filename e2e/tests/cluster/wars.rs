//! Ours and kube-scheduler on one full cluster for a while: both preempt, controllers replace what is evicted at once, kubelets turn
//! away what does not fit, and no war breaks out.
//! Leaves out a cluster that is not full: that is `neighbours`.

use aisched_e2e::{Test, merged};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const N_NODES: usize = 6;
/// Thousandths of a CPU that a node has.
const ROOM: u64 = 8000;
/// What runs all the time for each scheduler: together more than fits.
const N_REPLICAS: usize = 18;
const SIDES: [&str; 2] = ["ours", "theirs"];
/// An important pod of each side comes so often, and works so long.
const EVERY: Duration = Duration::from_secs(8);
const WORK: Duration = Duration::from_secs(20);
/// What a victim takes to end.
const GRACE: Duration = Duration::from_secs(5);
/// Victims of one preemption are told apart from those of the next by more than this: the next waits until these have ended.
const ONE_ROUND_MS: i64 = 4000;
/// A war: a pod makes the other scheduler's pods leave a node, and again within this time (k/k#130429 saw it three times a minute).
const WAR_MS: i64 = 600_000;

/// How long it goes on: `E2E_TOGETHER_SECONDS`, or a little.
fn length() -> Duration {
    let seconds = std::env::var("E2E_TOGETHER_SECONDS").ok().map_or(25, |s| s.parse().expect("E2E_TOGETHER_SECONDS is a number"));
    Duration::from_secs(seconds)
}

/// The controllers and kubelets of the cluster.
struct World<'t> {
    test: &'t Test,
    n: usize,
    /// Pods that a kubelet lets run, by node.
    admitted: BTreeMap<String, BTreeSet<String>>,
    /// Since when pods are being deleted.
    leaving: BTreeMap<String, Instant>,
    /// Since when important pods work.
    working: BTreeMap<String, Instant>,
    next: Instant,
    n_rejected: usize,
    n_worked: usize,
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// The side of a pod, by its name.
fn side(pod: &str) -> &str {
    pod.split('-').next().unwrap_or_default()
}

fn cpu(pod: &Value) -> u64 {
    text(pod, "/metadata/labels/cpu").parse().unwrap_or_default()
}

impl World<'_> {
    fn add(&mut self, side: &str, kind: &str, cpu: u64) {
        self.n += 1;
        let scheduler = if side == "ours" { self.test.name.clone() } else { format!("{}-theirs", self.test.name) };
        let over = json!({
            "metadata": {"labels": {"kind": kind, "cpu": cpu.to_string()}},
            "spec": {
                "schedulerName": scheduler, "terminationGracePeriodSeconds": GRACE.as_secs(),
                "priorityClassName": self.test.node_name(kind),
            },
        });
        self.test.add_pod(&format!("{side}-{}", self.n), merged(Test::cpu(&format!("{cpu}m")), over));
    }

    /// Everything but the schedulers does what is due.
    fn turn(&mut self) {
        let mut pods = self.test.api().list(&self.test.pods_path());
        pods.sort_by_key(|pod| text(pod, "/metadata/creationTimestamp").to_owned());
        for pod in &pods {
            self.kubelet(pod, &pods);
        }
        for side_of in SIDES {
            let kept = |pod: &&Value| side(text(pod, "/metadata/name")) == side_of && text(pod, "/metadata/labels/kind") == "low";
            let there =
                pods.iter().filter(kept).filter(|pod| pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] != "Failed");
            for i in there.count()..N_REPLICAS {
                self.add(side_of, "low", 1000 + 1000 * (i as u64 % 2));
            }
        }
        if Instant::now() >= self.next {
            self.next = Instant::now() + EVERY;
            SIDES.iter().for_each(|side| self.add(side, "high", 4000));
        }
    }

    /// What the kubelet of the pod's node does about it.
    fn kubelet(&mut self, pod: &Value, pods: &[Value]) {
        let (name, node) = (text(pod, "/metadata/name").to_owned(), text(pod, "/spec/nodeName").to_owned());
        let path = self.test.pod_path(&name);
        if pod["status"]["phase"] == "Failed" {
            return self.remove(&path, &name, &node);
        }
        if pod["metadata"]["deletionTimestamp"].is_string() {
            if self.leaving.entry(name.clone()).or_insert_with(Instant::now).elapsed() >= GRACE {
                self.remove(&path, &name, &node);
            }
            return;
        }
        if node.is_empty() {
            return;
        }
        let admitted = self.admitted.entry(node).or_default();
        if !admitted.contains(&name) {
            let used: u64 = pods.iter().filter(|other| admitted.contains(text(other, "/metadata/name"))).map(cpu).sum();
            if used + cpu(pod) > ROOM {
                self.n_rejected += 1;
                let status =
                    json!({"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected: Node didn't have enough resource: cpu"});
                self.test.api().patch(&format!("{path}/status"), &json!({"status": status}));
                return;
            }
            admitted.insert(name.clone());
            let started = text(pod, "/metadata/creationTimestamp");
            self.test.api().patch(&format!("{path}/status"), &json!({"status": {"phase": "Running", "startTime": started}}));
        }
        if text(pod, "/metadata/labels/kind") == "high" && self.working.entry(name.clone()).or_insert_with(Instant::now).elapsed() >= WORK {
            self.n_worked += usize::from(self.working.remove(&name).is_some());
            self.remove(&path, &name, text(pod, "/spec/nodeName"));
        }
    }

    /// The pod is gone.
    fn remove(&mut self, path: &str, name: &str, node: &str) {
        self.test.api().delete(path);
        self.leaving.remove(name);
        if let Some(admitted) = self.admitted.get_mut(node) {
            admitted.remove(name);
        }
    }
}

/// A preemption of the other scheduler's pods: by which pod, on which node, and when.
type Raids = BTreeMap<(String, String), Vec<i64>>;

/// What the events tell of preemptions of the other scheduler's pods, for each pod that preempted.
fn raids(test: &Test) -> [Raids; 2] {
    let mut raids = [Raids::new(), Raids::new()];
    let events = test.api().list(&format!("/apis/events.k8s.io/v1/namespaces/{}/events", test.name));
    for event in events.iter().filter(|event| event["reason"] == "Preempted") {
        let by_us = text(event, "/reportingController") == test.name;
        let of_us = side(text(event, "/regarding/name")) == "ours";
        if by_us != of_us {
            let note = text(event, "/note");
            let words: Vec<&str> = note.split_whitespace().collect();
            let at = time_ms(text(event, "/eventTime"));
            raids[usize::from(!by_us)].entry((words[3].to_owned(), words[6].to_owned())).or_default().push(at);
        }
    }
    raids
}

/// `…THH:MM:SS.ffffff…` on its day, in milliseconds.
fn time_ms(time: &str) -> i64 {
    let clock = time.split('T').nth(1).unwrap_or_default();
    let number = |range: std::ops::Range<usize>| clock.get(range).and_then(|digits| digits.parse::<i64>().ok()).unwrap_or_default();
    ((number(0..2) * 60 + number(3..5)) * 60 + number(6..8)) * 1000 + number(9..12)
}

/// Rounds of preemptions, and how many of them came back to a node within [`WAR_MS`].
fn wars(raids: &Raids) -> (usize, usize) {
    let (mut n_rounds, mut n_wars) = (0, 0);
    for times in raids.values() {
        let mut times = times.clone();
        times.sort_unstable();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > ONE_ROUND_MS);
        let gaps: Vec<i64> = gaps.collect();
        n_rounds += 1 + gaps.len();
        n_wars += gaps.iter().filter(|gap| **gap < WAR_MS).count();
    }
    (n_rounds, n_wars)
}

#[test]
fn two_schedulers_preempt_each_others_pods_and_fight_no_war() {
    let test = Test::new("wars");
    for (class, value) in [("low", 10), ("high", 1000)] {
        let class = json!({"metadata": {"name": test.node_name(class)}, "value": value});
        test.api().create("/apis/scheduling.k8s.io/v1/priorityclasses", &class);
    }
    let size = json!({"cpu": format!("{ROOM}m"), "memory": "32Gi", "pods": "110"});
    for i in 0..N_NODES {
        test.add_node(&i.to_string(), json!({"status": {"capacity": size, "allocatable": size}}));
    }
    let _theirs = test.kube_scheduler("wars-theirs");
    let _ours = test.scheduler();
    let start = Instant::now();
    let mut world = World {
        test: &test,
        n: 0,
        admitted: BTreeMap::new(),
        leaving: BTreeMap::new(),
        working: BTreeMap::new(),
        next: start + Duration::from_secs(4),
        n_rejected: 0,
        n_worked: 0,
    };
    while start.elapsed() < length() {
        world.turn();
        std::thread::sleep(Duration::from_millis(200)); // the pace of the world, which nothing below depends on
    }
    let [ours, theirs] = raids(&test).map(|raids| wars(&raids));
    println!(
        "{} s: ours preempted theirs {} times ({} wars), kube-scheduler ours {} times ({} wars); {} pods turned away, {} important ones done",
        start.elapsed().as_secs(),
        ours.0,
        ours.1,
        theirs.0,
        theirs.1,
        world.n_rejected,
        world.n_worked
    );
    assert!(ours.0 > 0 && theirs.0 > 0, "nobody preempted the other's pods");
    assert_eq!((ours.1, theirs.1), (0, 0), "wars of ours, and of kube-scheduler");
}
