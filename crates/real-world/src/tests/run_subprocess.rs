use std::fs;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::run_subprocess::{
    LONGEST_LINE, Limits, Line, RunError, lines, run_to_end, spawn_merged,
};

const TICK: Duration = Duration::from_millis(1);

/// Shorter than the children sleep, much longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

const LIMITS: Limits = Limits {
    run: PATIENCE,
    grace: PATIENCE,
};

const SHORT: Limits = Limits {
    run: Duration::from_millis(100),
    grace: Duration::from_millis(100),
};

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    command
}

/// A script that hands a mark down to all that it starts.
fn marked(script: &str, mark: &str) -> Command {
    let mut command = sh(script);
    command.env("MARK", format!("{}-{mark}", std::process::id()));
    command
}

/// How many processes run that have the mark.
fn alive(mark: &str) -> usize {
    let mark = format!("MARK={}-{mark}", std::process::id());
    let processes = fs::read_dir("/proc").expect("there is one");
    processes
        .flatten()
        .filter_map(|process| fs::read(process.path().join("environ")).ok())
        .filter(|all| {
            all.split(|byte| *byte == 0)
                .any(|one| one == mark.as_bytes())
        })
        .count()
}

async fn until(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < PATIENCE, "it never happens");
        sleep(TICK).await;
    }
}

async fn run(script: &str, limits: Limits) -> (Vec<Line>, Result<ExitStatus, RunError>) {
    let mut seen = Vec::new();
    let show = |line| seen.push(line);
    let mut command = sh(script);
    let run = run_to_end(&mut command, Vec::new(), limits, show);
    let ended = timeout(2 * PATIENCE, run).await.expect("it hangs");
    (seen, ended)
}

fn out(text: &str) -> Line {
    Line::Out(text.to_string())
}

/// The process whose id the first line is.
fn process(seen: &[Line]) -> String {
    match seen {
        [Line::Out(id), ..] => format!("/proc/{id}"),
        _ => panic!("no id in {seen:?}"),
    }
}

#[tokio::test]
async fn waited_for_however_it_ends() {
    for (script, limits) in [
        ("echo $$", LIMITS),
        ("echo $$; trap 'exit 3' TERM; sleep 30 & wait", SHORT),
        ("echo $$; trap '' TERM; sleep 30", SHORT),
    ] {
        let (seen, ended) = run(script, limits).await;
        assert!(!Path::new(&process(&seen)).exists(), "{ended:?}");
    }
}

