//! Programs under measurement: started, watched, stopped; their CPU time and memory as the kernel counts them.
//! Linux only: reads /proc.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// What a program may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(10);
/// A program that uses less than this share of a core over `QUIET_FOR` has caught up.
const QUIET_SHARE: f64 = 0.04;
const QUIET_FOR: Duration = Duration::from_millis(500);
/// One that never does is measured as it is.
const QUIET_DEADLINE: Duration = Duration::from_secs(15);

/// A running program. Dropping it kills it.
pub(crate) struct Program {
    name: String,
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Program {
    /// Starts a program with its output in a log file.
    pub(crate) fn start(name: &str, program: &Path, args: &[String], log: PathBuf) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            // Settings meant for one scheduler must not reach it by chance.
            .env_remove("KUBECONFIG")
            .env_remove("RUST_LOG")
            .spawn()
            .with_context(|| format!("cannot start {name}: {}", program.display()))?;
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        Ok(Self { name: name.into(), child, pid, log })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Fails when the program has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself ({status})", self.name),
        }
    }

    /// Where its output goes.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Stops it with SIGTERM, and kills it when it does not obey.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no process id")?;
        let _ended_already = kill_process(pid, Signal::TERM);
        if tokio::time::timeout(STOP, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

/// CPU time that a process has used, user and system, threads that ended included.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let ticks = cpu_ticks(&read(pid, "stat")?).with_context(|| format!("/proc/{pid}/stat is not understood"))?;
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?)
}

/// The most memory that a process ever had resident, in bytes.
pub(crate) fn peak_rss(pid: u32) -> Result<u64> {
    high_water_mark(&read(pid, "status")?).with_context(|| format!("/proc/{pid}/status has no VmHWM"))
}

/// Waits until a process has hardly anything left to do: events and conditions are written after the last bind.
pub(crate) async fn quiet(pid: u32) -> Result<()> {
    let deadline = Instant::now() + QUIET_DEADLINE;
    loop {
        let before = cpu_time(pid)?;
        tokio::time::sleep(QUIET_FOR).await;
        let used = cpu_time(pid)?.saturating_sub(before);
        if used <= QUIET_FOR.mul_f64(QUIET_SHARE) || Instant::now() >= deadline {
            return Ok(());
        }
    }
}

fn read(pid: u32, file: &str) -> Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("process {pid} is gone"))
}

/// `utime` + `stime`: fields 14 and 15, counted from 1; the name in field 2 may hold blanks and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let utime: u64 = fields.next()?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    Some(utime + stime)
}

fn high_water_mark(status: &str) -> Option<u64> {
    let kib: u64 = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_ticks_are_found_behind_an_odd_name() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 900 0 0 0 71 29 5 6 20 0 9 0 100 1000 200";
        assert_eq!(cpu_ticks(stat), Some(100));
        assert_eq!(cpu_ticks("42 (a) S 1"), None);
    }

    #[test]
    fn peak_memory_is_the_high_water_mark() {
        assert_eq!(high_water_mark("VmPeak:\t 999 kB\nVmHWM:\t   2048 kB\nVmRSS:\t 7 kB\n"), Some(2048 * 1024));
        assert_eq!(high_water_mark("VmRSS:\t 7 kB\n"), None);
    }

    #[test]
    fn own_numbers_can_be_read() {
        assert!(peak_rss(std::process::id()).unwrap() > 0);
        assert!(cpu_time(std::process::id()).is_ok());
    }
}
