//! Servers that are broken or mean no good: each costs one pod its answer, and nothing else.
//! Leaves out what decoding drops from well-formed answers: see `decode.rs`.

use crate::fake::policy;
use crate::raw::{End, framed, start};
use crate::{Subject, config};
use aisched_apollo::ClientConfig;
use aisched_apollo::wire::{NodePreference, PluginWeights, SchedulingPolicy, WorkloadSignatureInfo};
use aisched_model::policy::PolicySource::{Fallback, Success};
use prost::Message;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// For servers that never finish: short, because real time passes.
fn hasty(endpoint: SocketAddr) -> ClientConfig {
    ClientConfig { request_timeout: Duration::from_millis(200), ..config(endpoint) }
}

#[tokio::test]
async fn answers_that_cannot_be_decoded_are_failures() {
    let not_utf8 = [0x62, 2, 0xff, 0xfe]; // field 12, the reason
    let five_mib = framed(&vec![0; 5 << 20]);
    let compressed = [1, 0, 0, 0, 2, 0x1f, 0x8b];
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("invalid UTF-8", framed(&not_utf8), "invalid string value"),
        ("garbage", framed(&[0xff; 100]), "invalid varint"),
        ("too large", five_mib, "decoded message length too large"),
        ("too large by its own word", vec![0, 0xff, 0xff, 0xff, 0xff], "decoded message length too large"),
        ("compressed unasked", compressed.to_vec(), "compress"),
        ("nothing", vec![], "Missing response message"),
    ];
    for (name, bytes, expected) in cases {
        let mut subject = Subject::new(config(start(bytes, End::Properly).await));
        let answer = subject.resolve("a").await;
        assert_eq!(answer.source, Fallback, "{name}");
        let error = answer.error.unwrap();
        assert!(error.contains(expected), "{name}: {error}");
        assert!(error.len() < 400, "{name}: {} bytes of error", error.len());
    }
}

#[tokio::test]
async fn answers_that_never_end_are_given_up_at_the_deadline() {
    let whole = framed(&policy("r-1").encode_to_vec());
    let half = whole[..whole.len() / 2].to_vec();
    for (name, bytes, end) in [
        ("stalled before the message", vec![0], End::Stalled),
        ("stalled in the message", half, End::Stalled),
        ("stalled after the message", whole.clone(), End::Stalled),
        ("endless messages", whole, End::Endless),
    ] {
        let mut subject = Subject::new(hasty(start(bytes, end).await));
        let answer = subject.resolve("a").await;
        assert_eq!((answer.source, answer.error.as_deref()), (Fallback, Some("no answer within 200 ms")), "{name}");
    }
}

#[tokio::test]
async fn server_that_accepts_and_says_nothing_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut subject = Subject::new(hasty(listener.local_addr().unwrap()));
    let answer = subject.resolve("a").await;
    assert_eq!((answer.source, answer.error.as_deref()), (Fallback, Some("no answer within 200 ms")));
}

#[tokio::test]
async fn connections_that_close_or_talk_nonsense_are_failures() {
    for greeting in ["", "HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_10.0\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let _ = connection.write_all(greeting.as_bytes()).await;
            }
        });
        let mut subject = Subject::new(config(address));
        let answer = subject.resolve("a").await;
        assert_eq!(answer.source, Fallback, "{greeting:?}");
        let error = answer.error.unwrap();
        assert!(error.starts_with("the call failed: "), "{greeting:?}: {error}");
        assert_eq!(subject.client.stats().calls.failed, 1);
    }
}

#[tokio::test]
async fn huge_lists_and_names_and_odd_weights_arrive_bounded() {
    let preference = |i: usize| NodePreference { node_name: format!("node-{i}"), score: i32::MIN, reason: "r".repeat(50) };
    let mut preferences: Vec<NodePreference> = (0..10_000).map(preference).collect();
    preferences[0].node_name = "x".repeat(1 << 20);
    let weights = PluginWeights { data_locality_aware: f32::NAN, ..PluginWeights::default() };
    let signature = WorkloadSignatureInfo { dataset_name: "d".repeat(1 << 20), ..WorkloadSignatureInfo::default() };
    let answer = SchedulingPolicy {
        reason: "y".repeat(1 << 20),
        node_preferences: preferences,
        plugin_weights_or_created_at: weights.encode_to_vec(),
        workload_signature: signature.encode_to_vec(),
        ..policy("r-1")
    };
    let mut subject = Subject::new(config(start(framed(&answer.encode_to_vec()), End::Properly).await));
    let answer = subject.resolve("a").await;
    assert_eq!((answer.source, answer.error), (Success, None));
    let policy = answer.policy.unwrap();
    assert_eq!((policy.node_preferences.len(), policy.reason.len()), (9_999, 1024));
    assert!(policy.plugin_weights.unwrap()[0].is_nan());
    assert!(policy.findings.datasets.is_empty());
    assert_eq!(subject.client.stats().oddities.names_dropped, 2);
}
