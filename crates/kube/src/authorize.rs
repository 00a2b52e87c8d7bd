//! Asks the API server who a bearer token is (TokenReview) and whether they may get a URL path (SubjectAccessReview).
//! Leaves out HTTP; answers are kept for seconds, so that scrapes and floods do not become calls.

use crate::problem::Problem;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// As kube-scheduler keeps answers about tokens and allowed callers.
const KEPT: Duration = Duration::from_secs(10);
/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(4);
/// Answers kept at a time.
const CAPACITY: usize = 1000;
/// Answers about longer paths are not kept: a flood of them must not fill the memory.
const LONGEST_PATH: usize = 1024;
/// Reviews at a time.
const IN_FLIGHT: usize = 16;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call may go on.
    Allowed,
    /// The token is nobody's.
    Unauthenticated,
    /// Whoever it is may not do this.
    Forbidden,
}

/// The API server did not say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{review}: {problem}")]
pub struct ReviewError {
    /// What was asked.
    pub review: &'static str,
    /// What went wrong, and what would be right.
    pub problem: String,
}

/// How long answers are kept and waited for.
#[derive(Clone, Copy, Debug)]
pub struct ReviewOptions {
    /// Answers, good and bad, count for so long.
    pub kept: Duration,
    /// Longest wait for one answer.
    pub deadline: Duration,
}

impl Default for ReviewOptions {
    fn default() -> Self {
        Self { kept: KEPT, deadline: DEADLINE }
    }
}

/// Asks the API server about callers.
pub struct Reviewer {
    client: Client,
    options: ReviewOptions,
    /// Keys of the token digest, new in every process.
    digest: [RandomState; 2],
    users: Mutex<Recent<TokenId, Option<Arc<UserInfo>>>>,
    verdicts: Mutex<Recent<Call, bool>>,
    in_flight: Semaphore,
}

/// A token's digest, so that tokens of others do not stay in memory: two hashes under keys of their own.
type TokenId = [u64; 2];

/// Who wants to do what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Call {
    /// `None` for a caller without a token.
    caller: Option<TokenId>,
    verb: String,
    path: String,
}

impl Reviewer {
    /// Asks through this client, whose account needs `create` on tokenreviews and subjectaccessreviews.
    #[must_use]
    pub fn new(client: Client, options: ReviewOptions) -> Self {
        Self {
            client,
            options,
            digest: [RandomState::new(), RandomState::new()],
            users: Mutex::new(Recent::new(CAPACITY, options.kept)),
            verdicts: Mutex::new(Recent::new(CAPACITY, options.kept)),
            in_flight: Semaphore::new(IN_FLIGHT),
        }
    }

    /// Whether the owner of `token` may do `verb` (`get`) on the URL path `path`. A caller without a token is `system:anonymous`,
    /// as for kube-scheduler: a ClusterRole may let everybody in.
    ///
    /// # Errors
    /// [`ReviewError`] when the API server does not say. Errors are not kept.
    pub async fn allowed(&self, token: Option<&str>, verb: &str, path: &str) -> Result<Verdict, ReviewError> {
        let caller = token.map(|token| self.digest.each_ref().map(|key| key.hash_one(token)));
        let user = match token.zip(caller) {
            Some((token, id)) => self.user(token, id).await?,
            None => Some(Arc::new(anonymous())),
        };
        let Some(user) = user else { return Ok(Verdict::Unauthenticated) };
        let call = Call { caller, verb: verb.into(), path: path.into() };
        Ok(if self.may(&user, call).await? { Verdict::Allowed } else { Verdict::Forbidden })
    }

    async fn user(&self, token: &str, id: TokenId) -> Result<Option<Arc<UserInfo>>, ReviewError> {
        if let Some(user) = lock(&self.users).get(Instant::now(), &id) {
            return Ok(user);
        }
        let spec = TokenReviewSpec { token: token.into(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let status = self.review(&review, "tokenreviews.authentication.k8s.io").await?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true)).map(Arc::new);
        lock(&self.users).put(Instant::now(), id, user.clone());
        Ok(user)
    }

