//! Files that are made from the code. `generate` writes them, `check` finds stale ones.
//! Leaves out what is in them: their makers are in the crates that own the types.

use anyhow::{Context, Result};
use std::path::Path;

/// Path and content of every generated file.
fn files() -> Vec<(&'static str, String)> {
    vec![
        ("config/crd/aistorageconfig.yaml", aisched_kube::crd::crd_yaml()),
        ("config/crd/default-config.yaml", aisched_kube::crd::default_config_yaml()),
    ]
}

pub(crate) fn write(root: &Path) -> Result<()> {
    for (path, content) in files() {
        std::fs::write(root.join(path), content).with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    Ok(())
}

pub(crate) fn stale(root: &Path) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for (path, content) in files() {
        let there = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        if there != content {
            stale.push(format!("{path} is stale; run: cargo run -p xtask -- generate"));
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_files_are_fresh() {
        assert_eq!(super::stale(&crate::root()).unwrap(), Vec::<String>::new());
    }
}
