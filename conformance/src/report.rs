//! Counts agreement per family, keeps every disagreement as a file that can be replayed, and prints the counts.
//! Leaves out what agreement is.

use crate::compare::Comparison;
use crate::scenario::Scenario;
use aisched_e2e::merged;
use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How the counts are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// One object.
    Json,
    /// A line of TAP per family.
    Tap,
}

/// The families so far.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    families: Vec<Row>,
}

/// One family's counts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    family: &'static str,
    about: &'static str,
    scenarios: usize,
    agree: usize,
    /// Pods that kube-scheduler found a node for.
    placed: usize,
    /// Pods that it refused.
    refused: usize,
    /// Scores compared: one per plugin and node.
    scores: usize,
    disagreements: Vec<Disagreement>,
}

#[derive(Serialize)]
struct Disagreement {
    file: PathBuf,
    differences: Vec<String>,
}

impl Report {
    /// Begins a family.
    pub(crate) fn family(&mut self, family: &'static str, about: &'static str) -> &mut Row {
        let row = Row { family, about, scenarios: 0, agree: 0, placed: 0, refused: 0, scores: 0, disagreements: Vec::new() };
        self.families.push(row);
        let last = self.families.len() - 1;
        &mut self.families[last]
    }

    /// Whether nothing disagrees.
    pub(crate) fn agrees(&self) -> bool {
        self.families.iter().all(|row| row.disagreements.is_empty())
    }

    /// Says what the last family came to, while others follow.
    pub(crate) fn tell(&self, output: Output) {
        let Some(row) = self.families.last() else { return };
        let line = format!("{}: {} of {} scenarios agree", row.family, row.agree, row.scenarios);
        if output == Output::Tap {
            let verdict = if row.disagreements.is_empty() { "ok" } else { "not ok" };
            println!("{verdict} {} - {line}", self.families.len());
        } else {
            eprintln!("{line}");
        }
        for disagreement in row.disagreements.iter().take(5) {
            eprintln!("# {}: {}", disagreement.file.display(), disagreement.differences.join("; "));
        }
    }

    /// Prints the counts.
    pub(crate) fn print(&self, output: Output) -> Result<()> {
        match output {
            Output::Table => println!("{}", self.table()),
            Output::Json => println!("{}", serde_json::to_string_pretty(self)?),
            Output::Tap => println!("1..{}", self.families.len()),
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["FAMILY", "SCENARIOS", "AGREE", "PLACED", "REFUSED", "SCORES", "PLUGINS"]);
        for row in &self.families {
            let numbers = [row.scenarios, row.agree, row.placed, row.refused, row.scores].map(|n| n.to_string());
            table.add_row([row.family.to_owned()].into_iter().chain(numbers).chain([row.about.to_owned()]));
        }
        for column in table.column_iter_mut().skip(1).take(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Row {
    /// Counts a scenario; writes it down, with what else is known, when the answers differ.
    pub(crate) fn count(&mut self, scenario: &Scenario, comparison: Comparison, known: Value, folder: &Path) -> Result<()> {
        self.scenarios += 1;
        self.placed += comparison.placed;
        self.refused += comparison.refused;
        self.scores += comparison.scores;
        if comparison.differences.is_empty() {
            self.agree += 1;
            return Ok(());
        }
        let file = folder.join(format!("{}.json", scenario.name.replace('/', "-")));
        let text = merged(merged(json!(scenario), known), json!({"differences": comparison.differences}));
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(&file, serde_json::to_string_pretty(&text)?).with_context(|| format!("cannot write {}", file.display()))?;
        self.disagreements.push(Disagreement { file, differences: comparison.differences });
        Ok(())
    }
}
