//! Run a subprocess: output line by line, input, exit status, timeout, kill its children.
//!
//! `tokio::process::Command` is asyncio's `create_subprocess_exec`; for a shell, run
//! `sh -c`. Drop the child's `stdin` to end its input. Here the program gets its own
//! process group: your signal reaches the program and its children, but Ctrl-C in the
//! terminal does not.
//!
//! If a line comes late or only at the end, the program itself keeps it: most programs
//! write to a pipe in blocks of some KiB. Run Python with `-u`, others by `stdbuf -oL`.
//!
//! Bounds: After the times of [`Limits`] the group is asked to end, and then killed. A
//! line of more than [`LONGEST_LINE`] bytes is an error. A daemon that leaves the group
//! is not killed.
//!
//! Trap: If you read standard output to its end and only then standard error, the
//! program may hang: it waits while the pipe that you do not read is full. Read both
//! pipes concurrently.
//!
//! Trap: If you drop a `Child`, its process keeps running. With `kill_on_drop(true)`
//! the process is killed, but its own children keep running. Kill the group, as here. If
//! nobody awaits `wait`, a killed process may stay for a while as a zombie.
//!
//! Platforms: Windows has no SIGTERM, and here neither groups nor `spawn_merged`. Only
//! the program itself is killed, without a grace period.
//!
//! asyncio: asyncio.create_subprocess_exec, asyncio.create_subprocess_shell
//! asyncio: asyncio.subprocess.Process, asyncio.subprocess.Process.communicate

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, Decoder, FramedRead};
use tokio_util::task::AbortOnDropHandle;

/// A line of a program's output, without its newline. Invalid UTF-8 is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// To its standard output.
    Out(String),
    /// To its standard error.
    Err(String),
}

/// The greatest length of a line in bytes. A longer line is an error.
pub const LONGEST_LINE: usize = 64 * 1024;

/// Returns the lines of both pipes as they come, until no process can write to them any
/// more. The lines of one pipe keep their order. A line that is too long is an error, and
/// the lines after it follow: read on, or the program stops at a full pipe.
///
/// Takes the pipes out of the child. Dropping a future of `next` loses nothing.
pub fn lines(child: &mut Child) -> BoxStream<'static, io::Result<Line>> {
    let out = split(child.stdout.take(), Line::Out);
    let err = split(child.stderr.take(), Line::Err);
    stream::select(out, err).boxed()
}

/// Starts a program with both outputs in one pipe, which keeps their order, as
/// `stderr=asyncio.subprocess.STDOUT` does. The lines end like those of [`lines`].
#[cfg(unix)]
pub fn spawn_merged(
    command: &mut Command,
) -> io::Result<(Group, BoxStream<'static, io::Result<Line>>)> {
    let (pipe, output) = tokio::net::unix::pipe::pipe()?;
    let pipe = pipe.into_blocking_fd()?;
    command.stdout(pipe.try_clone()?).stderr(pipe);
    let group = Group::spawn(command);
    // The command holds the pipe's other end, so without this the output never ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((group?, split(Some(output), Line::Out)))
}

fn split(
    pipe: Option<impl AsyncRead + Send + 'static>,
    line: fn(String) -> Line,
) -> BoxStream<'static, io::Result<Line>> {
    let Some(pipe) = pipe else {
        return stream::empty().boxed();
    };
    let newline = b"\n".to_vec();
    let codec =
        AnyDelimiterCodec::new_with_max_length(newline.clone(), newline, LONGEST_LINE);
    FramedRead::new(pipe, Lines(codec))
        .map(move |read| read?.map(|it| line(String::from_utf8_lossy(&it).into_owned())))
        .boxed()
}

/// Decodes a line that is too long as an item: after an error, a `FramedRead` ends.
struct Lines(AnyDelimiterCodec);

impl Lines {
    fn item(
        decoded: Result<Option<Bytes>, AnyDelimiterCodecError>,
    ) -> io::Result<Option<io::Result<Bytes>>> {
        match decoded {
            Ok(line) => Ok(line.map(Ok)),
            Err(AnyDelimiterCodecError::Io(error)) => Err(error),
            Err(too_long) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, too_long);
                Ok(Some(Err(error)))
            }
        }
    }
}

