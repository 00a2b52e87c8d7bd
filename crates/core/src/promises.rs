//! Volumes and claims as binds under way will leave them, until the watch shows it: two pods must not be given one volume.
//! Leaves out who binds; knows no time.

use aisched_model::Str;
use aisched_model::snapshot::{NamespacedName, Snapshot};
use aisched_model::volume::{Claim, Volume, VolumePlan};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What has been promised and is not there yet.
#[derive(Default)]
pub(crate) struct Promises {
    /// Volumes by name, each with the claim that it is promised to.
    volumes: BTreeMap<Str, Promise<Volume, (Str, Str, Str)>>,
    /// Claims, each with the node that a volume is to be made for.
    claims: BTreeMap<NamespacedName, Promise<Claim, Str>>,
    /// What was promised for a pod, by its UID.
    pods: BTreeMap<Str, (Vec<Str>, Vec<NamespacedName>)>,
}

struct Promise<T, To> {
    to: To,
    /// UID of the pod whose bind is to keep it.
    by: Str,
    /// As the API server last showed it.
    shown: Arc<T>,
    /// The bind has succeeded: what the watch shows next is the truth.
    kept: bool,
}

impl Promises {
    /// Takes what a plan is about as done, in the snapshot too.
    pub(crate) fn make(&mut self, snapshot: &mut Snapshot, pod: &Str, node: &Str, plan: &VolumePlan) {
        let (volumes, claims) = self.pods.entry(pod.clone()).or_default();
        for (claim, volume) in &plan.bind {
            if volume.claim.as_ref().is_some_and(|(_, _, uid)| !uid.is_empty()) {
                continue; // another pod's bind is about it, or the API server shows it
            }
            let to = (claim.namespace.clone(), claim.name.clone(), claim.uid.clone());
            snapshot.set_volume(Arc::new(Volume { claim: Some(to.clone()), ..Volume::clone(volume) }));
            self.volumes.insert(volume.name.clone(), Promise { to, by: pod.clone(), shown: volume.clone(), kept: false });
            volumes.push(volume.name.clone());
        }
        for claim in plan.provision.iter().filter(|claim| claim.selected_node.is_none()) {
            let key = (claim.namespace.clone(), claim.name.clone());
            snapshot.set_claim(Arc::new(Claim { selected_node: Some(node.clone()), ..Claim::clone(claim) }));
            self.claims.insert(key.clone(), Promise { to: node.clone(), by: pod.clone(), shown: claim.clone(), kept: false });
            claims.push(key);
        }
    }

    /// A volume as it is to be taken, now that the API server shows it like this.
    pub(crate) fn volume(&mut self, shown: Arc<Volume>) -> Arc<Volume> {
        let Some(promise) = self.volumes.get_mut(&shown.name) else { return shown };
        if promise.kept || shown.claim.as_ref().is_some_and(|(_, _, uid)| !uid.is_empty()) {
            self.volumes.remove(&shown.name);
            return shown;
        }
        promise.shown = shown.clone();
        Arc::new(Volume { claim: Some(promise.to.clone()), ..Volume::clone(&shown) })
    }

    /// A claim as it is to be taken, now that the API server shows it like this.
    pub(crate) fn claim(&mut self, shown: Arc<Claim>) -> Arc<Claim> {
        let key = (shown.namespace.clone(), shown.name.clone());
        let Some(promise) = self.claims.get_mut(&key) else { return shown };
        if promise.kept || shown.volume.is_some() || shown.selected_node.is_some() || promise.shown.uid != shown.uid {
            self.claims.remove(&key);
            return shown;
        }
        promise.shown = shown.clone();
        Arc::new(Claim { selected_node: Some(promise.to.clone()), ..Claim::clone(&shown) })
    }

    /// A volume is gone.
    pub(crate) fn volume_gone(&mut self, name: &str) {
        self.volumes.remove(name);
    }

    /// A claim is gone.
    pub(crate) fn claim_gone(&mut self, key: &NamespacedName) {
        self.claims.remove(key);
    }

