//! A port of `SubprocessProtocol`: pipes and exit of a child as events in one `select!`.
//!
//! asyncio calls you back; here you await the next event in a loop.
//! `pipe_data_received` is a read of a pipe, `pipe_connection_lost` is a read of 0
//! bytes, and `process_exited` is a `wait` that returns. All three are cancel-safe
//! (dropping one loses nothing), so one `select!` awaits them together. Data comes in
//! pieces of any size; a piece is not a line.
//!
//! Bounds: One piece of up to 64 KiB for each pipe. If you do not ask for the next
//! event, the child waits when its pipe is full.
//!
//! Trap: If you stop reading when the child has exited, you may lose output, because a
//! grandchild can still write to the pipe. Keep reading until both pipes are closed.
//!
//! Trap: If you call `wait` on a `Child` whose `stdin` you have not taken out, `wait`
//! closes the `stdin`, and you can send no more input. Take `stdin` out first.
//!
//! Platforms: The demonstration runs `sh`, which Windows does not have.
//!
//! See also: `run_subprocess` (lines, limits in time, process groups, other signals).
//!
//! asyncio: loop.subprocess_exec, asyncio.SubprocessProtocol
//! asyncio: asyncio.SubprocessProtocol.pipe_data_received

use std::io;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::select;

/// What happens to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A piece of standard output (1) or standard error (2).
    Data(u8, Vec<u8>),
    /// That pipe is closed.
    PipeLost(u8),
    /// The child has ended. Its own children may still write.
    Exited(ExitStatus),
}

/// A child with all its pipes. Dropping it kills the child.
#[derive(Debug)]
pub struct Process {
    /// The input of the child; `take` it and drop it to end the input.
    pub stdin: Option<ChildStdin>,
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    has_exited: bool,
    buffers: [Vec<u8>; 2],
}

impl Process {
    /// Starts the program.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            has_exited: false,
            buffers: [vec![0; 65_536], vec![0; 65_536]],
        })
    }

    /// Returns the next event; `None` after the exit and the end of both pipes.
    /// Cancel-safe.
    pub async fn next(&mut self) -> io::Result<Option<Event>> {
        let [out, err] = &mut self.buffers;
        let event = select! {
            event = read(1, &mut self.stdout, out), if self.stdout.is_some() => event?,
            event = read(2, &mut self.stderr, err), if self.stderr.is_some() => event?,
            status = self.child.wait(), if !self.has_exited => {
                self.has_exited = true;
                Event::Exited(status?)
            }
            else => return Ok(None),
        };
        Ok(Some(event))
    }

    /// Returns the exit status if the child has ended.
    pub fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Kills the child, but not its own children.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.start_kill()
    }
}

/// Reads a piece. At the end, it closes the pipe.
async fn read(
    number: u8,
    pipe: &mut Option<impl AsyncRead + Unpin>,
    buffer: &mut [u8],
) -> io::Result<Event> {
    let size = match pipe {
        Some(pipe) => pipe.read(buffer).await?,
        None => 0,
    };
    if size == 0 {
        *pipe = None;
        return Ok(Event::PipeLost(number));
    }
    Ok(Event::Data(number, buffer[..size].to_vec()))
}

/// Shows the events of a program: `cargo run -- ls /tmp`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or("usage: COMMAND [ARGUMENT...]")?;
    let mut process = Process::spawn(Command::new(program).args(arguments))?;
    // Otherwise the program may wait for input.
    process.stdin = None;
    while let Some(event) = process.next().await? {
        match event {
            Event::Data(pipe, data) => println!("{pipe}: {}", data.escape_ascii()),
            Event::PipeLost(pipe) => println!("{pipe}: closed"),
            Event::Exited(status) => println!("{status}"),
        }
    }
    Ok(())
}

//@ clock: real
//@ try: echo tea -> 1: tea
