//! What the parameters of StorageClasses and VolumeAttributesClasses tell: performance, a local tier, the backend that volumes share
//! (`signals.md` M5, M8, M21). Leaves out tiers of network disks: they say nothing of the node that a pod should be on.

use crate::Str;
use crate::pod::{Pod, PodVolume};
use crate::quantity::Quantity;
use crate::snapshot::Snapshot;
use crate::workload::Tier;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Parameters of a class, or what of them is handed on.
pub type Parameters = BTreeMap<String, String>;

/// What a class tells of its volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassFacts {
    /// I/O operations per second that each volume is made for.
    pub iops: Option<i64>,
    /// The same per GiB.
    pub iops_per_gib: Option<i64>,
    /// MB/s that each volume is made for.
    pub throughput_mbps: Option<i64>,
    /// Tier of the node's own disks that the volumes are cut from.
    pub local_tier: Option<Tier>,
    /// What stores the volumes, where several classes or all volumes of one share it.
    pub backend: Option<Str>,
}

/// Where a driver's parameters tell performance.
struct Performance {
    driver: &'static str,
    iops: &'static str,
    iops_per_gib: &'static str,
    throughput: &'static str,
}

const PERFORMANCE: &[Performance] = &[
    Performance { driver: "ebs.csi.aws.com", iops: "iops", iops_per_gib: "iopsPerGB", throughput: "throughput" },
    Performance { driver: "ebs.csi.eks.amazonaws.com", iops: "iops", iops_per_gib: "iopsPerGB", throughput: "throughput" },
    Performance {
        driver: "pd.csi.storage.gke.io",
        iops: "provisioned-iops-on-create",
        iops_per_gib: "",
        throughput: "provisioned-throughput-on-create",
    },
];
/// Drivers that cut volumes from a node's disks, and the parameter whose value names them; empty: the class's own name does.
const LOCAL: &[(&str, &str)] = &[
    ("topolvm.io", "topolvm.io/device-class"),
    ("topolvm.cybozu.com", "topolvm.cybozu.com/device-class"),
    ("lvm.hwameistor.io", "poolClass"),
    ("disk.hwameistor.io", "poolClass"),
    ("local.csi.openebs.io", "volgroup"),
    ("local.csi.openebs.io", "vgpattern"),
    ("zfs.csi.openebs.io", "poolname"),
    ("rancher.io/local-path", ""),
    ("kubernetes.io/no-provisioner", ""),
];
/// Drivers of shared storage, and the parameters that together name what is shared. Rook puts its namespace before Ceph's names.
const SHARED: &[(&str, &[&str])] = &[
    ("rbd.csi.ceph.com", &["clusterID", "pool"]),
    ("cephfs.csi.ceph.com", &["clusterID", "fsName"]),
    ("nfs.csi.k8s.io", &["server", "share"]),
    ("smb.csi.k8s.io", &["source"]),
    ("efs.csi.aws.com", &["fileSystemId"]),
    ("csi.juicefs.com", &["csi.storage.k8s.io/provisioner-secret-namespace", "csi.storage.k8s.io/provisioner-secret-name"]),
];

impl ClassFacts {
    /// What a class of this name and driver tells by its parameters.
    ///
    /// Example: `ebs.csi.aws.com` with `iops: "6000"` is 6000 IOPS; `rook-ceph.rbd.csi.ceph.com` with `clusterID: a`, `pool: b` has the
    /// backend `rbd.csi.ceph.com:a/b`.
    #[must_use]
    pub fn read(class: &str, driver: &str, parameters: &Parameters) -> Self {
        let get = |key: &str| parameters.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
        let number = |key: &str| get(key).and_then(amount).filter(|n| *n > 0);
        let performance = PERFORMANCE.iter().find(|p| p.driver == driver);
        let named = LOCAL.iter().filter(|(d, _)| *d == driver).find_map(|(_, key)| if key.is_empty() { Some(class) } else { get(key) });
        let shared = SHARED.iter().find(|(d, _)| driver == *d || driver.strip_suffix(d).is_some_and(|namespace| namespace.ends_with('.')));
        let parts = shared.map(|(_, keys)| keys.iter().filter_map(|key| get(key)).collect::<Vec<_>>()).filter(|parts| !parts.is_empty());
        Self {
            iops: performance.and_then(|p| number(p.iops)),
            iops_per_gib: performance.and_then(|p| number(p.iops_per_gib)),
            throughput_mbps: performance.and_then(|p| number(p.throughput)),
            local_tier: named.and_then(Tier::in_name),
            backend: shared.zip(parts).map(|((driver, _), parts)| format!("{driver}:{}", parts.join("/")).into()),
        }
    }
}

