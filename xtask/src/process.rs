//! Running a program with limits on its time, its output and its memory.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

/// More output than any example prints, in bytes; a runaway is stopped here.
const MOST_OUTPUT: usize = 256 << 10;

/// More memory than any example asks for, in KiB.
const MOST_MEMORY: &str = "8388608";

/// What the command prints on standard output.
///
/// # Errors
///
/// When it cannot be run, or fails; then with all that it printed.
pub fn printed(command: &mut std::process::Command) -> anyhow::Result<String> {
    let output = command.output();
    let output = output.with_context(|| format!("cannot run {command:?}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{stdout}{stderr}"
    );
    Ok(stdout.into_owned())
}

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended, or why it was killed.
    pub status: Result<ExitStatus, String>,
    /// Standard output, also if it is only a part.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Finished {
    /// What is wrong with how the program ended.
    pub fn problem(&self) -> Option<String> {
        match &self.status {
            Err(killed) => Some(killed.clone()),
            Ok(status) if !status.success() => Some(format!("it failed: {status}")),
            Ok(_) => None,
        }
    }
}

/// A command that is started by a shell that limits its memory. Systems without such a
/// limit, or without such a shell, run it as it is.
pub fn limited(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(if cfg!(unix) {
        OsStr::new("sh")
    } else {
        program.as_ref()
    });
    if cfg!(unix) {
        let limit = "ulimit -v \"$0\" 2>/dev/null; exec \"$@\"";
        command.args(["-c", limit, MOST_MEMORY]).arg(program);
    }
    // A backtrace takes longer to print than an example waits.
    command.env("RUST_BACKTRACE", "0");
    command
}

/// Runs the command to its end, or kills it after `limit` or when it prints too much.
///
/// Cancel-safe in that dropping the future kills the program.
pub async fn run(mut command: Command, limit: Duration) -> io::Result<Finished> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().expect("it was piped");
    let stderr = child.stderr.take().expect("it was piped");
    // Outside of the future that the timeout drops, so that what came until then stays.
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let end = timeout(limit, async {
        tokio::try_join!(read(stdout, &mut out), read(stderr, &mut err))?;
        child.wait().await
    })
    .await;
    let status = match end {
        Ok(Err(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
            Err(format!("it printed more than {} KiB", MOST_OUTPUT >> 10))
        }
        Ok(ended) => Ok(ended?),
        Err(_) => Err(format!("it did not end within {} s", limit.as_secs_f64())),
    };
    if status.is_err() {
        child.kill().await?;
    }
    Ok(Finished {
        status,
        stdout: String::from_utf8_lossy(&out).into_owned(),
        stderr: String::from_utf8_lossy(&err).into_owned(),
    })
}

async fn read(mut from: impl AsyncRead + Unpin, into: &mut Vec<u8>) -> io::Result<()> {
    while from.read_buf(into).await? > 0 {
        if into.len() > MOST_OUTPUT {
            into.truncate(MOST_OUTPUT);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use super::{limited, run};

    #[test]
    fn how_programs_end_and_what_they_print() {
        let (long, flood) = (60_000, &"y\n".repeat(128 << 10)[..]);
        for (script, limit, ended, stdout, stderr) in [
            (
                "echo out; echo err >&2; exit 3",
                long,
                Ok(3),
                "out\n",
                "err\n",
            ),
            (
                "echo before; exec sleep 3600",
                300,
                Err("it did not end within 0.3 s"),
                "before\n",
                "",
            ),
            ("yes", long, Err("it printed more than 256 KiB"), flood, ""),
            ("ulimit -v", long, Ok(0), "8388608\n", ""),
            ("exec /no/such/program 2>/dev/null", long, Ok(127), "", ""),
        ] {
            let mut command = limited("sh");
            command.args(["-c", script]);
            let runtime = crate::check::runtime().expect("a runtime");
            let finished = runtime.block_on(run(command, Duration::from_millis(limit)));
            let finished = finished.expect("sh can be run");
            assert_eq!(finished.problem().is_none(), ended == Ok(0), "{script}");
            let code = finished.status.map(|status| status.code().unwrap_or(-1));
            assert_eq!(code, ended.map_err(str::to_owned), "{script}");
            assert_eq!(
                (&finished.stdout[..], &finished.stderr[..]),
                (stdout, stderr)
            );
        }
    }
}