    /// Of the claims of this name only the one with this UID is there now, if any: the others get nothing. Without this a volume whose
    /// watch was broken while it was theirs, and that is free when it is shown again, would stay promised. Returns what is free again.
    pub(crate) fn forsake(&mut self, snapshot: &mut Snapshot, name: (&Str, &Str), uid: Option<&Str>) -> Vec<Arc<Volume>> {
        let forsaken = |(namespace, claim, of): &(Str, Str, Str)| (namespace, claim) == name && Some(of) != uid;
        let free: Vec<_> = self.volumes.extract_if(.., |_, promise| forsaken(&promise.to)).map(|(_, promise)| promise.shown).collect();
        for volume in &free {
            snapshot.set_volume(volume.clone());
        }
        free
    }

    /// The pod's bind has succeeded: promises stand until the watch shows what became of them.
    pub(crate) fn keep(&mut self, pod: &str) {
        let Some((volumes, claims)) = self.pods.remove(pod) else { return };
        for name in &volumes {
            if let Some(promise) = self.volumes.get_mut(name).filter(|promise| *promise.by == *pod) {
                promise.kept = true;
            }
        }
        for key in &claims {
            if let Some(promise) = self.claims.get_mut(key).filter(|promise| *promise.by == *pod) {
                promise.kept = true;
            }
        }
    }

    /// The pod's bind has come to nothing: all is as the API server showed it. Returns the volumes that others may have again,
    /// and the claims as they were.
    pub(crate) fn take_back(&mut self, snapshot: &mut Snapshot, pod: &str) -> (Vec<Arc<Volume>>, Vec<Arc<Claim>>) {
        let Some((volumes, claims)) = self.pods.remove(pod) else { return (Vec::new(), Vec::new()) };
        let claims = claims.iter().filter_map(|key| broken(&mut self.claims, key, pod)).collect::<Vec<_>>();
        for claim in &claims {
            snapshot.set_claim(claim.clone());
        }
        let free = volumes.iter().filter_map(|name| broken(&mut self.volumes, name, pod)).collect::<Vec<_>>();
        for volume in &free {
            snapshot.set_volume(volume.clone());
        }
        (free, claims)
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.volumes.is_empty() && self.claims.is_empty() && self.pods.is_empty()
    }
}

