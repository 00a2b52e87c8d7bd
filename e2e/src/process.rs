//! Starts programs that end with this process, however it ends, and finds free ports for them.
//! Leaves out what the programs are.

use std::io::Result;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

type Request = (Command, Sender<Result<Child>>);

/// A command whose process gets `signal` when this process is gone.
pub(crate) fn mortal(signal: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig").arg(signal).arg(program);
    command
}

/// Starts a [`mortal`] command.
///
/// Linux counts the thread that started it as its parent, and threads of tests end: one thread that never does starts them all.
pub(crate) fn start(command: Command) -> Child {
    static STARTER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                let _asked = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let shown = format!("{command:?}");
    let (sender, answer) = channel();
    starter.lock().unwrap_or_else(PoisonError::into_inner).send((command, sender)).expect("the starter never ends");
    answer.recv().expect("the starter never ends").unwrap_or_else(|e| panic!("cannot start {shown}: {e}"))
}

/// Sends a signal (`TERM`, `STOP`, …) to a process.
///
/// # Panics
/// When there is no such process.
pub fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name} is not sent");
}

/// A port that nothing listens on.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("loopback has a free port").port()
}

/// The last lines of a file.
pub(crate) fn tail(file: &Path, n_lines: usize) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| format!("{}: {e}", file.display()));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(n_lines)..].join("\n")
}
