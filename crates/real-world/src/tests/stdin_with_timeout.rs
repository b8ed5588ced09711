use std::env;
use std::io::{self, BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::task::{JoinSet, spawn_blocking, yield_now};
use tokio::time::{sleep, timeout};

use super::support::poll_and_drop;
use crate::stdin_with_timeout::{Lines, block_on_and_leave};

const PATIENCE: Duration = Duration::from_secs(120);

/// Lines from the other end of a pipe.
fn pipe() -> (io::PipeWriter, Lines) {
    let (reader, writer) = io::pipe().expect("there are pipes");
    let lines = Lines::read(|| BufReader::new(reader)).expect("there are threads");
    (writer, lines)
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
        let output = std::process::Command::new("sh")
            .args(["-c", input])
            .arg(env::current_exe().expect("itself"))
            .args(["--exact", "--nocapture", &format!("{module}::child")])
            .env(CHILD, "1")
            .stdin(std::process::Stdio::piped())
            .output();
        let output = output.expect("there is a shell").stdout;
        let output = String::from_utf8_lossy(&output);
        assert!(output.contains(read), "{input}: {output}");
    }
}
