use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::join;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use crate::task_dump::{Running, Tasks, dump_on_signal, step};

const TENTH: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(120);

/// Returns the dump in one line: `a > b + c, d`.
fn names(running: &[Running], separator: &str) -> String {
    let name = |running: &Running| match running.steps.is_empty() {
        true => running.name.to_string(),
        false => format!("{} > {}", running.name, names(&running.steps, " + ")),
    };
    running.iter().map(name).collect::<Vec<_>>().join(separator)
}

fn dump(tasks: &Tasks) -> String {
    names(&tasks.dump(), ", ")
}

#[tokio::test(start_paused = true)]
async fn steps_inside_and_beside_each_other_with_their_ages() {
    let tasks = Tasks::default();
    let inner = async {
        sleep(TENTH).await;
        step("c", sleep(2 * TENTH)).await;
    };
    let both = async { join!(step("a", sleep(2 * TENTH)), step("b", inner)) };
    let task = tokio::spawn(tasks.track("task", both));
    assert_eq!(dump(&tasks), "task", "not started");
    sleep(Duration::from_millis(60)).await;
    assert_eq!(dump(&tasks), "task > a + b");
    sleep(TENTH).await;
    assert_eq!(dump(&tasks), "task > a + b > c");
    sleep(TENTH).await;
    assert_eq!(dump(&tasks), "task > b > c");
    let text: String = tasks.dump().iter().map(Running::to_string).collect();
    assert_eq!(text, "task (0.3 s)\n  b (0.3 s)\n    c (0.2 s)\n");
    let dump = tasks.dump();
    assert_eq!(dump[0].age, Duration::from_millis(260));
    assert_eq!(dump[0].steps[0].steps[0].age, Duration::from_millis(160));
    task.await.expect("it does not fail");
    assert!(tasks.dump().is_empty());
}

#[tokio::test]
async fn dropped_after_each_poll_or_panicking_it_leaves_no_entry() {
    async fn work(panics: bool) {
        yield_now().await;
        step("first", yield_now()).await;
        step("second", async {
            step("third", yield_now()).await;
            assert!(!panics, "scheduled");
        })
        .await;
    }

    for polls in 0..6 {
        let tasks = Tasks::default();
        let mut future = Box::pin(tasks.track("task", work(false)));
        let mut is_ready = false;
        for _ in 0..polls {
            is_ready = futures::poll!(&mut future).is_ready();
            if is_ready {
                break;
            }
        }
        assert_eq!(is_ready, polls >= 4, "{polls} polls");
        assert_eq!(tasks.dump().len(), usize::from(!is_ready), "{polls} polls");
        drop(future);
        assert!(tasks.dump().is_empty(), "{polls} polls");
    }

    let tasks = Tasks::default();
    let panicking = AssertUnwindSafe(tasks.track("task", work(true)));
    assert!(panicking.catch_unwind().await.is_err());
    assert!(tasks.dump().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_tracked_is_not_listed() {
    let tasks = Tasks::default();
    assert_eq!(step("outside", async { 1 }).await, 1);
    let parent = async {
        // A separate task is no step of its parent.
        let child = tokio::spawn(step("child", sleep(TENTH)));
        step("waits", child).await
    };
    let parent = tokio::spawn(tasks.track("parent", parent));
    sleep(TENTH / 2).await;
    assert_eq!(dump(&tasks), "parent > waits");
    assert!(parent.await.expect("not aborted").is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_of_tasks_on_four_threads_some_aborted() {
    for number in [0_usize, 1, 31, 129, 5000] {
        let tasks = Tasks::default();
        let mut set = JoinSet::new();
        for id in 0..number {
            let steps = async {
                let several = (0..4).map(|_| step("step", yield_now()));
                step("all", join_all(several)).await;
                step("waits", pending::<()>()).await;
            };
            let task = set.spawn(tasks.track(&format!("task {id}"), steps));
            if id % 3 == 0 {
                task.abort();
            }
        }
        let listed = tasks.dump();
        assert!(
            listed.len() >= number - number.div_ceil(3),
            "{}",
            listed.len()
        );
        let mut ids = listed.iter().map(|task| task.name[5..].parse::<usize>());
        assert!(ids.by_ref().all(|id| id.is_ok()));
        let waits = |task: &Running| names(&task.steps, "") == "waits";
        while tasks.dump().iter().any(|task| !waits(task)) {
            yield_now().await;
        }
        set.shutdown().await;
        assert!(tasks.dump().is_empty());
    }
}

fn raise() {
    let signal = rustix::process::Signal::USR1;
    rustix::process::kill_process(rustix::process::getpid(), signal).expect("sent");
}

/// The trap: a task of the blocked runtime does not see the signal, the thread does.
#[test]
fn on_a_signal_while_the_runtime_is_blocked() {
    let (report, reports) = mpsc::channel();
    let tasks = Tasks::default();
    let report_names = move |dump: Vec<Running>| {
        report.send(names(&dump, ", ")).expect("somebody listens");
        panic!("as scheduled");
    };
    dump_on_signal(tasks.clone(), report_names).expect("a thread");
    let (block, is_blocked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (heard, hears) = mpsc::channel();
    let blocked = tasks.clone();
    let runtime = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_io().build();
        runtime.expect("a runtime").block_on(async {
            let mut signals = signal(SignalKind::user_defined1()).expect("a handler");
            tokio::spawn(blocked.track("handler", async move {
                signals.recv().await;
                heard.send(()).expect("somebody listens");
            }));
            yield_now().await;
            let blocks = blocked.track("blocks", async {
                block.send(()).expect("somebody listens");
                let _ = released.recv();
            });
            step("not tracked", blocks).await;
            // Now the handler's turn comes.
            while blocked.dump().iter().any(|task| &*task.name == "handler") {
                yield_now().await;
            }
        });
    });
    is_blocked.recv_timeout(LONG).expect("it blocks");
    // The first report panics, and there is a second one.
    for _ in 0..2 {
        raise();
        let names = reports.recv_timeout(LONG);
        assert_eq!(names.as_deref(), Ok("handler, blocks"));
    }
    assert!(hears.try_recv().is_err(), "the handler is blocked");
    drop(release);
    hears.recv_timeout(LONG).expect("the handler is free");
    runtime.join().expect("it does not panic");
}

#[tokio::test]
async fn the_oldest_is_listed_first() {
    let tasks = Tasks::default();
    let track = |name| tasks.track(name, pending::<()>());
    let (a, _b, _c) = (track("a"), track("b"), track("c"));
    assert_eq!(dump(&tasks), "a, b, c");
    drop(a);
    let _d = track("d");
    assert_eq!(dump(&tasks), "b, c, d");
}
