//! Read a line from standard input with a timeout; why the program does not end after it.
//!
//! As with `run_in_executor`, `tokio::io::stdin` reads in a thread, and nothing stops a
//! read that has begun. That is a trap twice. A question that is given up leaves its read
//! behind, which takes the next line, and with a new reader for each question that line
//! is lost. And the end of `main` waits for the read, until somebody presses Enter. So
//! read in a thread of your own, for which a program does not wait. Where the read is not
//! yours, `Runtime::shutdown_background` does not wait for it; nor does `process::exit`,
//! which runs no destructors (`exit_codes`). By hand, `cargo run -- thread` gives five
//! seconds for an answer. For single keys there is the crate `crossterm`, for editing
//! `rustyline-async`.
//!
//! asyncio: loop.run_in_executor, loop.call_soon_threadsafe, asyncio.timeout, os._exit
//! asyncio: asyncio.timeout(None), asyncio.StreamReader (async for line)
//! asyncio: asyncio.subprocess.DEVNULL, asyncio.subprocess.Process.returncode
//! clock: real

use std::env;
use std::io::{self, BufRead, IsTerminal};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

/// Lines that a thread of its own reads.
///
/// The thread is ahead of the program by two lines at most. Dropped, it reads on until it
/// has the next line: so make one for the program, and keep it.
pub struct Lines {
    lines: mpsc::Receiver<io::Result<String>>,
}

impl Lines {
    /// Begins to read standard input.
    ///
    /// # Errors
    ///
    /// If the system has no thread for it.
    pub fn of_stdin() -> io::Result<Self> {
        Self::read(|| io::stdin().lock())
    }

    /// Begins to read what is opened in the thread.
    ///
    /// # Errors
    ///
    /// If the system has no thread for it.
    pub fn read<R: BufRead>(
        open: impl FnOnce() -> R + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, lines) = mpsc::channel(1);
        let read = move || {
            for line in open().lines() {
                let failed = line.is_err();
                if sender.blocking_send(line).is_err() || failed {
                    break;
                }
            }
        };
        // Nobody joins it, and a process does not wait for it.
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(read)?;
        Ok(Self { lines })
    }

    /// The next line, without its end; `None` at the end of the input. Cancel-safe: what
    /// comes after a timeout is the answer to the next call.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not UTF-8. No line comes after that.
    pub async fn next(&mut self) -> io::Result<Option<String>> {
        self.lines.recv().await.transpose()
    }
}

/// Runs it, as `#[tokio::main]` does, but does not wait for blocking calls at the end,
/// nor after a panic.
///
/// # Errors
///
/// If the system has no resources for a runtime.
pub fn block_on_and_leave<T>(program: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Runtime::new()?;
    // A panic would drop the runtime, and that waits.
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(program)));
    runtime.shutdown_background();
    Ok(result.unwrap_or_else(|payload| resume_unwind(payload)))
}

enum Input {
    /// The trap: a reader for each question.
    Anew,
    Thread(Lines),
}

impl Input {
    async fn next(&mut self) -> io::Result<Option<String>> {
        match self {
            Self::Anew => BufReader::new(stdin()).lines().next_line().await,
            Self::Thread(lines) => lines.next().await,
        }
    }
}

/// The program that asks. It answers on standard error.
async fn ask(mut input: Input) -> io::Result<()> {
    let by_hand = io::stdin().is_terminal();
    let limit = Duration::from_millis(if by_hand { 5000 } else { 200 });
    let day = Duration::from_secs(24 * 3600);
    for (question, limit) in [("name", day), ("colour", limit), ("animal", limit)] {
        if by_hand {
            eprintln!("{question}?");
        }
        match timeout(limit, input.next()).await {
            Ok(Ok(Some(line))) => eprintln!("{question}: {line}"),
            Ok(Ok(None)) => eprintln!("{question}: the input has ended"),
            Ok(Err(error)) => return Err(error),
            Err(_) => eprintln!("{question}: no answer in time"),
        }
    }
    Ok(())
}

/// This program once more, with a pipe for its input.
struct Program {
    child: Child,
    _answers: AbortOnDropHandle<()>,
}

