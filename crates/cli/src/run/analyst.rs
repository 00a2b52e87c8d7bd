//! Works on what is asked of the running scheduler and takes longer than looking up, on a view and off the event loop.
//! Leaves out who may ask, and how: that is `aisched-http`'s.

use crate::snapshot;
use crate::what_if::{Request, work_out};
use aisched_core::view::View;
use aisched_kube::crd::AIStorageConfigSpec;
use aisched_sim::what_if::Base;
use serde_json::{Value, json};
use tokio::sync::watch;

/// What it knows beside the view.
pub(crate) struct Analyst {
    /// The AIStorageConfig that is followed: namespace/name.
    pub(crate) config: String,
    /// What is wrong with it; `None` while it is not there.
    pub(crate) verdict: watch::Receiver<Option<Vec<String>>>,
}

impl aisched_http::Analyst for Analyst {
    fn snapshot(&self, view: &View) -> String {
        snapshot::write(view, &self.config)
    }

    fn what_if(&self, view: &View, request: Value, wanted: &dyn Fn() -> bool) -> Result<Value, String> {
        let request: Request = serde_json::from_value(request).map_err(|e| e.to_string())?;
        let (config, profiles) = ((*view.config).clone(), view.profiles.clone());
        let base = Base { objects: view.events(), config, profiles, decisions: view.decisions.clone(), seed: view.salt };
        work_out(&base, &request, wanted)
    }

    fn config(&self, view: &View) -> Value {
        let (status, faults) = match &*self.verdict.borrow() {
            None => ("absent", Vec::new()),
            Some(faults) if faults.is_empty() => ("accepted", Vec::new()),
            Some(faults) => ("invalid", faults.clone()),
        };
        let plugin = |(name, weight): (&'static str, i64)| json!({"name": name, "weight": weight});
        let profile = |p: &aisched_core::profile::Profile| {
            let active = p.active(&view.config, None);
            let plugins: Vec<Value> = active.iter().map(|a| plugin((a.plugin.name(), a.weight / 1000))).collect();
            json!({"schedulerName": &*p.scheduler_name, "plugins": plugins})
        };
        json!({
            "generation": view.config.generation,
            "object": self.config,
            "status": status,
            "faults": faults,
            "spec": AIStorageConfigSpec::from(&*view.config),
            "profiles": view.profiles.iter().map(profile).collect::<Vec<_>>(),
        })
    }
}
