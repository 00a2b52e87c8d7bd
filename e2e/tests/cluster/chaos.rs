//! Bad weather between the scheduler and the API server, one kind after another, while pods come and go.
//! Leaves out histories on virtual time, which are many more (`crates/sim/src/storm`).

use aisched_e2e::{Asked, Binds, Fate, Options, Program, Proxy, Streams, Test, eventually, free_port, signal, within};
use serde_json::json;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const N_NODES: usize = 10;
/// Pods that there are at a time: they nearly fill the nodes, so that one counted twice would leave others without a place.
const N_PODS: usize = 190;
/// How long the weather stays bad.
const STORM: Duration = Duration::from_secs(2);
/// Longer than a silent watch takes to be found out.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Calm,
    /// Requests take 300 ms longer.
    Late,
    /// Half of the connections end before the request arrives.
    Dropped,
    /// Half of the writes are done, and nobody hears of it.
    AnswersLost,
    /// Two of three requests are told to come again in a second.
    Busy,
    /// Half of the requests meet a server that fails.
    Failing,
    /// Half of the writes meet a conflict.
    Conflicts,
    /// Watches end in the middle of a word.
    Cut,
    /// Open watches hear nothing more, and do not end.
    Silent,
    /// The policy service is not there.
    NoPolicies,
    /// The scheduler stands still.
    Frozen,
    /// The scheduler is killed, and started again.
    Killed,
}

impl Weather {
    /// Without the one that takes minutes to be found out.
    const SHORT: [Self; 10] = [
        Self::Late,
        Self::Dropped,
        Self::AnswersLost,
        Self::Busy,
        Self::Failing,
        Self::Conflicts,
        Self::Cut,
        Self::NoPolicies,
        Self::Frozen,
        Self::Killed,
    ];

    fn fate(self, chance: u64, asked: &Asked) -> Fate {
        let (is_write, one_of_two) = (asked.method != "GET", chance.is_multiple_of(2));
        match self {
            Self::Late => Fate::Late(Duration::from_millis(300)),
            Self::Dropped if one_of_two => Fate::Dropped,
            Self::AnswersLost if is_write && one_of_two => Fate::AnswerLost,
            Self::Busy if !chance.is_multiple_of(3) => Fate::Refused(429),
            Self::Failing if one_of_two => Fate::Refused(500),
            Self::Conflicts if is_write && one_of_two => Fate::Refused(409),
            _ => Fate::Passed,
        }
    }
}

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no whole number")))
}

fn mixed(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Keeps pods coming and, once they are bound, going, until it is told to stop; the number of pods in all.
fn load(test: &Test, binds: &Binds, stop: &AtomicBool) -> usize {
    let mut living = VecDeque::new();
    for i in 0.. {
        if stop.load(Ordering::SeqCst) {
            return i;
        }
        let name = format!("p{i}");
        test.add_pod(&name, json!({}));
        living.push_back(name);
        while living.len() > N_PODS {
            // The one that waits longest must have been bound: nothing else makes room.
            let oldest = living.pop_front().expect("there are many");
            within(PATIENCE, &format!("{oldest} is bound"), || binds.node_of(&oldest).ok_or_else(|| "it is not".into()));
            test.api().delete(&test.pod_path(&oldest));
        }
    }
    unreachable!("numbers do not end")
}

struct Chaos<'a> {
    test: &'a Test,
    binds: &'a Binds,
    proxy: &'a Proxy,
    weather: Arc<Mutex<Weather>>,
    options: Options,
    scheduler: Program,
    policies: Option<Program>,
}

const RULES: &str = "rules:\n- name: all\n  answer: {workload_signature: {io_pattern: read-heavy}}\n";