    async fn may(&self, user: &UserInfo, call: Call) -> Result<bool, ReviewError> {
        if let Some(allowed) = lock(&self.verdicts).get(Instant::now(), &call) {
            return Ok(allowed);
        }
        let attributes = NonResourceAttributes { path: Some(call.path.clone()), verb: Some(call.verb.clone()) };
        let spec = SubjectAccessReviewSpec {
            user: user.username.clone(),
            groups: user.groups.clone(),
            uid: user.uid.clone(),
            extra: user.extra.clone(),
            non_resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let status = self.review(&review, "subjectaccessreviews.authorization.k8s.io").await?.status.unwrap_or_default();
        let allowed = status.allowed && status.denied != Some(true);
        if call.path.len() <= LONGEST_PATH {
            lock(&self.verdicts).put(Instant::now(), call, allowed);
        }
        Ok(allowed)
    }

    /// Creates a review and gives it back answered.
    async fn review<K>(&self, review: &K, resource: &'static str) -> Result<K, ReviewError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
    {
        let call = async {
            let _permit = self.in_flight.acquire().await;
            Api::<K>::all(self.client.clone()).create(&PostParams::default(), review).await
        };
        let failed = |problem| ReviewError { review: resource, problem };
        match timeout(self.options.deadline, call).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(error)) => Err(failed(words(&Problem::of(&error), resource))),
            Err(_) => Err(failed(format!("no answer within {:?}", self.options.deadline))),
        }
    }
}

fn words(problem: &Problem, resource: &str) -> String {
    match problem {
        Problem::Forbidden(answer) => format!("{answer}: grant verb \"create\" on {resource} to the scheduler's account"),
        other => other.message().into(),
    }
}

