//! Exit codes, and how soon an error is told.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use clap::Parser;
use tokio::time::Instant;

use crate::async_main_with_args::{Args, execute};

fn parse(pages: &[&str]) -> Args {
    Args::parse_from(["tool", "--timeout-ms", "60000"].iter().chain(pages))
}

fn drop_line(_line: &str) -> io::Result<()> {
    Ok(())
}

/// `tool news home | head -1`: the next page finds nobody, and the program ends.
#[tokio::test(start_paused = true)]
async fn a_closed_pipe_is_an_error_and_no_panic() {
    let closed = |_: &str| Err(io::Error::from(io::ErrorKind::BrokenPipe));
    let start = Instant::now();
    assert_eq!(execute(parse(&["news", "home"]), closed).await, 1);
    assert!(
        start.elapsed() < Duration::from_millis(400),
        "the first ends it"
    );
}

#[test]
fn a_wrong_call_has_the_code_2() {
    for (arguments, code) in
        [("tool", 2), ("tool --timeout-ms x home", 2), ("tool -h", 0)]
    {
        let error = Args::try_parse_from(arguments.split(' ')).expect_err("no pages");
        assert_eq!(error.exit_code(), code, "{arguments}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_error_is_told_at_once_however_many_pages_there_are() {
    for count in [0, 1, 31, 129, 1000] {
        let mut pages = vec!["news"; count];
        // Among the first ten, which are requested at once.
        pages.insert(count.min(9), "attic");
        let start = Instant::now();
        assert_eq!(execute(parse(&pages), drop_line).await, 1);
        assert!(start.elapsed() < Duration::from_millis(400), "{count}");
    }
}

/// All pages together have so much time, and none that comes later is printed.
#[tokio::test(start_paused = true)]
async fn the_whole_run_ends_with_an_error_after_its_timeout() {
    for (millis, code, printed) in [(399, 1, 1), (401, 0, 2)] {
        let timeout = millis.to_string();
        let args = ["tool", "--timeout-ms", &timeout, "home", "news"];
        let (start, lines) = (Instant::now(), Cell::new(0));
        let print = |_: &str| {
            lines.set(lines.get() + 1);
            Ok(())
        };
        assert_eq!(execute(Args::parse_from(args), print).await, code);
        assert_eq!(lines.get(), printed);
        let ended = Duration::from_millis(millis.min(400));
        assert_eq!(start.elapsed(), ended);
    }
}

#[tokio::test(start_paused = true)]
async fn all_pages_come_ten_at_a_time() {
    for (count, rounds) in [(1, 1), (10, 1), (11, 2), (31, 4), (129, 13)] {
        let start = Instant::now();
        assert_eq!(execute(parse(&vec!["news"; count]), drop_line).await, 0);
        let expected = rounds * Duration::from_millis(400);
        assert!(
            start.elapsed() >= expected
                && start.elapsed() < expected + Duration::from_millis(50)
        );
    }
}

#[tokio::test]
async fn it_can_be_spawned() {
    let task = tokio::spawn(execute(parse(&["home"]), drop_line));
    assert_eq!(task.await.expect("no panic"), 0);
}
