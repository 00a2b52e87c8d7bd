//! Service accounts with the permissions of the deployment, whole or with some of them taken out, and their kubeconfigs.
//! Leaves out which permissions those are: they are read from what `deployments/` installed.

use crate::fixture::Test;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A verb on a resource of an API group.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// API group; empty for the core's.
    pub group: &'static str,
    /// Plural, with the subresource if there is one.
    pub resource: &'static str,
    /// Verb.
    pub verb: &'static str,
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

impl Test {
    /// The kubeconfig of the account that the deployment runs with.
    #[must_use]
    pub fn deployed_account(&self) -> PathBuf {
        self.kubeconfig_of("keti", "ai-storage-scheduler")
    }

    /// The kubeconfig of an account that may do nothing.
    #[must_use]
    pub fn powerless_account(&self) -> PathBuf {
        self.kubeconfig_of(&self.name, "default")
    }

    /// The kubeconfig of an account of this test that may do all that the deployment's may, but for these things.
    #[must_use]
    pub fn account_without(&self, name: &str, missing: &[Permission]) -> PathBuf {
        let ns = &self.name;
        self.api().create(&format!("/api/v1/namespaces/{ns}/serviceaccounts"), &json!({"metadata": {"name": name}}));
        let subject = json!([{"kind": "ServiceAccount", "name": name, "namespace": ns}]);
        let cluster_wide = format!("{ns}-{name}");
        for (from, to, kind, name) in [
            (format!("{RBAC}/clusterroles"), format!("{RBAC}/clusterroles"), "ClusterRole", cluster_wide.as_str()),
            (format!("{RBAC}/namespaces/keti/roles"), format!("{RBAC}/namespaces/{ns}/roles"), "Role", name),
        ] {
            let rules = without(&self.api().get(&format!("{from}/ai-storage-scheduler"))["rules"], missing);
            self.api().create(&to, &json!({"metadata": {"name": name}, "rules": rules}));
            let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
            let bindings = format!("{}bindings", to.trim_end_matches('s'));
            self.api().create(&bindings, &json!({"metadata": {"name": name}, "roleRef": role, "subjects": subject}));
        }
        self.kubeconfig_of(ns, name)
    }

    fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let token = self.api().create(&path, &json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}));
        let token = token["status"]["token"].as_str().expect("a token").to_owned();
        let administrator = std::fs::read_to_string(&self.cluster.kubeconfig).expect("the administrator's kubeconfig");
        let lines = administrator.lines().map(|line| match line.split_once("token: ") {
            Some((indent, _)) => format!("{indent}token: {token}\n"),
            None => format!("{line}\n"),
        });
        let file = self.file(&format!("{account}.kubeconfig"));
        std::fs::write(&file, lines.collect::<String>()).expect("a kubeconfig");
        file
    }
}

/// Rules with permissions taken out; one resource a rule.
fn without(rules: &Value, missing: &[Permission]) -> Value {
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let mut left = Vec::new();
    for rule in list(rules) {
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                let is_missing = |verb: &Value| missing.iter().any(|m| group == m.group && resource == m.resource && *verb == m.verb);
                let verbs: Vec<Value> = list(&rule["verbs"]).into_iter().filter(|v| !is_missing(v)).collect();
                if !verbs.is_empty() {
                    let mut rule_left = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
                    if let Some(names) = rule.get("resourceNames") {
                        rule_left["resourceNames"] = names.clone();
                    }
                    left.push(rule_left);
                }
            }
        }
    }
    left.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_verb_of_one_resource_is_taken_out() {
        let rules = json!([{"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["list", "watch"]}]);
        assert_eq!(
            without(&rules, &[Permission { group: "", resource: "nodes", verb: "list" }]),
            json!([
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
                {"apiGroups": [""], "resources": ["nodes"], "verbs": ["watch"]},
            ])
        );
    }
}
