use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::support::{child_of, poll_and_drop, soon};
use crate::reload_config::{Config, ConfigError, ConfigFile, check, greet};

struct Setup {
    folder: TempDir,
}

impl Setup {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let setup = Self { folder };
        setup.write(text);
        setup
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }

    /// Replaces the whole file.
    fn write(&self, text: impl AsRef<[u8]>) {
        let part = self.folder.path().join("part");
        std::fs::write(&part, text).expect("there is room");
        std::fs::rename(part, self.path()).expect("it is one folder");
    }
}

fn text(greeting: &str, every_ms: u64) -> String {
    format!(r#"{{"greeting": "{greeting}", "every_ms": {every_ms}}}"#)
}

fn seen(config: &watch::Receiver<Arc<Config>>) -> (String, u64) {
    let config = config.borrow();
    (config.greeting.clone(), config.every_ms)
}

#[tokio::test]
async fn a_wrong_file_is_refused_with_the_reason_and_changes_nothing() {
    let setup = Setup::new(text("hello", 100));
    let mut config = ConfigFile::load(setup.path(), check).await.expect("right");
    let mut receiver = config.subscribe();
    for (wrong, reason) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{\n\"greeting\"", "EOF while parsing an object at line 2"),
        ("greeting = 'a'", "expected value at line 1 column 1"),
        ("[1]", "invalid type: integer `1`, expected a string"),
        ("{}", "missing field `greeting`"),
        (r#"{"greeting": "a"}"#, "missing field `every_ms`"),
        (
            &text("a", 100).replace("every", "ever"),
            "unknown field `ever_ms`",
        ),
        (
            &text("a", 100).replace(": 100", ": -1"),
            "invalid value: integer `-1`",
        ),
        (
            &text("a", 100).replace(": 100", ": \"1\""),
            "invalid type: string \"1\"",
        ),
        (&format!("{}{}", text("a", 100), "x"), "trailing characters"),
        (&text("a", 9), "every_ms: 9 is not between 10 and 60000"),
    ] {
        setup.write(wrong);
        let error = config.reload().await.expect_err(wrong).to_string();
        assert!(error.contains(reason), "{wrong}: {error}");
        let none = ConfigFile::load(setup.path(), check).await;
        assert!(none.is_err(), "{wrong}");
    }
    setup.write(b"\xFF\xFE");
    assert!(matches!(config.reload().await, Err(ConfigError::Parse(_))));
    std::fs::remove_file(setup.path()).expect("it is there");
    assert!(matches!(config.reload().await, Err(ConfigError::Read(_))));
    std::fs::create_dir(setup.path()).expect("there is room");
    assert!(matches!(config.reload().await, Err(ConfigError::Read(_))));

    assert!(!receiver.has_changed().expect("it is open"));
    assert_eq!(seen(&receiver), ("hello".to_owned(), 100));
    std::fs::remove_dir(setup.path()).expect("it is empty");
    setup.write(text("hi", 200));
    config.reload().await.expect("it is right");
    receiver.changed().await.expect("it is open");
    assert_eq!(seen(&receiver), ("hi".to_owned(), 200));
    // The last values stay.
    drop(config);
    assert!(receiver.changed().await.is_err());
    assert_eq!(seen(&receiver), ("hi".to_owned(), 200));
}

#[tokio::test]
async fn dropped_at_each_await_the_values_are_old_or_new() {
    let setup = Setup::new(text("0", 100));
    let mut config = ConfigFile::load(setup.path(), check).await.expect("right");
    let receiver = config.subscribe();
    let mut last = ("0".to_owned(), 100);
    for polls in 0..20 {
        let new = (polls.to_string(), 100 + polls as u64);
        setup.write(text(&new.0, new.1));
        let reloaded = poll_and_drop(config.reload(), polls).await;
        if let Some(reloaded) = reloaded {
            reloaded.expect("it is right");
            last = new;
        }
        assert_eq!(seen(&receiver), last, "{polls} polls");
    }
}

/// Each value has the same number twice: no reader sees two numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_on_four_threads_never_see_half_of_a_change() {
    const TIMES: u64 = 500;
    let setup = Setup::new(text("10", 10));
    let mut config = ConfigFile::load(setup.path(), check).await.expect("right");
    let mut readers = JoinSet::new();
    for number in 0..8 {
        let mut receiver = config.subscribe();
        readers.spawn(async move {
            let mut last = 10;
            loop {
                let (greeting, now) = seen(&receiver);
                assert_eq!(greeting, now.to_string());
                assert!(now >= last, "{now} after {last}");
                last = now;
                // Some wait, others look all the time.
                if number % 2 == 0 {
                    if receiver.changed().await.is_err() {
                        return seen(&receiver).1;
                    }
                } else if receiver.has_changed().is_err() {
                    return last.max(seen(&receiver).1);
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for number in 11..=10 + TIMES {
        setup.write(text(&number.to_string(), number));
        config.reload().await.expect("it is right");
    }
    drop(config);
    for last in soon(readers.join_all()).await {
        assert_eq!(last, 10 + TIMES);
    }
}

/// A file that is written in place is read half. The old values stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_written_meanwhile_is_old_new_or_refused() {
    let setup = Setup::new(text("a", 100));
    let mut config = ConfigFile::load(setup.path(), check).await.expect("right");
    let receiver = config.subscribe();
    let (path, done) = (setup.path(), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&done);
    let writer = std::thread::spawn(move || {
        let mut written = 0;
        while !ended.load(SeqCst) {
            let text = text(&"b".repeat(10_000), 200);
            std::fs::write(&path, text).expect("there is room");
            written += 1;
        }
        written
    });
    let (mut right, mut wrong) = (0, 0);
    while right + wrong < 1_000 {
        match config.reload().await {
            Ok(()) => right += 1,
            Err(error) => {
                assert!(matches!(error, ConfigError::Parse(_)), "{error:?}");
                wrong += 1;
            }
        }
        let (greeting, every_ms) = seen(&receiver);
        assert!(
            [("a", 1, 100), ("b", 10_000, 200)]
                .iter()
                .any(|(text, times, ms)| {
                    greeting == text.repeat(*times) && every_ms == *ms
                })
        );
    }
    done.store(true, SeqCst);
    assert!(writer.join().expect("it does not panic") > 0);
}

#[derive(Debug, Deserialize)]
struct Other {
    names: Vec<String>,
}

#[tokio::test]
async fn lists_of_all_sizes_and_a_check_that_panics() {
    let names = |number: usize| format!(r#"{{"names": {:?}}}"#, vec!["x"; number]);
    let setup = Setup::new(names(0));
    let loaded = ConfigFile::<Other>::load(setup.path(), |_| Ok(())).await;
    let mut config = loaded.expect("it is right");
    for number in [0, 1, 31, 129, 1_000, 100_000] {
        setup.write(names(number));
        config.reload().await.expect("it is right");
        assert_eq!(config.subscribe().borrow().names.len(), number);
    }
    let panics = ConfigFile::<Other>::load(setup.path(), |_| panic!("scheduled"));
    assert!(
        tokio::spawn(panics)
            .await
            .expect_err("it panics")
            .is_panic()
    );
}

#[tokio::test(start_paused = true)]
async fn new_values_end_the_pause_and_the_last_sender_the_task() {
    let config = |every_ms| {
        let greeting = String::new();
        Arc::new(Config { greeting, every_ms })
    };
    let (sender, receiver) = watch::channel(config(60_000));
    let greeting = tokio::spawn(greet(receiver));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let start = tokio::time::Instant::now();
    sender.send(config(50_000)).expect("it listens");
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(sender);
    greeting.await.expect("it ends");
    assert_eq!(start.elapsed(), Duration::from_millis(1));
}

const CASE: &str = "RELOAD_CONFIG_CASE";

/// A signal goes to the whole process, so this is done in another.
#[test]
fn child() {
    use rustix::process::{Signal, getpid, kill_process};
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(case) = std::env::var(CASE) else {
        return;
    };
    let hang_up = || kill_process(getpid(), Signal::HUP).expect("it is this process");
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if case == "before" {
            hang_up();
        }
        let mut hangups = signal(SignalKind::hangup()).expect("a handler");
        println!("listens");
        // However many come during a reload, one more is done.
        for _ in 0..5 {
            hang_up();
        }
        let mut reloads = 0;
        while poll_and_drop(hangups.recv(), 100).await.is_some() {
            reloads += 1;
            if reloads == 1 {
                (0..5).for_each(|_| hang_up());
            }
        }
        println!("{reloads} reloads");
    });
}

#[test]
fn only_a_program_that_listens_outlives_sighup() {
    use std::os::unix::process::ExitStatusExt;

    // Below `nohup` a child ignores SIGHUP, and a Mac's `env` has no such option.
    let run = |case| {
        let mut child = child_of(module_path!());
        if cfg!(target_os = "linux") {
            let mut command = Command::new("env");
            command.arg("--default-signal=HUP").arg(child.get_program());
            command.args(child.get_args());
            child = command;
        }
        child.env(CASE, case).output()
    };
    let killed = run("before").expect("it runs");
    assert_eq!(killed.status.signal(), Some(1), "SIGHUP");
    assert!(!String::from_utf8_lossy(&killed.stdout).contains("listens"));
    let lives = run("after").expect("it runs");
    assert!(lives.status.success());
    let said = String::from_utf8_lossy(&lives.stdout);
    assert!(said.contains("2 reloads"), "{said}");
}
