//! The best of the feasible nodes, and how ties between them are broken.
//! Leaves out where the points come from.

use super::rows::OUT;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// A feasible node's place.
pub(super) struct Rank {
    pub(super) node_idx: usize,
    pub(super) total: i64,
}

/// The best `keep` nodes by their totals, best first: highest total, then seeded hash, then name, which is the order of nodes.
pub(super) fn rank<'n>(totals: &[i64], name: impl Fn(usize) -> &'n str, luck: Luck, keep: usize) -> Vec<Rank> {
    let least = least_kept(totals, keep);
    let mut best = BinaryHeap::new(); // the worst on top
    for (node_idx, total) in totals.iter().enumerate().filter(|(_, total)| **total >= least) {
        let place = (Reverse(*total), luck.of(name(node_idx)), node_idx);
        if best.len() < keep {
            best.push(place);
        } else if let Some(mut worst) = best.peek_mut()
            && place < *worst
        {
            *worst = place;
        }
    }
    best.into_sorted_vec().into_iter().map(|(Reverse(total), _, node_idx)| Rank { node_idx, total }).collect()
}

/// The lowest total among the best `keep`: hashes are needed only of nodes that have as much.
fn least_kept(totals: &[i64], keep: usize) -> i64 {
    if keep >= totals.len() {
        return OUT + 1;
    }
    let mut best = BinaryHeap::with_capacity(keep + 1);
    let mut least = OUT; // of the best, once there are enough
    for total in totals.iter().filter(|total| **total != OUT) {
        if best.len() < keep {
            best.push(Reverse(*total));
        } else if *total > least {
            best.pop();
            best.push(Reverse(*total));
        } else {
            continue;
        }
        least = best.peek().map_or(OUT, |Reverse(total)| *total);
    }
    if best.len() < keep { OUT + 1 } else { least }
}

/// A well-mixed hash of (salt, pod, node): FNV-1a over the bytes, finished with SplitMix64's mixer.
#[derive(Clone, Copy)]
pub(crate) struct Luck(u64);

impl Luck {
    /// Of a pod; the node is still to come.
    pub(crate) fn new(salt: u64, pod: &str) -> Self {
        let bytes = salt.to_le_bytes().into_iter().chain(pod.bytes()).chain([0]);
        Self(bytes.fold(0xcbf2_9ce4_8422_2325_u64, fnv))
    }

    /// With a node.
    pub(crate) fn of(self, node: &str) -> u64 {
        let mut h = node.bytes().fold(self.0, fnv);
        h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        h ^ (h >> 31)
    }
}

fn fnv(h: u64, b: u8) -> u64 {
    (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
}