/// A number, or a quantity of bytes in MiB: `140Mi` is 140.
fn amount(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| Quantity::parse(text).ok().map(|bytes| bytes.value() >> 20))
}

/// What a pod's claims were made for, each with what says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimedDemand {
    /// I/O operations per second of all its claims.
    pub iops: Option<(i64, Str)>,
    /// MB/s of all its claims.
    pub throughput_mbps: Option<(i64, Str)>,
    /// Tier of the node's own disks.
    pub local_tier: Option<(Tier, Str)>,
}

/// What the classes of a pod's claims were made for. What an attributes class says comes before what the storage class says.
#[must_use]
pub fn claimed_demand(pod: &Pod, snapshot: &Snapshot) -> ClaimedDemand {
    let mut demand = ClaimedDemand::default();
    let add = |sum: &mut Option<(i64, Str)>, told: Option<(i64, Str)>| {
        let Some((n, source)) = told else { return };
        *sum = Some(match sum.take() {
            None => (n, source),
            Some((before, sources)) if sources.split(", ").any(|s| *s == *source) => (before.saturating_add(n), sources),
            Some((before, sources)) => (before.saturating_add(n), format!("{sources}, {source}").into()),
        });
    };
    for (claim, class) in claims_and_classes(pod, snapshot) {
        let claim = claim.and_then(|name| snapshot.claim(&pod.namespace, &name));
        let attributes = claim.and_then(|c| c.attributes_class.as_ref());
        let attributes =
            attributes.and_then(|name| Some((&**snapshot.foreign.attributes_classes.get(name)?, "VolumeAttributesClass", name)));
        let class = class.and_then(|name| snapshot.classes.get(&name)).map(|class| (&class.facts, "StorageClass", &class.name));
        let gib = claim.map_or(0, |c| c.requested >> 30);
        let iops = |facts: &ClassFacts| facts.iops.or_else(|| facts.iops_per_gib.map(|n| n.saturating_mul(gib)).filter(|n| *n > 0));
        let told = |of: &dyn Fn(&ClassFacts) -> Option<i64>| {
            [attributes, class].into_iter().flatten().find_map(|(facts, kind, name)| Some((of(facts)?, format!("{kind} {name}").into())))
        };
        add(&mut demand.iops, told(&iops));
        add(&mut demand.throughput_mbps, told(&|facts| facts.throughput_mbps));
        if let Some((facts, kind, name)) = class {
            let tier = facts.local_tier.map(|tier| (tier, format!("{kind} {name}").into()));
            demand.local_tier = demand.local_tier.or(tier);
        }
    }
    demand
}

/// A pod's claims by name, each with the name of its class; inline volumes and claims without a class are left out.
fn claims_and_classes(pod: &Pod, snapshot: &Snapshot) -> Vec<(Option<Str>, Option<Str>)> {
    let of_claim = |name: Str, template: Option<&Str>| {
        let claim = snapshot.claim(&pod.namespace, &name);
        let class = claim.and_then(|c| c.storage_class.clone()).or_else(|| template.cloned());
        (Some(name), class)
    };
    let volumes = pod.spec.volumes.iter().filter_map(|volume| match volume {
        PodVolume::Claim { claim, .. } => Some(of_claim(claim.clone(), None)),
        PodVolume::Ephemeral { volume, storage_class } => Some(of_claim(pod.ephemeral_claim(volume), storage_class.as_ref())),
        PodVolume::Csi { .. } | PodVolume::Migrated { .. } | PodVolume::Disk(_) => None,
    });
    let mut found: Vec<_> = volumes.collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The backends that a pod's claims are stored in, each once.
#[must_use]
pub fn backends(pod: &Pod, snapshot: &Snapshot) -> Vec<Str> {
    let classes = claims_and_classes(pod, snapshot).into_iter().filter_map(|(_, class)| snapshot.classes.get(&class?));
    let mut names: Vec<Str> = classes.filter_map(|class| class.facts.backend.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
