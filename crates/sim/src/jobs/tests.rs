//! Jobs by hand: each expected time is reckoned in the comment or the row, from `signals.md` §7.2.
//! Leaves out the mixes of the bench.

use super::{Checkpoint, Dataset, Job, Keeps, Plan, Reads, Report, Storage, run};
use crate::{Options, Plugins, Scenario};
use aisched_core::event::Event;
use aisched_model::Str;
use aisched_model::labels::Labels;
use aisched_model::node::Node;
use aisched_model::pod::{Pod, PodSpec};
use aisched_model::resources::{Bytes, MilliCpu};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

const GPU: &str = "nvidia.com/gpu";

/// A cluster of nodes with this many GPUs each.
fn cluster(n_nodes: usize, n_gpus: i64) -> Scenario {
    let mut scenario = Scenario::default();
    for i in 0..n_nodes {
        let name: Str = format!("n{i}").into();
        let mut node = Node { labels: Labels::from([("kubernetes.io/hostname", &*name)]), name, allocatable_pods: 110, ..Node::default() };
        node.allocatable.cpu = MilliCpu(64_000);
        node.allocatable.memory = Bytes(256 << 30);
        node.allocatable.scalars = vec![(GPU.into(), n_gpus)];
        scenario.add(Event::NodeSet(Arc::new(node), Vec::new()));
    }
    scenario
}

/// A pod of one GPU that says which dataset it reads.
fn pod(dataset: &str) -> Arc<Pod> {
    let mut spec = PodSpec { scheduler_name: "ai-storage-scheduler".into(), n_containers: 1, ..PodSpec::default() };
    spec.requests.scalars = vec![(GPU.into(), 1)];
    spec.annotations = Labels::from([("ai-storage.keti/dataset", dataset)]);
    Arc::new(Pod { namespace: "default".into(), spec: Arc::new(spec), ..Pod::default() })
}

/// A job of one pod that reads 100 MB/s of the only dataset, `d`.
fn job(name: &str, epochs: f64) -> Job {
    Job {
        name: name.into(),
        pod: pod("d"),
        n_pods: 1,
        arrives: 0,
        after: None,
        reads: Some(Reads { dataset: 0, epochs, mbps: 100.0 }),
        writes: None,
        checkpoint: None,
        compute_s: 0.0,
    }
}

/// Jobs on `d` of 10,000 MB, which one epoch at full speed reads in 100 s, and `out` of half the size.
fn plan(remote_mbps: f64, jobs: Vec<Job>) -> Plan {
    let storage = Storage { remote_mbps, ..Storage::default() };
    let datasets = vec![Dataset { name: "d".into(), mb: 10_000.0 }, Dataset { name: "out".into(), mb: 5_000.0 }];
    Plan { storage, datasets, jobs }
}

/// Seconds from arrival to end of each job.
fn times(report: &Report) -> Vec<u64> {
    report.jobs.iter().map(|job| job.time().map_or(u64::MAX, |ms| ms / 1000)).collect()
}

fn place(scenario: Scenario, plan: &Plan) -> Report {
    run(scenario, plan, &Options::default(), &mut |_| ())
}

#[test]
fn first_epoch_goes_over_the_wire_and_later_ones_do_not() {
    for (what, remote, epochs, seconds, remote_mb) in [
        ("enough for all", 1000.0, 3.0, 300, 10_000.0),
        ("half of what it takes", 50.0, 1.0, 200, 10_000.0),
        ("half, but only once", 50.0, 3.0, 400, 10_000.0),
    ] {
        let report = place(cluster(1, 1), &plan(remote, vec![job("a", epochs)]));
        assert_eq!(times(&report), [seconds], "{what}");
        assert!((report.remote_mb - remote_mb).abs() < 1.0, "{what}: {}", report.remote_mb);
        assert!((report.local_mb - 10_000.0 * (epochs - 1.0)).abs() < 1.0, "{what}: {}", report.local_mb);
    }
}

#[test]
fn cache_that_is_too_small_hits_in_proportion() {
    // Half is hit: 1 / (0.5/3000 + 0.5/25) MB/s after an epoch of 400 s; of what a scan of the latest finds, 0.6 of that half.
    for (what, keeps, seconds) in [("first", Keeps::First, 400 + 201), ("latest", Keeps::Latest(0.6), 400 + 281)] {
        let mut plan = plan(25.0, vec![job("a", 2.0)]);
        plan.storage = Storage { cache_mb: 5_000.0, keeps, ..plan.storage };
        assert_eq!(times(&place(cluster(1, 1), &plan)), [seconds], "{what}");
    }
}

#[test]
fn jobs_share_the_remote_store_and_wait_for_accelerators() {
    let jobs = || vec![job("a", 1.0), job("b", 1.0)];
    let beside = place(cluster(2, 1), &plan(100.0, jobs()));
    assert_eq!(times(&beside), [200, 200], "50 MB/s each");
    assert!((beside.utilisation().unwrap() - 0.5).abs() < 0.01);
    let in_turn = place(cluster(1, 1), &plan(100.0, jobs()));
    assert_eq!(times(&in_turn)[0], 100);
    // The second reads what the first has left in the cache; it has waited 100 s and a backoff of at most 10 s.
    assert!((200..=210).contains(&times(&in_turn)[1]), "{:?}", in_turn.times());
    assert!((in_turn.utilisation().unwrap() - 1.0).abs() < 0.01 && (in_turn.remote_mb - 10_000.0).abs() < 1.0);
}