impl Program {
    fn start(way: &str) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.arg(way).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let answers = child.stderr.take();
        let answers = tokio::spawn(async {
            if let Some(answers) = answers {
                let mut lines = BufReader::new(answers).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    println!("{line}");
                }
            }
        });
        let _answers = AbortOnDropHandle::new(answers);
        Ok(Self { child, _answers })
    }

    async fn enter(&mut self, line: &str) -> io::Result<()> {
        println!("> {line}");
        match &mut self.child.stdin {
            Some(stdin) => stdin.write_all(format!("{line}\n").as_bytes()).await,
            None => Ok(()),
        }
    }

    fn look(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            Some(_) => println!("the program has ended"),
            None => println!("the program has not ended"),
        }
        Ok(())
    }
}

pub async fn run() -> io::Result<()> {
    let way = env::args().nth(1);
    match way.as_deref() {
        Some("anew") => ask(Input::Anew).await,
        // As it may not block a worker. In a program this is the whole of `main`.
        Some("leave") => {
            spawn_blocking(|| block_on_and_leave(ask(Input::Anew))).await??
        }
        Some("thread") => ask(Input::Thread(Lines::of_stdin()?)).await,
        _ => show_all().await,
    }
}

async fn show_all() -> io::Result<()> {
    let start = Instant::now();
    let at = |tenths| sleep_until(start + Duration::from_millis(100) * tenths);
    let mut anew = Program::start("anew")?;
    let mut leave = Program::start("leave")?;
    let mut thread = Program::start("thread")?;

    at(10).await;
    println!("A reader for each question, and 0.2 s for an answer:");
    anew.enter("Ada").await?;
    at(13).await;
    anew.enter("cat").await?;
    at(16).await;
    anew.look()?;
    println!("> the end of the input");
    drop(anew.child.stdin.take());
    at(18).await;
    anew.look()?;

    at(20).await;
    println!("The same, without waiting at the end:");
    leave.enter("Ada").await?;
    at(23).await;
    leave.enter("cat").await?;
    at(26).await;
    leave.look()?;

    at(30).await;
    println!("A thread and a channel:");
    thread.enter("Ada").await?;
    at(33).await;
    thread.enter("cat").await?;
    at(36).await;
    thread.look()
}

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::io::{self, BufReader, Read, Write};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;
    use std::time::{Duration, Instant};

    use tokio::runtime::Runtime;
    use tokio::sync::Mutex;
    use tokio::task::{JoinSet, spawn_blocking, yield_now};
    use tokio::time::{sleep, timeout};

    use super::{Lines, block_on_and_leave};

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Lines from the other end of a pipe.
    fn pipe() -> (io::PipeWriter, Lines) {
        let (reader, writer) = io::pipe().expect("there are pipes");
        let lines = Lines::read(|| BufReader::new(reader)).expect("there are threads");
        (writer, lines)
    }

    /// Polls the future so often, a millisecond apart, and drops it if it is not ready.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let std::task::Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }

    #[tokio::test]
    async fn given_up_at_each_await_no_line_is_lost() {
        let (mut writer, mut lines) = pipe();
        for polls in 1..10 {
            assert!(poll_and_drop(lines.next(), polls).await.is_none());
            writeln!(writer, "{polls}").expect("it is read");
            let line = timeout(PATIENCE, lines.next()).await.expect("it comes");
            assert_eq!(line.expect("it is read"), Some(polls.to_string()));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn asked_by_many_each_line_comes_once() {
        let (mut writer, lines) = pipe();
        let lines = Arc::new(Mutex::new(lines));
        let mut set = JoinSet::new();
        for _ in 0..50 {
            let lines = Arc::clone(&lines);
            set.spawn(async move {
                let mut seen = Vec::new();
                while let Ok(Some(line)) = lines.lock().await.next().await {
                    seen.push(line.parse::<u32>().expect("a number"));
                    yield_now().await;
                }
                seen
            });
        }
        let write = spawn_blocking(move || {
            (0..5000).try_for_each(|number| writeln!(writer, "{number}"))
        });
        write.await.expect("no panic").expect("it is read");
        let mut seen = set.join_all().await.concat();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..5000));
    }

    /// A line with each read.
    struct Counting(Arc<AtomicUsize>);

    impl Read for Counting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.fetch_add(1, SeqCst);
            (&b"x\n"[..]).read(buffer)
        }
    }

    #[tokio::test]
    async fn ahead_by_two_lines() {
        let count = Arc::new(AtomicUsize::new(0));
        let reader = Counting(Arc::clone(&count));
        let lines = Lines::read(|| BufReader::with_capacity(2, reader));
        let mut lines = lines.expect("there are threads");
        for taken in 0..300 {
            while count.load(SeqCst) < taken + 2 {
                yield_now().await;
            }
            assert_eq!(count.load(SeqCst), taken + 2);
            assert_eq!(lines.next().await.expect("it reads").as_deref(), Some("x"));
        }
    }

    #[tokio::test]
    async fn dropped_it_reads_one_more_line() {
        let (mut writer, lines) = pipe();
        drop(lines);
        let begun = Instant::now();
        while writeln!(writer, "lost").is_ok() {
            assert!(begun.elapsed() < PATIENCE, "the thread ends");
            sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn ends_and_errors() {
        let (mut writer, mut lines) = pipe();
        writer.write_all(b"\nno end").expect("it is read");
        drop(writer);
        for line in [Some(""), Some("no end"), None, None] {
            assert_eq!(lines.next().await.expect("it reads").as_deref(), line);
        }

        let (mut writer, mut lines) = pipe();
        writer.write_all(b"\xff\nlost\n").expect("it is read");
        let error = lines.next().await.expect_err("it is not UTF-8");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(lines.next().await.expect("it has ended"), None);

        let open = || -> BufReader<io::Empty> { panic!("scheduled") };
        let mut lines = Lines::read(open).expect("there are threads");
        assert_eq!(lines.next().await.expect("it has ended"), None);
    }

    #[test]
    fn a_runtime_does_not_wait_for_it() {
        let (_writer, mut lines) = pipe();
        let begun = Instant::now();
        let runtime = Runtime::new().expect("there are threads");
        let millisecond = Duration::from_millis(1);
        let next = async { timeout(millisecond, lines.next()).await.is_err() };
        assert!(runtime.block_on(next));
        drop(runtime);
        assert!(begun.elapsed() < PATIENCE);
    }

    #[test]
    fn left_without_waiting_for_a_blocking_call() {
        for panics in [false, true] {
            let (mut reader, _writer) = io::pipe().expect("there are pipes");
            let program = async move {
                let (begins, begun) = tokio::sync::oneshot::channel();
                drop(spawn_blocking(move || {
                    let _ = begins.send(());
                    reader.read(&mut [0])
                }));
                begun.await.expect("it begins");
                assert!(!panics, "scheduled");
            };
            let (ends, ended) = std::sync::mpsc::channel();
            thread::spawn(move || {
                let left = catch_unwind(AssertUnwindSafe(|| block_on_and_leave(program)));
                ends.send(left.is_err())
            });
            assert_eq!(ended.recv_timeout(PATIENCE), Ok(panics));
        }
    }

    /// Set for the child, a process that runs this binary's `child` alone.
    const CHILD: &str = "STDIN_WITH_TIMEOUT_CHILD";

    #[tokio::test]
    async fn child() {
        if env::var_os(CHILD).is_some() {
            let mut lines = Lines::of_stdin().expect("there are threads");
            while let Some(line) = lines.next().await.expect("it reads") {
                println!("read {line}");
            }
            println!("read to the end");
        }
    }

    #[cfg(unix)]
    #[test]
    fn whatever_standard_input_is() {
        // It has another name in a copy of this file.
        let (_crate, module) = module_path!().split_once("::").expect("a module");
        for (input, read) in [
            ("exec \"$0\" \"$@\" < /dev/null", "read to the end"),
            ("exec \"$0\" \"$@\" <&-", "read to the end"),
            ("echo a | \"$0\" \"$@\"", "read a\nread to the end"),
        ] {
            let output = Command::new("sh")
                .args(["-c", input])
                .arg(env::current_exe().expect("itself"))
                .args(["--exact", "--nocapture", &format!("{module}::child")])
                .env(CHILD, "1")
                .stdin(Stdio::piped())
                .output();
            let output = output.expect("there is a shell").stdout;
            let output = String::from_utf8_lossy(&output);
            assert!(output.contains(read), "{input}: {output}");
        }
    }
}