impl Decoder for Lines {
    type Item = io::Result<Bytes>;
    type Error = io::Error;

    fn decode(&mut self, read: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        Self::item(self.0.decode(read))
    }

    fn decode_eof(&mut self, read: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        Self::item(self.0.decode_eof(read))
    }
}

/// A signal that ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM asks the process to end. It may clean up first.
    Terminate,
    /// SIGKILL cannot be refused.
    Kill,
}

/// A child and its own children, in one process group. If it is dropped before the child
/// was waited for, all of them are killed.
///
/// Windows has no groups: there only the child is killed, and cannot be asked to stop.
#[derive(Debug)]
pub struct Group {
    /// The child itself.
    pub leader: Child,
}

impl Group {
    /// Starts the program.
    ///
    /// A program in its own group that reads from the terminal is stopped by the
    /// system: give it another `stdin`.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        #[cfg(unix)]
        command.process_group(0);
        let leader = command.kill_on_drop(true).spawn()?;
        Ok(Self { leader })
    }

    /// Sends the signal to the group, unless the child was waited for already.
    #[cfg(unix)]
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        use rustix::process::{Pid, Signal as Number, kill_process_group};

        let number = match signal {
            Signal::Terminate => Number::TERM,
            Signal::Kill => Number::KILL,
        };
        // After `wait` there is no id: another process may have got it.
        let id = self.leader.id().and_then(|id| i32::try_from(id).ok());
        match id.and_then(Pid::from_raw) {
            Some(group) => Ok(kill_process_group(group, number)?),
            None => Ok(()),
        }
    }

    /// Kills the child.
    #[cfg(not(unix))]
    pub fn signal(&mut self, _signal: Signal) -> io::Result<()> {
        self.leader.start_kill()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // An error cannot be reported from here.
        let _ = self.signal(Signal::Kill);
    }
}

/// How long a program may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until it is asked to stop.
    pub run: Duration,
    /// From then on, until it is killed.
    pub grace: Duration,
}

/// Why a program did not end by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It took too long, and was stopped.
    #[error("it took too long; {0}")]
    TimedOut(ExitStatus),
    /// It could not be started, or read from.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs a program and shows its lines as they come. Returns when the child has ended and,
/// unless it was killed, no process holds its pipes open.
///
/// No zombie stays. If the future is dropped, or reading fails, the group is killed
/// immediately, and the runtime waits for the child later. A grandchild that has closed
/// the pipes and ignores SIGTERM keeps running.
///
/// An exit code other than 0 is no error. A line that is too long is one.
pub async fn run_to_end(
    command: &mut Command,
    input: Vec<u8>,
    limits: Limits,
    mut show: impl FnMut(Line),
) -> Result<ExitStatus, RunError> {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(command)?;
    let mut lines = lines(&mut group.leader);
    let stdin = group.leader.stdin.take();
    // Concurrently with the reading: the program may write before it has read all.
    let _feeding = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Some(mut stdin) = stdin {
            // A program that ends without reading all of it is no error.
            let _ = stdin.write_all(&input).await;
        }
    }));
    let mut end = async |group: &mut Group| {
        while let Some(line) = lines.next().await {
            show(line?);
        }
        group.leader.wait().await
    };
    if let Ok(status) = timeout(limits.run, end(&mut group)).await {
        return Ok(status?);
    }
    group.signal(Signal::Terminate)?;
    if let Ok(status) = timeout(limits.grace, end(&mut group)).await {
        return Err(RunError::TimedOut(status?));
    }
    group.signal(Signal::Kill)?;
    // A process that left the group may still hold the pipes: do not read on.
    Err(RunError::TimedOut(group.leader.wait().await?))
}

/// Runs a command for at most a minute, and marks its lines: `cargo run -- ls /tmp`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or("usage: COMMAND [ARGUMENT...]")?;
    let limits = Limits {
        run: Duration::from_secs(60),
        grace: Duration::from_secs(5),
    };
    let show = |line| match line {
        Line::Out(line) => println!("out: {line}"),
        Line::Err(line) => println!("err: {line}"),
    };
    let mut command = Command::new(program);
    command.args(arguments);
    let status = run_to_end(&mut command, Vec::new(), limits, show).await?;
    println!("{status}");
    Ok(())
}

//@ clock: real
//@ try: echo tea -> out: tea