#[tokio::test]
async fn dropped_at_any_moment_it_leaves_nothing() {
    let script = "trap '' TERM; sleep 30 & echo $$; sleep 30";
    let mut ids = 0;
    for polls in [1, 2, 3, 4, 6, 8, 12, 16, 32, 100, 250] {
        let mut seen = Vec::new();
        {
            let mut command = marked(script, "dropped");
            let show = |line| seen.push(line);
            let mut run = pin!(run_to_end(&mut command, Vec::new(), SHORT, show));
            for _ in 0..polls {
                if futures::poll!(run.as_mut()).is_ready() {
                    break;
                }
                sleep(TICK).await;
            }
        }
        until(|| alive("dropped") == 0).await;
        if !seen.is_empty() {
            ids += 1;
            let process = process(&seen);
            until(|| !Path::new(&process).exists()).await;
        }
    }
    assert!(ids > 2, "some got that far");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once() {
    super::allow_files();
    let mut set = JoinSet::new();
    for code in 0..60 {
        set.spawn(async move {
            let script = format!("echo {code}; exit {code}");
            let (seen, ended) = run(&script, LIMITS).await;
            assert_eq!(seen, [out(&code.to_string())]);
            assert_eq!(ended.expect("in time").code(), Some(code));
        });
    }
    set.join_all().await;
}

#[tokio::test]
async fn a_panic_kills_the_group() {
    let task = tokio::spawn(async {
        let mut command = marked("sleep 30 & echo a; wait", "panic");
        let show = |_| {
            assert_eq!(alive("panic"), 2);
            panic!("scheduled");
        };
        run_to_end(&mut command, Vec::new(), LIMITS, show).await
    });
    assert!(task.await.is_err_and(|error| error.is_panic()));
    until(|| alive("panic") == 0).await;
}

#[tokio::test]
async fn lines_of_all_kinds() {
    let (seen, _) = run(r"printf 'a\n\n\303\244\377\nno end'", LIMITS).await;
    let expected = ["a", "", "\u{e4}\u{fffd}", "no end"];
    assert_eq!(seen, expected.map(out));

    let line = |length: usize| format!("yes | tr -d '\\n' | head -c {length}; echo");
    let (seen, ended) = run(&line(LONGEST_LINE), LIMITS).await;
    assert_eq!(seen, [out(&"y".repeat(LONGEST_LINE))]);
    assert!(ended.is_ok());
    let (seen, ended) = run(&line(LONGEST_LINE + 1), LIMITS).await;
    assert_eq!(seen, []);
    assert!(matches!(
        ended,
        Err(RunError::Io(error)) if error.kind() == io::ErrorKind::InvalidData
    ));
}

/// As `readline` of asyncio, which raises an error and then continues.
#[tokio::test]
async fn after_a_line_that_is_too_long_the_next_lines_follow() -> io::Result<()> {
    let long = LONGEST_LINE + 9_000;
    // Without a reader, the program would stop at a full pipe.
    let script = format!(
        "head -c {long} /dev/zero; echo; echo next; yes '' | head -n 500000; echo end"
    );
    let mut command = sh(&script);
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = lines(&mut child);
    let too_long = timeout(PATIENCE, lines.next()).await?.expect("an item");
    let kind = too_long.expect_err("it is too long").kind();
    assert_eq!(kind, io::ErrorKind::InvalidData);
    let rest: Vec<Line> = timeout(PATIENCE, lines.try_collect()).await??;
    assert_eq!((rest.len(), &rest[0]), (500_002, &out("next")));
    assert_eq!(rest.last(), Some(&out("end")));
    assert!(timeout(PATIENCE, child.wait()).await??.success());
    Ok(())
}

#[tokio::test]
async fn much_in_both_directions() {
    let input = "line\n".repeat(200_000);
    let mut lines = 0;
    let show = |line| {
        assert_eq!(line, out("line"));
        lines += 1;
    };
    let mut command = Command::new("cat");
    let ended = run_to_end(&mut command, input.clone().into(), LIMITS, show).await;
    assert!(ended.is_ok_and(|status| status.success()));
    assert_eq!(lines, 200_000);

    let mut command = Command::new("true");
    let ended = run_to_end(&mut command, input.into(), LIMITS, |_| ()).await;
    assert!(
        ended.is_ok_and(|status| status.success()),
        "it may not read"
    );
}

#[tokio::test]
async fn no_time_at_all() {
    let none = Limits {
        run: Duration::ZERO,
        grace: Duration::ZERO,
    };
    let (_, ended) = run("sleep 30", none).await;
    let Err(RunError::TimedOut(status)) = ended else {
        panic!("{ended:?}");
    };
    assert!(!status.success());
}

#[tokio::test]
async fn what_the_child_leaves_behind_is_stopped_too() {
    let mut command = marked("sleep 30 & echo begun", "behind");
    let ended = run_to_end(&mut command, Vec::new(), SHORT, |_| ()).await;
    assert!(matches!(ended, Err(RunError::TimedOut(status)) if status.success()));
    until(|| alive("behind") == 0).await;

    let daemon = "setsid sleep 2 & echo begun";
    let deaf =
        "(trap '' TERM; exec sleep 2) >&- 2>&- & trap 'exit 0' TERM; sleep 9 & wait";
    for (script, mark) in [(daemon, "daemon"), (deaf, "deaf")] {
        let mut command = marked(script, mark);
        let ended = run_to_end(&mut command, Vec::new(), SHORT, |_| ()).await;
        assert!(matches!(ended, Err(RunError::TimedOut(status)) if status.success()));
        assert_eq!(alive(mark), 1, "documented");
    }
}

#[tokio::test]
async fn started_by_a_task_that_is_aborted() {
    let task = tokio::spawn(async {
        let mut command = marked("sleep 30 & wait", "aborted");
        let mut seen = Vec::new();
        let show = |line| seen.push(line);
        run_to_end(&mut command, Vec::new(), LIMITS, show).await
    });
    until(|| alive("aborted") == 2).await;
    task.abort();
    assert!(task.await.is_err_and(|error| error.is_cancelled()));
    until(|| alive("aborted") == 0).await;
}

#[tokio::test]
async fn nothing_to_run() {
    let mut command = Command::new("no-such-program");
    let ended = run_to_end(&mut command, Vec::new(), LIMITS, |_| ()).await;
    let Err(RunError::Io(error)) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let mut folder = Command::new("/");
    let ended = run_to_end(&mut folder, Vec::new(), LIMITS, |_| ()).await;
    assert!(matches!(ended, Err(RunError::Io(_))), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_outputs_in_one_pipe_keep_their_order() -> io::Result<()> {
    let script = "for n in 1 2 3 4 5 6 7 8 9; do echo $n; echo $n >&2; done";
    let (mut group, output) = spawn_merged(&mut sh(script))?;
    let lines: Vec<Line> = timeout(PATIENCE, output.try_collect()).await??;
    let expected: Vec<_> = (2..20).map(|n| out(&(n / 2).to_string())).collect();
    assert_eq!(lines, expected);
    assert!(group.leader.wait().await?.success());

    let (_group, mut output) = spawn_merged(&mut sh("head -c 1000000 /dev/zero"))?;
    let too_long = timeout(PATIENCE, output.next()).await?.expect("an item");
    let kind = too_long.expect_err("no line has an end").kind();
    assert_eq!(kind, io::ErrorKind::InvalidData);

    let none = spawn_merged(&mut Command::new("no-such-program"));
    assert_eq!(
        none.err().map(|error| error.kind()),
        Some(io::ErrorKind::NotFound)
    );
    Ok(())
}

/// A daemon holds the pipe open; neither the reader nor the end of the runtime waits for
/// it.
#[test]
fn both_outputs_in_one_pipe_can_be_timed_out() {
    let script = "echo one; MARK= setsid sleep 30 & exit 0";
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let start = Instant::now();
    let lines: Vec<Line> = runtime.block_on(async {
        let (_group, output) = spawn_merged(&mut sh(script)).expect("it starts");
        let all = output.take_until(sleep(100 * TICK));
        all.try_collect().await.expect("no error")
    });
    drop(runtime);
    assert_eq!(lines, [out("one")]);
    assert!(start.elapsed() < Duration::from_secs(20), "it waited");
}

#[tokio::test]
async fn both_outputs_in_one_pipe_of_a_group_that_is_killed() -> io::Result<()> {
    let mut command = marked("sleep 1000 & sleep 1000", "merged");
    let (group, output) = spawn_merged(&mut command)?;
    until(|| alive("merged") == 3).await;
    drop(group);
    let lines: Vec<Line> = timeout(PATIENCE, output.try_collect()).await??;
    assert_eq!(lines, []);
    until(|| alive("merged") == 0).await;
    Ok(())
}
