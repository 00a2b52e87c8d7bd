//! The rules of the house: who may import whom, what the core may depend on, that the map of the house is true.
//! Reads `cargo metadata` and the sources as text; builds nothing.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our crates each may use. Imports go down, edges never sideways.
const LAYERS: &[(&str, &[&str])] = &[
    ("aisched-model", &[]),
    ("aisched-core", &["aisched-model"]),
    ("aisched-sim", &["aisched-model", "aisched-core"]),
    ("aisched-kube", &["aisched-model", "aisched-core"]),
    ("aisched-apollo", &["aisched-model", "aisched-core"]),
    ("aisched-http", &["aisched-model", "aisched-core"]),
    ("ai-storage-scheduler", &["aisched-model", "aisched-core", "aisched-sim", "aisched-kube", "aisched-apollo", "aisched-http"]),
    ("aisched-e2e", &[]),
    ("aisched-bench", &["aisched-model", "aisched-core"]),
    ("aisched-placement", &["aisched-model", "aisched-core", "aisched-sim"]),
    ("aisched-conformance", &["aisched-model", "aisched-core", "aisched-kube", "aisched-e2e"]),
    ("xtask", &["aisched-kube"]),
];

/// Crates from elsewhere that the core may use: none of them reaches the world.
const PURE: &[&str] = &["foldhash", "hashbrown", "libm", "regex", "serde", "smallvec"];

/// Words that reach the world, or luck, from the core.
const IMPURE: &[&str] = &["std::", "tokio", "Instant::now", "SystemTime", "RandomState", "thread_rng"];

/// Longest source file, in lines.
const MAX_LINES: usize = 800;

/// Every rule; what is broken, in words.
pub(crate) fn all(root: &Path) -> Result<Vec<String>> {
    let packages = packages(root)?;
    let mut faults = layers(&packages);
    faults.extend(purity(root, &packages)?);
    faults.extend(map(root, &packages)?);
    faults.extend(lengths(root)?);
    Ok(faults)
}

/// Name, folder and normal dependencies of every crate of the workspace.
fn packages(root: &Path) -> Result<BTreeMap<String, (PathBuf, BTreeSet<String>)>> {
    let output = Command::new("cargo").args(["metadata", "--no-deps", "--format-version=1"]).current_dir(root).output()?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is no JSON")?;
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    Ok(list(&metadata["packages"])
        .iter()
        .map(|p| {
            let normal = list(&p["dependencies"]).iter().filter(|d| d["kind"].is_null()).map(|d| text(&d["name"])).collect();
            let manifest = PathBuf::from(text(&p["manifest_path"]));
            let folder = manifest.parent().and_then(|f| f.strip_prefix(root).ok()).map(Path::to_path_buf).unwrap_or_default();
            (text(&p["name"]), (folder, normal))
        })
        .collect())
}

fn layers(packages: &BTreeMap<String, (PathBuf, BTreeSet<String>)>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, (_, dependencies)) in packages {
        let Some((_, allowed)) = LAYERS.iter().find(|(n, _)| n == name) else {
            faults.push(format!("crate {name} has no place in the layers; give it one in xtask/src/rules.rs"));
            continue;
        };
        for ours in dependencies.iter().filter(|d| packages.contains_key(*d)) {
            if !allowed.contains(&ours.as_str()) {
                faults.push(format!("crate {name} must not use {ours}"));
            }
        }
    }
    faults
}

/// The core and the model stay without the world.
fn purity(root: &Path, packages: &BTreeMap<String, (PathBuf, BTreeSet<String>)>) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for name in ["aisched-model", "aisched-core"] {
        let Some((folder, dependencies)) = packages.get(name) else { continue };
        for dependency in dependencies.iter().filter(|d| !packages.contains_key(*d) && !PURE.contains(&d.as_str())) {
            faults.push(format!("crate {name} must not use {dependency}: only {PURE:?} are known to be pure"));
        }
        let sources = root.join(folder).join("src");
        if !std::fs::read_to_string(sources.join("lib.rs"))?.contains("#![no_std]") {
            faults.push(format!("crate {name} must be #![no_std]"));
        }
        for file in rust_files(&sources)? {
            let text = std::fs::read_to_string(&file)?;
            for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
                if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                    faults.push(format!("{}:{}: {word} reaches the world", file.display(), i + 1));
                }
            }
        }
    }
    Ok(faults)
}

/// ARCHITECTURE.md names every crate's folder, and no folder that is not there.
fn map(root: &Path, packages: &BTreeMap<String, (PathBuf, BTreeSet<String>)>) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).context("ARCHITECTURE.md is missing")?;
    let named: BTreeSet<&str> =
        text.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next()).filter(|p| p.ends_with('/')).collect();
    let mut faults = Vec::new();
    for (name, (folder, _)) in packages {
        if !named.contains(format!("{}/", folder.display()).as_str()) {
            faults.push(format!("ARCHITECTURE.md's map lacks `{}/` (crate {name})", folder.display()));
        }
    }
    for path in named.iter().filter(|p| !root.join(p).is_dir()) {
        faults.push(format!("ARCHITECTURE.md's map names `{path}`, which is not there"));
    }
    Ok(faults)
}

fn lengths(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for folder in ["crates", "e2e", "bench", "conformance", "xtask"] {
        for file in rust_files(&root.join(folder))? {
            let lines = std::fs::read_to_string(&file)?.lines().count();
            if lines > MAX_LINES {
                faults.push(format!("{} has {lines} lines; split it (at most {MAX_LINES})", file.display()));
            }
        }
    }
    Ok(faults)
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_none_or(|n| n != "target") {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_the_house_hold() {
        assert_eq!(all(&crate::root()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn sideways_import_is_found() {
        let crates = [("aisched-kube", "crates/kube", &["aisched-apollo"][..]), ("aisched-apollo", "crates/apollo", &[])];
        let packages = crates
            .into_iter()
            .map(|(name, folder, uses)| (name.into(), (folder.into(), uses.iter().map(|u| (*u).into()).collect())))
            .collect();
        assert_eq!(layers(&packages), ["crate aisched-kube must not use aisched-apollo"]);
    }
}