#[test]
fn pods_of_a_job_work_in_step_when_all_have_a_node() {
    let both = Job { n_pods: 2, ..job("both", 2.0) };
    // Each reads half of the data in an epoch: 50 s at full speed, 100 s at 50 MB/s. Its node holds a half then, so the second epoch
    // takes 5000 MB * (0.5/3000 + 0.5/50).
    let report = place(cluster(2, 1), &plan(100.0, vec![both.clone()]));
    assert_eq!((times(&report), report.jobs[0].nodes.len()), (vec![150], 2));
    let mut with_peers = plan(100.0, vec![both]);
    with_peers.storage.peers = true;
    let report = place(cluster(2, 1), &with_peers);
    assert_eq!(times(&report), [150]);
    assert!((report.peer_mb - 5_000.0).abs() < 1.0 && (report.remote_mb - 10_000.0).abs() < 1.0, "{report:?}");
}

#[test]
fn jobs_of_several_pods_never_wait_for_each_other() {
    let gang = |name| Job { n_pods: 2, ..job(name, 1.0) };
    let report = place(cluster(2, 1), &plan(1000.0, vec![gang("a"), gang("b"), gang("c")]));
    assert_eq!(report.n_unfinished(), 0, "{report:?}");
    assert!(report.jobs[1].started >= report.jobs[0].ended && report.jobs[2].started >= report.jobs[1].ended);
}

#[test]
fn job_that_fits_nowhere_never_ends_nor_begins_what_follows_it() {
    let huge = Job { n_pods: 3, ..job("huge", 1.0) };
    let after = Job { after: Some(0), ..job("after", 1.0) };
    let report = place(cluster(2, 1), &plan(1000.0, vec![huge, after, Job { arrives: 5_000, ..job("late", 1.0) }]));
    assert_eq!((report.jobs[0].ended, report.jobs[1].arrived), (None, None));
    assert_eq!(report.n_unfinished(), 3, "two of its pods hold both nodes");
}

#[test]
fn pipeline_finds_the_output_where_it_was_made() {
    let mut second = Job { after: Some(0), arrives: 100_000, pod: pod("out"), ..job("train", 1.0) };
    second.reads = Some(Reads { dataset: 1, epochs: 1.0, mbps: 100.0 });
    let first = Job { writes: Some(1), ..job("prepare", 1.0) };
    // 10,000 MB in and 5,000 MB out at 50 MB/s; then 50 s of local reading, 100 s after that.
    let report = place(cluster(3, 1), &plan(50.0, vec![first, second]));
    assert_eq!(times(&report), [300, 50]);
    assert_eq!(report.jobs[0].nodes, report.jobs[1].nodes);
    assert!((report.remote_mb - 15_000.0).abs() < 1.0);
}

#[test]
fn checkpoints_stand_still_and_work_without_input_does_not() {
    let saving = Job { checkpoint: Some(Checkpoint { mb: 30_000.0, every_s: 20.0 }), ..job("a", 1.0) };
    let then = Job { compute_s: 60.0, ..job("b", 1.0) };
    // 10 s of saving for each 20 s of work.
    let report = place(cluster(2, 1), &plan(1000.0, vec![saving, then]));
    assert_eq!(times(&report), [150, 160]);
}

#[test]
fn nodes_say_what_they_cache_and_only_plugins_that_read_it_go_there() {
    let jobs = || (0..4).map(|i| Job { arrives: i * 400_000, ..job(&format!("j{i}"), 1.0) }).collect();
    let run_with = |plugins| run(cluster(4, 4), &plan(50.0, jobs()), &Options { plugins, ..Options::default() }, &mut |_| ());
    let ours = run_with(Plugins::AiStorage);
    assert_eq!(times(&ours), [200, 100, 100, 100]);
    assert!(ours.jobs.windows(2).all(|pair| pair[0].nodes == pair[1].nodes));
    let default = run_with(Plugins::Default);
    assert!(default.remote_mb > ours.remote_mb, "{} and {}", default.remote_mb, ours.remote_mb);
}

#[test]
fn node_that_says_it_caches_the_data_has_it_from_the_start() {
    let mut scenario = cluster(1, 1);
    let mut node = Node::clone(scenario.nodes().next().unwrap());
    (node.name, node.storage.cached_datasets, node.storage.throughput_mbps) = ("warm".into(), vec!["d".into()], Some(50));
    scenario.add(Event::NodeSet(Arc::new(node), Vec::new()));
    let report = place(scenario, &plan(1000.0, vec![job("a", 1.0)]));
    assert_eq!((times(&report), &*report.jobs[0].nodes[0]), (vec![200], "warm"));
    assert!(report.network_mb() < 1.0);
}

#[test]
fn job_that_made_room_for_another_is_said_to_have() {
    let important = |mut job: Job| {
        let mut pod = Pod::clone(&job.pod);
        Arc::make_mut(&mut pod.spec).priority = 100;
        (job.pod, job.arrives) = (Arc::new(pod), 10_000);
        job
    };
    let report = place(cluster(1, 1), &plan(1000.0, vec![job("low", 1.0), important(job("high", 1.0))]));
    assert!(report.jobs[0].preempted && report.jobs[0].ended.is_none(), "{report:?}");
    assert_eq!(report.jobs[1].time(), Some(100_000));
}
