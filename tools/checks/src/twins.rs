//! The asyncio twins: the program that gives them a clock, and an interpreter that forks.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use catalog::python::Python;
use catalog::workspace::Workspace;

use crate::process::{Finished, MOST_OUTPUT, did_not_end, limited, printed_too_much};

/// The program that runs a twin on the virtual clock.
pub fn twin_runner(workspace: &Workspace) -> PathBuf {
    workspace.root.join("tools/python/run_twin.py")
}

/// One interpreter that forks a process for each twin on the virtual clock: starting
/// CPython anew takes longer than most twins.
#[derive(Debug)]
pub struct ForkServer {
    server: Child,
    /// Where a twin's standard output and standard error go.
    dir: PathBuf,
    limit: Duration,
}

impl ForkServer {
    /// Starts the interpreter. A twin that runs for longer than `limit` is killed.
    pub fn start(
        workspace: &Workspace,
        python: &Python,
        limit: Duration,
    ) -> Result<Self> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("twins/{}-{number}", std::process::id());
        let dir = workspace.target.join(name);
        fs::create_dir_all(&dir)?;
        let mut command = limited(python.program());
        let runner = twin_runner(workspace);
        command.args(["-I", "-X", "utf8"]).arg(runner);
        command.args(["--tsv", "--fork"]).arg(&dir);
        command.arg(limit.as_secs_f64().to_string());
        command.current_dir(&workspace.root);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let server = command.spawn().context("cannot run CPython")?;
        Ok(Self { server, dir, limit })
    }

    /// Runs a twin to its end.
    ///
    /// # Errors
    ///
    /// When the server has ended, or what the twin printed cannot be read.
    pub fn run(&mut self, twin: &Path) -> Result<Finished> {
        let start = Instant::now();
        let server = &mut self.server;
        let to = server.stdin.as_mut().context("the server has no input")?;
        writeln!(to, "{}", twin.display())?;
        let from = server.stdout.as_mut();
        let from = from.context("the server has no output")?;
        let mut ended = String::new();
        BufReader::new(from).read_line(&mut ended)?;
        let elapsed = start.elapsed();
        let printed = |name| -> Result<String> {
            let mut text = Vec::new();
            let file = File::open(self.dir.join(name))?;
            file.take(MOST_OUTPUT).read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        let stdout = printed("out")?;
        Ok(Finished {
            status: match ended.trim() {
                "late" => Err(did_not_end(self.limit)),
                "flood" => Err(printed_too_much()),
                status => {
                    Ok(exit_status(status.parse().context("the server has ended")?))
                }
            },
            lines: stdout
                .split_inclusive('\n')
                .map(|line| (elapsed, line.to_owned()))
                .collect(),
            stderr: printed("err")?,
            elapsed,
        })
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.server.stdin.take());
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[cfg(unix)]
fn exit_status(status: i32) -> std::process::ExitStatus {
    std::os::unix::process::ExitStatusExt::from_raw(status)
}

#[cfg(not(unix))]
fn exit_status(_: i32) -> std::process::ExitStatus {
    unreachable!("only Unix can fork")
}