fn anonymous() -> UserInfo {
    let groups = Some(vec!["system:unauthenticated".into()]);
    UserInfo { username: Some("system:anonymous".into()), groups, ..UserInfo::default() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bounded number of answers, each for a bounded time.
struct Recent<K, V> {
    capacity: usize,
    kept: Duration,
    answers: HashMap<K, (Instant, V)>,
    /// Keys with the end of their time, soonest first.
    ends: VecDeque<(Instant, K)>,
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    fn new(capacity: usize, kept: Duration) -> Self {
        Self { capacity, kept, answers: HashMap::new(), ends: VecDeque::new() }
    }

    fn get(&self, now: Instant, key: &K) -> Option<V> {
        self.answers.get(key).filter(|(end, _)| *end > now).map(|(_, answer)| answer.clone())
    }

    fn put(&mut self, now: Instant, key: K, answer: V) {
        while self.ends.front().is_some_and(|(end, _)| *end <= now || self.ends.len() >= self.capacity) {
            let Some((end, key)) = self.ends.pop_front() else { break };
            if self.answers.get(&key).is_some_and(|(of, _)| *of == end) {
                self.answers.remove(&key);
            }
        }
        let end = now + self.kept;
        self.ends.push_back((end, key.clone()));
        self.answers.insert(key, (end, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Mock, Seen, client};
    use serde_json::{Value, json};

    const TOKENS: &str = "POST /apis/authentication.k8s.io/v1/tokenreviews";
    const ACCESS: &str = "POST /apis/authorization.k8s.io/v1/subjectaccessreviews";

    /// Knows token `good` of `ann`, who may get `/metrics`; everybody may get `/public`.
    fn server(seen: &Seen) -> Answer {
        let spec = &seen.body["spec"];
        let status = match seen.line().as_str() {
            TOKENS if spec["token"] == "good" => json!({"authenticated": true, "user": {"username": "ann", "groups": ["g"], "uid": "u"}}),
            TOKENS => json!({"authenticated": false, "error": "invalid bearer token"}),
            ACCESS => {
                let path = &spec["nonResourceAttributes"]["path"];
                json!({"allowed": path == "/public" || (path == "/metrics" && spec["user"] == "ann")})
            }
            other => panic!("{other} is not asked for"),
        };
        let mut answered = seen.body.clone();
        answered["status"] = status;
        Answer::Json(201, answered)
    }

    fn lines(seen: &[Seen]) -> Vec<String> {
        seen.iter().map(Seen::line).collect()
    }

    #[tokio::test]
    async fn caller_is_let_in_as_the_api_server_says() {
        let mock = Mock::start(server).await;
        let reviewer = Reviewer::new(mock.client(), ReviewOptions::default());
        for (token, path, verdict) in [
            (Some("good"), "/metrics", Verdict::Allowed),
            (Some("good"), "/api/v1/nodes", Verdict::Forbidden),
            (Some("bad"), "/metrics", Verdict::Unauthenticated),
            (Some("bad"), "/public", Verdict::Unauthenticated),
            (None, "/metrics", Verdict::Forbidden),
            (None, "/public", Verdict::Allowed),
        ] {
            assert_eq!(reviewer.allowed(token, "get", path).await, Ok(verdict), "{token:?} {path}");
        }
    }

    #[tokio::test]
    async fn whole_identity_verb_and_path_are_put_to_the_api_server() {
        let mock = Mock::start(server).await;
        let reviewer = Reviewer::new(mock.client(), ReviewOptions::default());
        reviewer.allowed(Some("good"), "head", "/metrics").await.unwrap();
        reviewer.allowed(None, "get", "/metrics").await.unwrap();
        let specs: Vec<Value> = mock.seen().iter().map(|seen| seen.body["spec"].clone()).collect();
        let expected = [
            json!({"token": "good"}),
            json!({"user": "ann", "groups": ["g"], "uid": "u", "nonResourceAttributes": {"path": "/metrics", "verb": "head"}}),
            json!({"user": "system:anonymous", "groups": ["system:unauthenticated"],
                   "nonResourceAttributes": {"path": "/metrics", "verb": "get"}}),
        ];
        assert_eq!(specs, expected);
    }

    #[tokio::test]
    async fn answers_are_kept_whether_good_or_bad() {
        let mock = Mock::start(server).await;
        let kept = Reviewer::new(mock.client(), ReviewOptions { kept: Duration::from_secs(3600), ..ReviewOptions::default() });
        for token in [Some("good"), Some("bad"), None] {
            for _ in 0..3 {
                kept.allowed(token, "get", "/metrics").await.unwrap();
            }
        }
        assert_eq!(lines(&mock.seen()), [TOKENS, ACCESS, TOKENS, ACCESS]);
        let unkept = Reviewer::new(mock.client(), ReviewOptions { kept: Duration::ZERO, ..ReviewOptions::default() });
        for _ in 0..2 {
            unkept.allowed(Some("good"), "get", "/metrics").await.unwrap();
        }
        assert_eq!(lines(&mock.seen()[4..]), [TOKENS, ACCESS, TOKENS, ACCESS]);
    }

    #[tokio::test]
    async fn silent_server_and_missing_permission_are_told_apart() {
        type Script = fn(&Seen) -> Answer;
        let cases: [(Script, &str); 3] = [
            (|_| Answer::Hang, "tokenreviews.authentication.k8s.io: no answer within 50ms"),
            (
                |_| Answer::status(403, "Forbidden", "it is forbidden"),
                "tokenreviews.authentication.k8s.io: it is forbidden: grant verb \"create\" on tokenreviews.authentication.k8s.io to \
                 the scheduler's account",
            ),
            (|_| Answer::status(500, "InternalError", "trouble"), "tokenreviews.authentication.k8s.io: trouble"),
        ];
        for (script, expected) in cases {
            let mock = Mock::start(script).await;
            let deadline = if expected.contains("50ms") { Duration::from_millis(50) } else { Duration::from_secs(60) };
            let reviewer = Reviewer::new(mock.client(), ReviewOptions { deadline, ..ReviewOptions::default() });
            let error = reviewer.allowed(Some("good"), "get", "/metrics").await.unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[tokio::test]
    async fn absent_server_is_an_error_and_is_asked_again() {
        let mock = Mock::start(server).await;
        let address = mock.address.clone();
        drop(mock);
        let reviewer = Reviewer::new(client(&address), ReviewOptions::default());
        let error = reviewer.allowed(None, "get", "/public").await.unwrap_err();
        assert!(error.to_string().starts_with("subjectaccessreviews.authorization.k8s.io: "), "{error}");
        let _mock = Mock::start_on(&address, server).await;
        assert_eq!(reviewer.allowed(None, "get", "/public").await, Ok(Verdict::Allowed));
    }

    #[test]
    fn kept_answers_end_with_their_time_and_make_room() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut recent = Recent::new(2, second * 10);
        recent.put(start, "a", 1);
        recent.put(start + second, "b", 2);
        assert_eq!([recent.get(start + second * 9, &"a"), recent.get(start + second * 10, &"a")], [Some(1), None]);
        recent.put(start + second * 2, "b", 3);
        assert_eq!([recent.get(start + second * 2, &"a"), recent.get(start + second * 2, &"b")], [None, Some(3)]);
        for n in 0..100 {
            recent.put(start + second * 3, "c", n);
        }
        assert_eq!((recent.ends.len(), recent.get(start + second * 3, &"c")), (2, Some(99)));
    }
}
