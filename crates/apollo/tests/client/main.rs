//! The client against real gRPC servers: over memory with virtual time, over TCP, over TLS; and the policy server's own behaviour.
//! Leaves out decoding: see `decode.rs` and `golden.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fake;
mod hostile;
mod policy_server;
mod raw;
mod tcp;
mod tls;
mod virtual_time;

use aisched_apollo::{ClientConfig, PolicyAnswer, PolicyClient, PolicyRequest};
use aisched_model::policy::PolicySource;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A client and what it answers.
struct Subject {
    client: PolicyClient,
    answers: UnboundedReceiver<PolicyAnswer>,
}

impl Subject {
    /// A client over TCP.
    fn new(config: ClientConfig) -> Self {
        let (sender, answers) = unbounded_channel();
        Self { client: PolicyClient::new(config, sender), answers }
    }

    fn ask(&self, uid: &str) {
        self.client.request(pod(uid));
    }

    async fn next(&mut self) -> PolicyAnswer {
        self.answers.recv().await.unwrap()
    }

    /// Asks and waits for the answer.
    async fn resolve(&mut self, uid: &str) -> PolicyAnswer {
        self.ask(uid);
        let answer = self.next().await;
        assert_eq!(&*answer.uid, uid);
        assert_eq!(answer.policy.is_none(), answer.source == PolicySource::Fallback);
        answer
    }

    async fn source(&mut self, uid: &str) -> PolicySource {
        self.resolve(uid).await.source
    }
}

/// The pod of a UID: `default/<uid>`.
fn pod(uid: &str) -> PolicyRequest {
    PolicyRequest { uid: uid.into(), namespace: "default".into(), name: uid.into(), ..PolicyRequest::default() }
}

/// The default configuration with this endpoint, and deadlines short enough for tests in real time.
fn config(endpoint: impl ToString) -> ClientConfig {
    ClientConfig { endpoint: endpoint.to_string(), request_timeout: Duration::from_secs(20), ..ClientConfig::default() }
}
