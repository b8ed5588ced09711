//! Running a program with limits on its time, its output and its memory.

use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, Read};
use std::mem;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// More output than any example prints, in bytes; a runaway is stopped here.
const MOST_OUTPUT: u64 = 256 << 10;

/// More memory than any example asks for, in KiB.
const MOST_MEMORY: &str = "8388608";

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended, or why it was killed.
    pub status: Result<ExitStatus, String>,
    /// Each line of standard output, with the time since the program's start at which it
    /// arrived.
    pub lines: Vec<(Duration, String)>,
    /// Standard error, even if it is only a part.
    pub stderr: String,
    /// How long the program ran.
    pub elapsed: Duration,
}

impl Finished {
    /// Returns standard output, even if it is only a part.
    pub fn stdout(&self) -> String {
        self.lines.iter().map(|(_, line)| line.as_str()).collect()
    }

    /// Returns what is wrong with how the program ended.
    pub fn problem(&self) -> Option<String> {
        match &self.status {
            Err(killed) => Some(killed.clone()),
            Ok(status) if !status.success() => Some(format!("it failed: {status}")),
            Ok(_) => None,
        }
    }
}

/// Returns a command that is started by a shell that limits its memory. Systems without
/// such a limit, or without such a shell, run it as it is.
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
/// `started` is called as soon as the program has printed its first line, or has ended.
pub fn run(
    mut command: Command,
    limit: Duration,
    started: impl FnOnce(),
) -> io::Result<Finished> {
    let mut started = Some(started);
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (sender, read) = mpsc::channel();
    let stdout = child.stdout.take().expect("it was piped");
    let stderr = child.stderr.take().expect("it was piped");
    let pipes: [Box<dyn Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
    for (index, pipe) in pipes.into_iter().enumerate() {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe.take(MOST_OUTPUT));
            let mut line = Vec::new();
            while let Ok(1..) = pipe.read_until(b'\n', &mut line) {
                // Nobody receives once the program was killed.
                let _ = sender.send((index, start.elapsed(), mem::take(&mut line)));
            }
        });
    }
    drop(sender);
    let (mut printed, mut sizes) = ([Vec::new(), Vec::new()], [0; 2]);
    let killed = loop {
        match read.recv_timeout(limit.saturating_sub(start.elapsed())) {
            Ok((index, at, line)) => {
                let starts = started.take_if(|_| index == 0);
                starts.into_iter().for_each(|started| started());
                sizes[index] += line.len() as u64;
                printed[index].push((at, String::from_utf8_lossy(&line).into_owned()));
                if sizes[index] >= MOST_OUTPUT {
                    let most = MOST_OUTPUT >> 10;
                    break Some(format!("it printed more than {most} KiB"));
                }
            }
            Err(RecvTimeoutError::Disconnected) => break None,
            Err(RecvTimeoutError::Timeout) => {
                break Some(format!("it did not end within {} s", limit.as_secs_f64()));
            }
        }
    };
    if killed.is_some() {
        child.kill()?;
    }
    let status = child.wait()?;
    started.into_iter().for_each(|started| started());
    let [lines, errors] = printed;
    Ok(Finished {
        status: killed.map_or(Ok(status), Err),
        lines,
        stderr: errors.into_iter().map(|(_, line)| line).collect(),
        elapsed: start.elapsed(),
    })
}