impl Chaos<'_> {
    /// One storm; how long it took from its end until a pod that came then was bound.
    fn storm(&mut self, n: usize, kind: Weather) -> Duration {
        *self.weather.lock().expect("nobody fails with it") = kind;
        self.begin(kind);
        std::thread::sleep(STORM);
        *self.weather.lock().expect("nobody fails with it") = Weather::Calm;
        self.end(kind);
        let since = Instant::now();
        let probe = format!("probe{n}");
        self.test.add_pod(&probe, json!({}));
        within(PATIENCE, &format!("after {kind:?}, {probe} is bound"), || self.binds.node_of(&probe).ok_or_else(|| "it is not".into()));
        let took = since.elapsed();
        self.test.api().delete(&self.test.pod_path(&probe));
        took
    }

    fn begin(&mut self, kind: Weather) {
        match kind {
            Weather::Cut => self.proxy.streams(Streams::Cut),
            Weather::Silent => self.proxy.streams(Streams::Silent),
            Weather::NoPolicies => drop(self.policies.take()),
            Weather::Frozen => signal("STOP", self.scheduler.id()),
            Weather::Killed => signal("KILL", self.scheduler.id()),
            _ => {}
        }
    }

    fn end(&mut self, kind: Weather) {
        match kind {
            Weather::Cut => self.proxy.streams(Streams::Flow),
            Weather::NoPolicies => self.policies = Some(policies(self.test, &self.options)),
            Weather::Frozen => signal("CONT", self.scheduler.id()),
            Weather::Killed => self.scheduler = self.test.scheduler_with(&self.options, "scheduler"),
            _ => {}
        }
    }
}

fn policies(test: &Test, options: &Options) -> Program {
    let port = options.apollo_endpoint.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    test.policy_server(RULES, port)
}

/// Every kind of weather once, or for `E2E_CHAOS_SECONDS`, in an order that follows from `E2E_CHAOS_SEED`.
#[test]
fn nothing_is_lost_doubled_or_overcommitted_in_bad_weather() {
    let test = Test::new("chaos");
    let size = json!({"cpu": "2", "memory": "32Gi", "pods": "110"});
    (0..N_NODES).for_each(|i| drop(test.add_node(&i.to_string(), json!({"status": {"capacity": size, "allocatable": size}}))));
    let (seconds, seed) = (setting("E2E_CHAOS_SECONDS"), setting("E2E_CHAOS_SEED").unwrap_or(1));
    let binds = Binds::watch(&test);
    let mut proxy = Proxy::new(&test);
    let weather = Arc::new(Mutex::new(Weather::Calm));
    let (now, n_asked) = (weather.clone(), AtomicU64::new(0));
    proxy.listen(Arc::new(move |asked| {
        let chance = mixed((seed, n_asked.fetch_add(1, Ordering::SeqCst)));
        now.lock().expect("nobody fails with it").fate(chance, asked)
    }));
    let options = Options { kubeconfig: proxy.kubeconfig.clone(), apollo_endpoint: format!("127.0.0.1:{}", free_port()), ..test.options() };
    let policies = Some(policies(&test, &options));
    let mut scheduler = test.scheduler_with(&options, "scheduler");
    scheduler.wait_until_ready();
    let mut chaos = Chaos { test: &test, binds: &binds, proxy: &proxy, weather, options, scheduler, policies };

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| load(&test, &binds, &stop));
        let mut storms: Vec<Weather> = Weather::SHORT.into();
        storms.sort_by_key(|kind| mixed((seed, *kind as u8)));
        let began = Instant::now();
        let goes_on = |n: usize| seconds.map_or(n < storms.len(), |seconds| began.elapsed() < Duration::from_secs(seconds));
        let resident_at_first = chaos.scheduler.resident_kib();
        eprintln!("seed {seed}; resident at first {resident_at_first} KiB");
        for n in (0..).take_while(|n| goes_on(*n) && !load.is_finished()) {
            // Only where there is time: it is found out after minutes.
            let kind = if n % 40 == 39 { Weather::Silent } else { storms[n % storms.len()] };
            let took = chaos.storm(n, kind);
            let resident = chaos.scheduler.resident_kib();
            eprintln!("{n:4} {:12} next bind {:6} ms after it, resident {resident} KiB", format!("{kind:?}"), took.as_millis());
            assert!(resident < 2 * resident_at_first, "memory is not flat");
        }
        stop.store(true, Ordering::SeqCst);
        let n_pods = load.join().expect("the load goes on until it is stopped");
        eventually("every pod that is there is bound", || {
            let pods = test.api().list(&test.pods_path());
            let waiting: Vec<_> = pods.iter().filter(|p| p["spec"]["nodeName"].is_null()).map(|p| &p["metadata"]["name"]).collect();
            if waiting.is_empty() { Ok(()) } else { Err(format!("{waiting:?}")) }
        });
        eprintln!("{n_pods} pods in {} s", began.elapsed().as_secs());
    });
    assert_eq!(test.overcommitted(), Vec::<String>::new());
    assert_eq!(binds.bound_twice().len(), 0, "{:?}", binds.bound_twice());
}
