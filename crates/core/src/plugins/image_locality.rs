//! Prefers nodes that have the pod's images already, big ones above all.
//! Weighs an image by how many nodes have it, lest all pods of an image pile up on the one node that pulled it first.

use crate::framework::{Attempt, ClusterEvent, Fact, MAX_SCORE, Plugin, Prepared, Reads, Score};
use aisched_model::Str;
use aisched_model::node::NodeInfo;
use aisched_model::pod::Pod;
use aisched_model::snapshot::Snapshot;
use alloc::format;
use alloc::vec::Vec;

const MIB: i64 = 1 << 20;
/// Less than this on a node is worth nothing.
const MIN_SIZE: i64 = 23 * MIB;
/// More than this for each image of the pod is worth no more.
const MAX_SIZE_PER_IMAGE: i64 = 1000 * MIB;

/// kube-scheduler's plugin of the same name.
pub(crate) struct ImageLocality;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn prepare<'a>(&'a self, attempt: &Attempt<'a>) -> Prepared<'a> {
        let images = &attempt.pod.spec.images;
        if images.is_empty() {
            return Prepared::default();
        }
        let present = images.iter().filter_map(|image| Present::find(image, attempt.snapshot)).collect();
        let n_images = i64::try_from(images.len()).unwrap_or(i64::MAX / MAX_SIZE_PER_IMAGE);
        Prepared::score(Images { present, max_size: MAX_SIZE_PER_IMAGE * n_images })
    }

    fn helps(&self, _pod: &Pod, _event: &ClusterEvent<'_>) -> bool {
        false // it refuses no one
    }
}

/// An image of the pod that some node has.
struct Present {
    name: Str,
    /// Share of the nodes that have it.
    spread: f64,
}

impl Present {
    #[allow(clippy::cast_precision_loss, reason = "numbers of nodes are small")]
    fn find(image: &Str, snapshot: &Snapshot) -> Option<Self> {
        let name = normalized(image);
        let n_nodes = *snapshot.image_nodes.get(&name)?;
        Some(Self { name, spread: n_nodes as f64 / snapshot.nodes.len() as f64 })
    }
}

/// The name under which a node lists an image: with its tag, `latest` where the pod names none.
fn normalized(image: &Str) -> Str {
    if image.rfind(':') <= image.rfind('/') { format!("{image}:latest").into() } else { image.clone() }
}

struct Images {
    present: Vec<Present>,
    max_size: i64,
}

impl Score for Images {
    fn reads(&self) -> Reads {
        let facts = |image: &Present| [Fact::Name(image.name.clone()), Fact::Number(image.spread.to_bits())];
        Reads::Node(self.present.iter().flat_map(facts).collect())
    }

    /// Sizes of the pod's images on the node, each times its spread, on a scale from `MIN_SIZE` to `max_size`.
    ///
    /// Example: one container whose image of 250 MiB is on this node of two: 125 MiB, so 100·(125−23)/(1000−23) = 10.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "sizes stay far below 2^53")]
    fn raw(&self, node: &NodeInfo) -> i64 {
        let on_node = |image: &Present| node.node.images.iter().find(|(name, _)| *name == image.name).map(|(_, size)| *size);
        let size = |image: &Present| on_node(image).map_or(0, |size| (size as f64 * image.spread) as i64);
        let sum = self.present.iter().map(size).fold(0, i64::saturating_add);
        MAX_SCORE * (sum.clamp(MIN_SIZE, self.max_size) - MIN_SIZE) / (self.max_size - MIN_SIZE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Cluster, node, pod, with};
    use aisched_model::node::Node;

    /// A node with images of so many MiB.
    fn with_images(name: &str, images: &[(&str, i64)]) -> Node {
        Node { images: images.iter().map(|(name, size)| (Str::from(*name), size * MIB)).collect(), ..node(name) }
    }

    #[test]
    fn images_score_by_size_and_spread() {
        let one =
            with_images("a", &[("gcr.io/40:latest", 40), ("gcr.io/40:v1", 40), ("gcr.io/300:latest", 300), ("gcr.io/2000:latest", 2000)]);
        let two = with_images("b", &[("gcr.io/250:latest", 250), ("gcr.io/10:latest", 10), ("gcr.io/10:v1", 10)]);
        let four = with_images("b", &[("gcr.io/4000:latest", 4000), ("gcr.io/30:latest", 30)]);
        let same = with_images("b", &[("gcr.io/300:latest", 300)]);
        for (b, images, expected) in [
            // 20 + 150 MiB of at most 2000
            (&two, &["gcr.io/40", "gcr.io/300"][..], [7, 0]),
            // 125 MiB of at most 1000
            (&two, &["gcr.io/250"], [0, 10]),
            // 5 MiB is below the least that counts, 2000 of 2000 is all
            (&four, &["gcr.io/10", "gcr.io/4000"], [0, 100]),
            // 150 MiB here and nothing there; the tag decides
            (&two, &["gcr.io/40:v1", "gcr.io/300:latest"], [7, 0]),
            (&two, &["gcr.io/300:v2"], [0, 0]),
            // an image that both have counts in full
            (&same, &["gcr.io/300"], [28, 28]),
            // named twice counts twice
            (&two, &["gcr.io/300", "gcr.io/300"], [14, 0]),
        ] {
            let pod = with(pod("p"), |s| s.images = images.iter().map(|i| Str::from(*i)).collect());
            let decision = Cluster::of([one.clone(), b.clone()]).decide(&["ImageLocality"], &pod);
            assert_eq!(["a", "b"].map(|n| decision.score(n, "ImageLocality").unwrap()), expected, "{images:?}");
        }
    }

    #[test]
    fn pod_without_images_is_not_scored() {
        assert_eq!(Cluster::of([node("n")]).decide(&["ImageLocality"], &pod("p")).score("n", "ImageLocality"), None);
    }

    #[test]
    fn names_get_the_default_tag() {
        for (image, expected) in [
            ("busybox", "busybox:latest"),
            ("busybox:1", "busybox:1"),
            ("gcr.io/a/b", "gcr.io/a/b:latest"),
            ("host:5000/b", "host:5000/b:latest"),
            ("host:5000/b:v1", "host:5000/b:v1"),
            ("b@sha256:abc", "b@sha256:abc"),
        ] {
            assert_eq!(&*normalized(&image.into()), expected);
        }
    }

    #[test]
    fn hostile_sizes_do_no_harm() {
        let node = Node { images: alloc::vec![("x:latest".into(), i64::MAX), ("y:latest".into(), i64::MIN)], ..node("n") };
        for (image, expected) in [("x", 100), ("y", 0)] {
            let pod = with(pod("p"), |s| s.images = alloc::vec![image.into()]);
            assert_eq!(Cluster::of([node.clone()]).decide(&["ImageLocality"], &pod).score("n", "ImageLocality"), Some(expected));
        }
    }
}
