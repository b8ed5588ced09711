use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::support::{assert_linear, poll_and_drop};
use crate::background_services::{End, NameTaken, Restarts, Supervisor};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

const RESTARTS: Restarts = Restarts {
    limit: 2,
    pause: TICK,
    longest_pause: TICK,
    good_run: HOUR,
};

fn supervisor(restarts: Restarts) -> Supervisor {
    Supervisor::new(restarts, |_, _, _| {})
}

fn failed(text: &str) -> End {
    End::Failed(format!("failed: {text}"))
}

fn crashed(text: &str) -> End {
    End::Failed(format!("crashed: {text}"))
}

async fn fails(_stop: CancellationToken) -> Result<(), String> {
    sleep(TICK).await;
    Err("scheduled".to_string())
}

async fn listens(stop: CancellationToken) -> Result<(), String> {
    stop.cancelled().await;
    sleep(5 * TICK).await;
    Ok(())
}

async fn does_not_listen(_stop: CancellationToken) -> Result<(), String> {
    std::future::pending().await
}

/// One service that waits for a restart most of the time, one that listens, and one
/// that does not. Each run of theirs holds `held`.
fn three(held: &Arc<()>) -> Supervisor {
    let pause = 20 * TICK;
    let mut supervisor = supervisor(Restarts {
        limit: 100,
        pause,
        longest_pause: pause,
        ..RESTARTS
    });
    let name = |kind| format!("{kind}");
    for kind in 0..3 {
        let held = Arc::clone(held);
        let service = move |stop| {
            let held = Arc::clone(&held);
            async move {
                let ended = match kind {
                    0 => fails(stop).await,
                    1 => listens(stop).await,
                    _ => does_not_listen(stop).await,
                };
                drop(held);
                ended
            }
        };
        supervisor.start(name(kind), service).expect("a new name");
    }
    supervisor
}