/// Breaks a promise of this pod's bind; by now it may be another's.
fn broken<K: Ord, T, To>(promises: &mut BTreeMap<K, Promise<T, To>>, key: &K, pod: &str) -> Option<Arc<T>> {
    promises.get(key).filter(|promise| *promise.by == *pod)?;
    promises.remove(key).map(|promise| promise.shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pod whose claim `x` gets `pv` and whose claim `y` gets a volume made on `n`.
    fn world() -> (Promises, Snapshot) {
        let (mut promises, mut snapshot) = (Promises::default(), Snapshot::default());
        let plan = VolumePlan { bind: [(claim("x"), volume(None))].into(), provision: [claim("y")].into(), ..VolumePlan::default() };
        snapshot.set_volume(volume(None));
        snapshot.set_claim(claim("y"));
        promises.make(&mut snapshot, &"pod".into(), &"n".into(), &plan);
        (promises, snapshot)
    }

    fn claim(name: &str) -> Arc<Claim> {
        Arc::new(Claim { namespace: "ns".into(), name: name.into(), uid: "u".into(), ..Claim::default() })
    }

    fn selected(node: &str) -> Arc<Claim> {
        Arc::new(Claim { selected_node: Some(node.into()), ..Claim::clone(&claim("y")) })
    }

    fn volume(uid: Option<&str>) -> Arc<Volume> {
        let claim = uid.map(|uid| ("ns".into(), "x".into(), uid.into()));
        Arc::new(Volume { name: "pv".into(), available: true, claim, ..Volume::default() })
    }

    fn y(snapshot: &Snapshot) -> &Arc<Claim> {
        &snapshot.claims[&("ns".into(), "y".into())]
    }

    #[test]
    fn promise_shows_in_the_snapshot_and_is_taken_back() {
        let (mut promises, mut snapshot) = world();
        assert_eq!((&snapshot.volumes["pv"], y(&snapshot)), (&volume(Some("u")), &selected("n")));
        assert!(snapshot.free_volumes.is_empty());
        assert_eq!(promises.take_back(&mut snapshot, "pod"), ([volume(None)].into(), [claim("y")].into()));
        assert_eq!((&snapshot.volumes["pv"], y(&snapshot)), (&volume(None), &claim("y")));
        assert!(promises.is_empty() && !snapshot.free_volumes.is_empty());
    }

    #[test]
    fn promise_outlives_news_that_do_not_know_of_it() {
        let (mut promises, mut snapshot) = world();
        let relabelled = Arc::new(Volume { capacity: 7, ..Volume::clone(&volume(None)) });
        assert_eq!(promises.volume(relabelled.clone()).claim, volume(Some("u")).claim);
        assert_eq!(promises.claim(claim("y")), selected("n"));
        assert_eq!(promises.take_back(&mut snapshot, "pod").0, [relabelled], "what the API server showed last");
    }

    #[test]
    fn promise_ends_when_the_api_server_shows_more() {
        for (shown_volume, shown_claim) in [
            (volume(Some("u")), selected("n")),
            (volume(Some("another's")), selected("elsewhere")),
            (volume(Some("u")), Arc::new(Claim { volume: Some("made".into()), ..Claim::clone(&claim("y")) })),
            (volume(Some("u")), Arc::new(Claim { uid: "new".into(), ..Claim::clone(&claim("y")) })),
        ] {
            let (mut promises, mut snapshot) = world();
            assert_eq!((promises.volume(shown_volume.clone()), promises.claim(shown_claim.clone())), (shown_volume, shown_claim));
            assert_eq!(promises.claim(claim("y")), claim("y"), "the provisioner may take the node away again");
            assert_eq!(promises.take_back(&mut snapshot, "pod"), (Vec::new(), Vec::new()));
            assert!(promises.is_empty());
        }
    }

    #[test]
    fn kept_promise_stands_until_the_next_news() {
        let (mut promises, snapshot) = world();
        promises.keep("pod");
        assert!(snapshot.free_volumes.is_empty());
        assert_eq!((promises.volume(volume(None)), promises.claim(claim("y"))), (volume(None), claim("y")));
        assert!(promises.is_empty());
    }

    #[test]
    fn what_is_gone_is_promised_no_more() {
        let (mut promises, mut snapshot) = world();
        snapshot.remove_volume("pv");
        promises.volume_gone("pv");
        promises.claim_gone(&("ns".into(), "y".into()));
        assert_eq!(promises.take_back(&mut snapshot, "pod"), (Vec::new(), Vec::new()));
        assert!(snapshot.volumes.is_empty());
    }

    #[test]
    fn volume_is_not_promised_to_a_claim_that_is_gone_or_replaced() {
        for (name, uid, freed) in
            [("x", None, true), ("x", Some("new"), true), ("x", Some("u"), false), ("y", None, false), ("other", None, false)]
        {
            let (mut promises, mut snapshot) = world();
            // Shown free once more after it was given and came back; the bind succeeds.
            promises.volume(volume(None));
            promises.keep("pod");
            let free = promises.forsake(&mut snapshot, (&"ns".into(), &name.into()), uid.map(Str::from).as_ref());
            assert_eq!((free.len(), snapshot.volumes["pv"] == volume(None)), (usize::from(freed), freed), "{name} {uid:?}");
        }
    }

    #[test]
    fn failed_bind_takes_back_no_promise_of_another() {
        let (mut promises, mut snapshot) = world();
        assert_eq!(promises.forsake(&mut snapshot, (&"ns".into(), &"x".into()), None), [volume(None)]);
        let plan = VolumePlan { bind: [(claim("z"), volume(None))].into(), ..VolumePlan::default() };
        promises.make(&mut snapshot, &"second".into(), &"n".into(), &plan);
        assert_eq!(promises.take_back(&mut snapshot, "pod"), (Vec::new(), [claim("y")].into()));
        assert!(snapshot.free_volumes.is_empty(), "the second pod's bind is under way");
        assert_eq!(promises.take_back(&mut snapshot, "second").0, [volume(None)]);
    }

    #[test]
    fn second_pod_of_a_claim_relies_on_the_first_ones_promise() {
        let (mut promises, mut snapshot) = world();
        let plan = VolumePlan {
            bind: [(claim("x"), snapshot.volumes["pv"].clone())].into(),
            provision: [y(&snapshot).clone()].into(),
            ..VolumePlan::default()
        };
        promises.make(&mut snapshot, &"second".into(), &"n".into(), &plan);
        assert_eq!(promises.take_back(&mut snapshot, "second"), (Vec::new(), Vec::new()));
        assert_eq!(snapshot.volumes["pv"], volume(Some("u")));
    }
}
