//! Asks kube-scheduler's own code, which the control plane's program runs without an API server.
//! Leaves out what that program does: `e2e/controlplane/internal/oracle`.

use crate::answer::Answer;
use crate::scenario::Scenario;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Answers to the scenarios, in their order; `tell` hears of each.
pub(crate) fn ask(program: &Path, scenarios: &[Scenario], mut tell: impl FnMut(usize, Answer) -> Result<()>) -> Result<()> {
    // Gates are a process's, and a family's scenarios have the same.
    let gates = scenarios.first().map(|scenario| scenario.gates.as_str()).unwrap_or_default();
    let mut child = Command::new(program)
        .args(["oracle", "-feature-gates", gates])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the oracle")?;
    let stdin = child.stdin.take().context("the oracle has no input")?;
    let stdout = child.stdout.take().context("the oracle has no output")?;
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || write(stdin, scenarios));
        let mut n_answers = 0;
        for (number, line) in BufReader::new(stdout).lines().enumerate() {
            let answer = serde_json::from_str(&line?).context("the oracle's answer is not understood")?;
            tell(number, answer)?;
            n_answers += 1;
        }
        writer.join().map_err(|_| anyhow::anyhow!("writing to the oracle failed"))??;
        let status = child.wait()?;
        if !status.success() || n_answers != scenarios.len() {
            bail!("the oracle ended ({status}) after {n_answers} of {} answers", scenarios.len());
        }
        Ok(())
    })
}

fn write(stdin: impl Write, scenarios: &[Scenario]) -> Result<()> {
    let mut stdin = BufWriter::new(stdin);
    for scenario in scenarios {
        serde_json::to_writer(&mut stdin, scenario)?;
        stdin.write_all(b"\n")?;
    }
    Ok(stdin.flush()?)
}
