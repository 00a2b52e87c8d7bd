//! What the watches say of devices, their classes, and claims to them. Wakes the pods that a change can help.
//! Leaves out choosing devices and writing claims.

use super::Engine;
use crate::event::{DeviceNews, Millis};
use crate::framework::ClusterEvent;
use aisched_model::Str;
use aisched_model::devices::DeviceClaim;
use alloc::vec::Vec;

impl Engine {
    pub(super) fn devices_changed(&mut self, now: Millis, news: DeviceNews) {
        match news {
            DeviceNews::Claim(claim) => {
                if let Some((old, new)) = self.cache.set_device_claim(claim) {
                    self.device_claim_changed(now, old.as_deref(), Some(&new));
                }
            }
            DeviceNews::ClaimGone(namespace, name) => {
                if let Some(old) = self.cache.objects().devices.remove_claim(&(namespace, name)) {
                    self.device_claim_changed(now, Some(&old), None);
                }
            }
            DeviceNews::Slice(slice) => {
                self.cache.objects().devices.set_slice(slice);
                self.wake(now, &ClusterEvent::Devices);
            }
            DeviceNews::SliceGone(name) => {
                self.cache.objects().devices.remove_slice(&name);
            }
            DeviceNews::Class(class) => {
                self.cache.objects().devices.set_class(class.clone());
                self.templates.clear(); // which resources a node has to offer by itself may have changed
                self.wake(now, &ClusterEvent::DeviceClass(&class));
            }
            DeviceNews::ClassGone(name) => {
                self.cache.objects().devices.remove_class(&name);
                self.templates.clear();
            }
            DeviceNews::Rule(rule) => {
                self.cache.objects().devices.rules.insert(rule.name.clone(), rule);
                self.wake(now, &ClusterEvent::Devices);
            }
            DeviceNews::RuleGone(name) => {
                self.cache.objects().devices.rules.remove(&name);
                self.wake(now, &ClusterEvent::Devices);
            }
        }
    }

    /// Wakes pods that were refused, and lets in those that a missing claim held back.
    fn device_claim_changed(&mut self, now: Millis, old: Option<&DeviceClaim>, new: Option<&DeviceClaim>) {
        self.wake(now, &ClusterEvent::DeviceClaim { old, new });
        let held: Vec<Str> = self.queue.all_gated().filter(|w| !w.pod.spec.device_claims.is_empty()).map(|w| w.pod.uid.clone()).collect();
        for uid in held {
            self.make_ready(now, &uid);
        }
    }

    /// The bind of a pod has ended. Devices that it did not get after all are free for others.
    pub(super) fn release_claims(&mut self, now: Millis, uid: &str) {
        for claim in self.cache.release_claims(uid) {
            let free = DeviceClaim { pending: None, ..DeviceClaim::clone(&claim) };
            self.wake(now, &ClusterEvent::DeviceClaim { old: Some(&claim), new: Some(&free) });
        }
    }
}