#[tokio::test(start_paused = true)]
async fn next_dropped_at_each_await() {
    for polls in 1..30 {
        let mut supervisor = supervisor(RESTARTS);
        for ticks in [3, 7, 12] {
            let service = move |_| async move {
                sleep(ticks * TICK).await;
                Ok::<(), String>(())
            };
            supervisor
                .start(ticks.to_string(), service)
                .expect("a new name");
        }
        let mut names = Vec::new();
        while names.len() < 3 {
            match poll_and_drop(supervisor.next(), polls).await {
                Some(Some((name, End::Done))) => names.push(name),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
        assert_eq!(names, ["3", "7", "12"]);
        assert_eq!(supervisor.next().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn stop_dropped_at_each_await() {
    let mut completed = false;
    for polls in 1..30 {
        let held = Arc::new(());
        let supervisor = three(&held);
        sleep(3 * TICK).await;
        let ends = poll_and_drop(supervisor.stop(10 * TICK), polls).await;
        completed |= ends.is_some();
        if let Some(ends) = ends {
            let expected = [("0", failed("scheduled")), ("1", End::Done)];
            let expected = expected.into_iter().chain([("2", End::Aborted)]);
            let expected = expected.map(|(name, end)| (name.to_string(), end));
            assert!(ends.into_iter().eq(expected));
            // They are gone when it returns.
            assert_eq!(Arc::strong_count(&held), 1);
        }
        sleep(TICK).await;
        assert_eq!(
            Arc::strong_count(&held),
            1,
            "nothing runs on, {polls} polls"
        );
    }
    assert!(completed, "30 polls are enough");
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_moment_it_aborts_all() {
    for ticks in 0..50 {
        let held = Arc::new(());
        let supervisor = three(&held);
        sleep(ticks * TICK).await;
        drop(supervisor);
        sleep(TICK).await;
        assert_eq!(Arc::strong_count(&held), 1, "{ticks} ticks");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let runs = Arc::new(AtomicUsize::new(0));
    let mut first = supervisor(RESTARTS);
    let mut second = supervisor(RESTARTS);
    for number in 0..10_000_u32 {
        let runs = Arc::clone(&runs);
        let service = move |stop: CancellationToken| {
            runs.fetch_add(1, SeqCst);
            assert!(number % 100 != 1, "early");
            async move {
                tokio::task::yield_now().await;
                assert!(number % 100 != 2, "late");
                match number % 10 {
                    3 | 8 => fails(stop).await,
                    4 => does_not_listen(stop).await,
                    9 => listens(stop).await,
                    _ => Ok(()),
                }
            }
        };
        let supervisor = match number % 10 {
            4 => &mut second,
            _ => &mut first,
        };
        supervisor
            .start(number.to_string(), service)
            .expect("a new name");
    }
    let mut ends = HashMap::new();
    let all = async {
        while ends.len() < 8000 {
            let (name, end) = first.next().await.expect("more are running");
            assert!(ends.insert(name, end).is_none(), "told twice");
        }
        let stopped = first.stop(HOUR).await.into_iter();
        for (name, end) in stopped.chain(second.stop(Duration::ZERO).await) {
            assert!(ends.insert(name, end).is_none(), "told twice");
        }
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("nothing hangs");
    assert_eq!(ends.len(), 10_000);
    for (name, end) in ends {
        let number: u32 = name.parse().expect("a number");
        let expected = match (number % 100, number % 10) {
            (1, _) => crashed("early"),
            (2, _) => crashed("late"),
            (_, 3 | 8) => failed("scheduled"),
            (_, 4) => End::Aborted,
            _ => End::Done,
        };
        assert_eq!(end, expected, "{name}");
    }
    // Of those that fail, 2,200, each is run thrice. Of the 1,000 that were aborted
    // some may not have begun.
    let runs = runs.load(SeqCst);
    assert!((13_400..=14_400).contains(&runs), "{runs} runs");
}

#[tokio::test(start_paused = true)]
async fn a_good_run_resets_the_restarts_in_a_row() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let service = move |stop| {
        let is_good = counted.fetch_add(1, SeqCst) < 5;
        async move {
            if is_good {
                sleep(RESTARTS.good_run).await;
            }
            fails(stop).await
        }
    };
    let mut supervisor = supervisor(RESTARTS);
    supervisor.start("a", service).expect("a new name");
    let end = timeout(10 * HOUR, supervisor.next()).await;
    assert_eq!(end, Ok(Some(("a".to_string(), failed("scheduled")))));
    // Two restarts after the last good run.
    assert_eq!(runs.load(SeqCst), 5 + 2);
}

#[tokio::test(start_paused = true)]
async fn limits() {
    for limit in [0, 1, 5] {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let mut supervisor = supervisor(Restarts { limit, ..RESTARTS });
        let service = move |stop| {
            counted.fetch_add(1, SeqCst);
            fails(stop)
        };
        supervisor.start("a", service).expect("a new name");
        let end = timeout(HOUR, supervisor.next()).await;
        assert_eq!(end, Ok(Some(("a".to_string(), failed("scheduled")))));
        assert_eq!(runs.load(SeqCst), limit + 1);
    }
    for (pause, longest_pause) in [(Duration::ZERO, TICK), (TICK, Duration::ZERO)] {
        let none = catch_unwind(|| {
            supervisor(Restarts {
                pause,
                longest_pause,
                ..RESTARTS
            })
        });
        assert!(none.is_err(), "no pause");
    }
    let ever = Restarts {
        longest_pause: Duration::MAX,
        ..RESTARTS
    };
    assert_eq!(ever.pause_after(3), 8 * TICK);
    assert!(ever.pause_after(u32::MAX) > HOUR, "it does not overflow");

    let mut supervisor = supervisor(RESTARTS);
    assert_eq!(supervisor.next().await, None);
    for _ in 0..2 {
        assert_eq!(supervisor.start("a", fails), Ok(()));
        let taken = Err(NameTaken("a".to_string()));
        assert_eq!(supervisor.start("a", fails), taken);
        assert!(supervisor.next().await.is_some());
    }
    assert_eq!(supervisor.stop(HOUR).await, []);
}

#[tokio::test(start_paused = true)]
async fn not_restarted_when_it_is_asked_to_stop() {
    let log = |_: &str, _: &str, _| panic!("no restart is announced");
    let mut supervisor = Supervisor::new(RESTARTS, log);
    let service = async |stop: CancellationToken| {
        stop.cancelled().await;
        sleep(TICK).await;
        Err("not saved")
    };
    supervisor.start("a", service).expect("a new name");
    sleep(TICK).await;
    let begun = Instant::now();
    let ends = supervisor.stop(HOUR).await;
    assert_eq!(ends, [("a".to_string(), failed("not saved"))]);
    assert_eq!(begun.elapsed(), TICK, "and no pause");
}

#[tokio::test(start_paused = true)]
async fn restarted_also_when_the_closure_panics() {
    let mut runs = 0;
    let mut supervisor = supervisor(RESTARTS);
    let service = move |_| {
        runs += 1;
        assert!(runs == 3, "scheduled");
        async { Ok::<(), String>(()) }
    };
    supervisor.start("a", service).expect("a new name");
    assert_eq!(supervisor.next().await, Some(("a".to_string(), End::Done)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_panics_ends_that_service_alone() {
    let mut supervisor = Supervisor::new(RESTARTS, |name, _, _| {
        assert!(name != "a", "the disk is full");
    });
    supervisor.start("a", fails).expect("a new name");
    supervisor.start("b", fails).expect("a new name");
    let mut ends = Vec::new();
    while let Some(end) = timeout(HOUR, supervisor.next()).await.expect("an end") {
        ends.push(end);
    }
    let expected = [
        ("a", crashed("the disk is full")),
        ("b", failed("scheduled")),
    ];
    assert!(
        ends.into_iter()
            .eq(expected.map(|(a, b)| (a.to_string(), b)))
    );
}

#[tokio::test(start_paused = true)]
async fn causes_of_an_error_are_told() {
    let mut supervisor = supervisor(Restarts {
        limit: 0,
        ..RESTARTS
    });
    struct Chain;
    impl std::fmt::Display for Chain {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(if f.alternate() { "a: b" } else { "a" })
        }
    }
    let service = async |_stop| Err(Chain);
    supervisor.start("a", service).expect("a new name");
    let end = supervisor.next().await;
    assert_eq!(end, Some(("a".to_string(), failed("a: b"))));
}

#[tokio::test]
async fn in_a_struct_in_a_task_with_a_closure_that_owns_state() {
    struct App {
        supervisor: Mutex<Option<Supervisor>>,
        beats: AtomicUsize,
    }
    impl App {
        async fn beat(&self, stop: &CancellationToken) -> Result<(), String> {
            let mut beats = Vec::new();
            let mut count = |beat| beats.push(beat);
            while stop.run_until_cancelled(sleep(TICK)).await.is_some() {
                count(self.beats.fetch_add(1, SeqCst));
            }
            Err(format!("{} beats", beats.len()))
        }
    }
    let app = Arc::new(App {
        supervisor: Mutex::new(Some(supervisor(RESTARTS))),
        beats: AtomicUsize::new(0),
    });
    let shared = Arc::clone(&app);
    let task = tokio::spawn(async move {
        let mut supervisor = shared.supervisor.lock().await;
        let service = {
            let app = Arc::clone(&shared);
            move |stop| {
                let app = Arc::clone(&app);
                async move { app.beat(&stop).await }
            }
        };
        if let Some(supervisor) = supervisor.as_mut() {
            supervisor.start("heart", service).expect("a new name");
        }
    });
    task.await.expect("it is Send");
    while app.beats.load(SeqCst) < 3 {
        sleep(TICK).await;
    }
    let stopping = tokio::spawn(async move {
        let supervisor = app.supervisor.lock().await.take();
        let ends = supervisor.expect("it runs").stop(HOUR).await;
        let beats = format!("{} beats", app.beats.load(SeqCst));
        assert_eq!(ends, [("heart".to_string(), failed(&beats))]);
    });
    stopping.await.expect("it is Send");
}

#[test]
fn ten_times_as_many_services_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let mut supervisor = supervisor(RESTARTS);
        for number in 0..number {
            let started = supervisor.start(number.to_string(), listens);
            started.expect("a new name");
        }
        sleep(TICK).await;
        let ends = supervisor.stop(HOUR).await;
        assert_eq!(ends.len(), number as usize);
        assert!(ends.iter().all(|(_, end)| *end == End::Done));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_service_that_blocks_its_thread_does_not_hold_up_the_stop() {
    let mut supervisor = Supervisor::new(RESTARTS, |_, _, _| {});
    let (begun, wait) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let ended = Arc::new(std::sync::Mutex::new(ended));
    let blocks = move |_| {
        let (begun, ended) = (begun.clone(), Arc::clone(&ended));
        async move {
            begun.send(()).expect("it is awaited");
            // Until the test lets it go.
            let _ = ended.lock().expect("nobody panics").recv();
            Ok::<(), String>(())
        }
    };
    let listens = async |stop: CancellationToken| {
        stop.cancelled().await;
        Ok::<(), String>(())
    };
    assert!(supervisor.start("blocks", blocks).is_ok());
    assert!(supervisor.start("listens", listens).is_ok());
    let waiting = tokio::task::spawn_blocking(move || wait.recv());
    assert!(waiting.await.expect("no panic").is_ok());
    let stopping = supervisor.stop(Duration::from_millis(50));
    let ends = timeout(Duration::from_secs(30), stopping).await;
    let ends = ends.expect("it does not wait for what blocks");
    let expected = [("listens", End::Done), ("blocks", End::Blocked)];
    assert_eq!(ends, expected.map(|(name, end)| (name.to_owned(), end)));
    drop(end);
}
