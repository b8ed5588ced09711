//! Running a program with a limit on its time.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

/// More output than any example prints; a runaway is stopped here, not by the memory.
const MOST_OUTPUT: u64 = 16 << 20;

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// Nothing if it was killed because its time was up.
    pub status: Option<ExitStatus>,
    /// Standard output, also if it is only a part.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Finished {
    /// What is wrong with how the program ended, if it had `limit` to run.
    pub fn problem(&self, limit: Duration) -> Option<String> {
        match self.status {
            None => Some(format!("it did not end within {} s", limit.as_secs_f64())),
            Some(status) if !status.success() => Some(format!("it failed: {status}")),
            Some(_) => None,
        }
    }
}

/// Runs the program to its end, or kills it after `limit`.
///
/// Cancel-safe in that dropping the future kills the program.
///
/// # Errors
///
/// When the program cannot be started or waited for.
pub async fn run(mut command: Command, limit: Duration) -> std::io::Result<Finished> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().expect("it was piped");
    let stderr = child.stderr.take().expect("it was piped");
    let (mut stdout, mut stderr) = (stdout.take(MOST_OUTPUT), stderr.take(MOST_OUTPUT));
    // Outside of the future that the timeout drops, so that what came until then stays.
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let end = timeout(limit, async {
        tokio::try_join!(
            stdout.read_to_end(&mut out),
            stderr.read_to_end(&mut err),
            child.wait()
        )
    })
    .await;
    let status = match end {
        Ok(finished) => Some(finished?.2),
        Err(_) => {
            child.kill().await?;
            None
        }
    };
    Ok(Finished {
        status,
        stdout: String::from_utf8_lossy(&out).into_owned(),
        stderr: String::from_utf8_lossy(&err).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Command, run};

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(future)
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        command
    }

    #[cfg(unix)]
    #[test]
    fn both_outputs_and_the_code() {
        let script = "echo out; echo err >&2; exit 3";
        let finished =
            block_on(run(shell(script), Duration::from_secs(60))).expect("sh can be run");
        assert_eq!(finished.status.and_then(|status| status.code()), Some(3));
        assert_eq!(finished.stdout, "out\n");
        assert_eq!(finished.stderr, "err\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_hangs_is_killed_and_what_it_printed_is_kept() {
        let script = "echo before; exec sleep 3600";
        let finished = block_on(run(shell(script), Duration::from_millis(300)))
            .expect("sh can be run");
        assert_eq!(finished.status, None);
        assert_eq!(finished.stdout, "before\n");
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error() {
        let missing = Command::new("/no/such/program");
        assert!(block_on(run(missing, Duration::from_secs(1))).is_err());
    }
}
