use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::support::poll_and_drop;
use crate::structured_scope::{Scope, scope};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// How many jobs there are that have not been dropped.
#[derive(Clone, Default)]
struct Live(Arc<AtomicUsize>);

struct Job(Live);

impl Live {
    fn job(&self) -> Job {
        self.0.fetch_add(1, SeqCst);
        Job(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

impl Job {
    async fn run<T>(self, ticks: u32, result: T) -> T {
        sleep(ticks * TICK).await;
        result
    }
}

/// A task that spawns one, next to one with its own scope.
async fn nested(live: &Live, inner: Result<u32, u32>) -> Result<u32, u32> {
    scope(async |outer: Scope<u32, u32>| {
        let (jobs, all) = (live.clone(), outer.clone());
        outer.spawn(async move {
            jobs.job().run(3, ()).await;
            all.spawn(jobs.job().run(3, Ok(())));
            Ok(())
        });
        let jobs = live.clone();
        outer.spawn(async move {
            let value = scope(async |scope: Scope<u32, u32>| {
                scope.spawn(jobs.job().run(4, inner.map(|_| ())));
                jobs.job().run(2, inner).await
            });
            value.await.map(|_| ())
        });
        live.job().run(1, Ok(9)).await
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await_it_leaves_no_task() {
    for (inner, expected) in [(Ok(5), Ok(9)), (Err(7), Err(7))] {
        let mut completed = 0;
        for polls in 0..20 {
            let live = Live::default();
            if let Some(result) = poll_and_drop(nested(&live, inner), polls).await {
                assert_eq!(live.count(), 0, "a task has outlived its scope");
                assert_eq!(result, expected);
                completed += 1;
            }
            sleep(TICK).await;
            assert_eq!(live.count(), 0, "{polls} polls: a task runs on");
        }
        assert!(completed > 5, "20 polls are enough");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_error_or_value_ends_it() {
    let cases: [(Result<u32, u32>, _, _); 4] = [
        (Err(1), Err(2), Err(1)),
        (Ok(1), Err(2), Ok(1)),
        (Err(1), Ok(2), Err(1)),
        (Ok(1), Ok(2), Ok(1)),
    ];
    for (first, second, expected) in cases {
        for body in [1, 1_000_000] {
            let live = Live::default();
            let result = scope(async |scope: Scope<u32, u32>| {
                for (ticks, result) in [(100, first), (200, second), (1_000_000, Ok(3))] {
                    let (job, ending) = (live.job(), scope.clone());
                    scope.spawn(async move {
                        ending.end(job.run(ticks, result).await?);
                        Ok(())
                    });
                }
                live.job().run(body, Ok(0)).await
            });
            let result = timeout(TICK * 150, result).await.expect("it ends early");
            assert_eq!((result, live.count()), (expected, 0));
        }
    }
}

/// The task fails and drops the sender in one turn. Then the body must not go on.
#[tokio::test]
async fn on_one_thread_a_body_does_not_go_on_after_a_failure() {
    for round in 0..1000_u64 {
        let went_on = Cell::new(false);
        let result = scope(async |scope: Scope<(), u32>| {
            let (sender, receiver) = oneshot::channel::<()>();
            scope.spawn(async move {
                for _ in 0..round % 3 {
                    yield_now().await;
                }
                drop(sender);
                Err(7)
            });
            let _ = receiver.await;
            went_on.set(true);
            Err(8)
        });
        assert_eq!(result.await, Err(7));
        assert!(!went_on.get(), "round {round}");
    }
}

/// The trap: on several threads, the channel tells the body before the scope does. If the
/// body then ends the scope, the error of the task is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_closes_before_the_body_is_cancelled() {
    /// Holds up the end of the failing task until the body has gone on.
    struct Sends(Option<oneshot::Sender<()>>, std::sync::mpsc::Receiver<()>);
    impl Drop for Sends {
        fn drop(&mut self) {
            drop(self.0.take());
            self.1.recv().expect("the body goes on");
        }
    }
    for (ends, expected) in [(false, Err(7)), (true, Ok(()))] {
        let (go_on, wait) = std::sync::mpsc::channel();
        let result = scope(async move |scope: Scope<(), u32>| {
            let (sender, receiver) = oneshot::channel();
            let sends = Sends(Some(sender), wait);
            scope.spawn(async move {
                let _sends = sends;
                Err(7)
            });
            assert!(receiver.await.is_err());
            // Reached, although the task has failed.
            if ends {
                scope.end(());
            }
            go_on.send(()).expect("the task waits");
            Ok(())
        });
        assert_eq!(timeout(HOUR, result).await, Ok(expected));
    }
}

async fn fail_after_some_turns<T>() -> Result<T, u32> {
    for _ in 0..20 {
        yield_now().await;
    }
    Err(7)
}

/// Tasks that spawn faster than tasks end. If the error had to wait for them, all of
/// them would be spawned.
#[test]
fn an_error_and_the_body_do_not_starve_while_tasks_spawn() {
    const MOST: usize = 300_000;
    let starve = async |fails: bool| {
        let spawned = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&spawned);
        let result = scope(async move |scope: Scope<u32, u32>| {
            for _ in 0..400 {
                let (inner, counter) = (scope.clone(), Arc::clone(&counter));
                scope.spawn(async move {
                    while counter.fetch_add(1, SeqCst) < MOST {
                        inner.spawn(async { Ok(()) });
                        yield_now().await;
                    }
                    Ok(())
                });
            }
            if fails {
                scope.spawn(fail_after_some_turns());
                return std::future::pending().await;
            }
            fail_after_some_turns().await
        });
        assert_eq!(result.await, Err(7));
        let spawned = spawned.load(SeqCst);
        assert!(spawned < MOST / 2, "{spawned} tasks were spawned");
    };
    for threads in [0, 4] {
        let runtime = match threads {
            0 => Builder::new_current_thread().build(),
            _ => Builder::new_multi_thread().worker_threads(4).build(),
        };
        let runtime = runtime.expect("a runtime");
        for fails in [false, true] {
            runtime.block_on(starve(fails));
        }
    }
}

#[tokio::test]
async fn what_comes_first_counts_though_the_body_is_busy() {
    for (first, second) in [(Ok(1), Err(2)), (Err(1), Ok(2))] {
        let result = scope(async |scope: Scope<u32, u32>| {
            for result in [first, second] {
                let ending = scope.clone();
                scope.spawn(async move {
                    ending.end(result?);
                    Ok(())
                });
            }
            yield_now().await;
            Ok(3)
        });
        assert_eq!(result.await, first);
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_goes_before_an_error_after_it() {
    // The other way round it is the error: see the test before this.
    for in_a_task in [false, true] {
        let result = scope(async |scope: Scope<u32, u32>| {
            let ending = scope.clone();
            let work = async move {
                ending.end(1);
                Err(2)
            };
            if in_a_task {
                scope.spawn(work);
                return Ok(3);
            }
            work.await.map(|()| 3)
        });
        assert_eq!(result.await, Ok(1), "in a task: {in_a_task}");
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_of_inner_scopes_are_gone_before_the_outer_returns() {
    let live = Live::default();
    let (jobs, counted) = (live.clone(), live.clone());
    let outer = scope(async move |outer: Scope<(), u32>| {
        let live = jobs.clone();
        outer.spawn(async move {
            scope(async |middle: Scope<(), u32>| {
                middle.spawn(async move {
                    scope(async |inner: Scope<(), u32>| {
                        inner.spawn(jobs.job().run(1_000_000, Ok(())));
                        Ok(())
                    })
                    .await
                });
                Ok(())
            })
            .await
        });
        sleep(TICK).await;
        assert_eq!(live.count(), 1);
        Err(2)
    });
    // In a task: its turn comes before that of tasks that were aborted after it.
    let ended = tokio::spawn(async move { (outer.await, counted.count()) });
    assert_eq!(ended.await.expect("no panic"), (Err(2), 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_stops_the_rest_and_goes_on_in_the_caller() {
    for in_body in [false, true] {
        let live = Live::default();
        let panics = scope(async |scope: Scope<(), u32>| {
            scope.spawn(live.job().run(1_000_000, Ok(())));
            let job = live.job();
            scope.spawn(async move {
                job.run(if in_body { 1_000_000 } else { 1 }, ()).await;
                panic!("a bug");
            });
            sleep(2 * TICK).await;
            assert!(!in_body, "a bug");
            live.job().run(1_000_000, Ok(())).await
        });
        let panics = timeout(HOUR / 60, AssertUnwindSafe(panics).catch_unwind());
        let panic = panics.await.expect("it ends").expect_err("it goes on");
        assert_eq!(panic.downcast_ref(), Some(&"a bug"));
        assert_eq!(live.count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_task_that_is_stopped_is_not_lost() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bomb");
        }
    }
    let result = scope(async |scope: Scope<(), u32>| {
        scope.spawn(async {
            let _bomb = Bomb;
            sleep(HOUR).await;
            Ok(())
        });
        sleep(TICK).await;
        Err(1)
    });
    let panics = AssertUnwindSafe(result).catch_unwind().await;
    let panic = panics.expect_err("it goes on");
    assert_eq!(panic.downcast_ref(), Some(&"a bomb"));
}

#[tokio::test(start_paused = true)]
async fn limits() {
    // No task at all, and more than one turn can start.
    let none = scope(async |_: Scope<u32, u32>| Ok(1)).await;
    assert_eq!(none, Ok(1));
    let live = Live::default();
    let many = scope(async |scope: Scope<u32, u32>| {
        (0..1000).for_each(|_| scope.spawn(live.job().run(1, Ok(()))));
        Ok(1)
    });
    assert_eq!((many.await, live.count()), (Ok(1), 0));

    // Whoever has the scope outside of it does not keep it from ending.
    let (sender, mut outside) = mpsc::channel::<Scope<u32, u32>>(1);
    let left = scope(async |scope| {
        let _ = sender.send(scope).await;
        Ok(1)
    });
    assert_eq!(timeout(HOUR, left).await, Ok(Ok(1)));
    let left = outside.recv().await.expect("it was sent");
    left.spawn(live.job().run(1, Err(1)));
    left.end(2);
    assert_eq!(live.count(), 0, "a scope that has ended starts nothing");
}

/// The value may own the scope.
#[tokio::test(start_paused = true)]
async fn a_value_after_the_end_is_dropped() {
    let value = Arc::new(());
    let (sender, mut outside) = mpsc::channel::<Scope<Arc<()>, u32>>(1);
    let ended = scope(async |scope| {
        let _ = sender.send(scope).await;
        Ok(Arc::new(()))
    });
    ended.await.expect("it ends well");
    let left = outside.recv().await.expect("it was sent");
    left.end(Arc::clone(&value));
    assert_eq!(Arc::strong_count(&value), 1);
}

/// As an error, most programs have a trait object, which is not `'static` by its name.
#[tokio::test(start_paused = true)]
async fn errors_of_any_type_in_a_task() {
    async fn parse<E>(text: &str) -> Result<u64, E>
    where
        E: From<std::num::ParseIntError> + Send + 'static,
    {
        let mut number = 0;
        scope(async |scope| {
            number = text.parse()?;
            let ending = scope.clone();
            scope.spawn(async move {
                ending.end(number);
                Ok(())
            });
            sleep(HOUR).await;
            Ok(number)
        })
        .await
    }

    #[derive(Debug, thiserror::Error)]
    #[error("mine")]
    struct Mine(#[from] std::num::ParseIntError);

    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let boxed = tokio::spawn(async { parse::<Boxed>(&String::from("7")).await });
    assert_eq!(boxed.await.expect("no panic").expect("a number"), 7);
    let boxed = tokio::spawn(async { parse::<Boxed>("seven").await });
    assert!(boxed.await.expect("no panic").is_err());
    let mine = tokio::spawn(async { parse::<Mine>("seven").await });
    assert!(mine.await.expect("no panic").is_err());
}

#[tokio::test]
async fn in_a_struct_in_tasks_with_what_is_only_send() {
    struct Service {
        names: Vec<String>,
    }

    impl Service {
        async fn length(&self, number: usize) -> Result<Cell<usize>, Cell<u32>> {
            let mut calls = 0;
            scope(async |scope| {
                calls += 1;
                let length = Cell::new(self.names[number].len() * calls);
                let ending = scope.clone();
                scope.spawn(async move {
                    yield_now().await;
                    ending.end(length);
                    Ok(())
                });
                yield_now().await;
                Ok(Cell::new(0))
            })
            .await
        }
    }
    let names = vec![String::from("one"), String::from("three")];
    let service = Arc::new(Service { names });
    for (number, length) in [(0, 3), (1, 5)] {
        let service = Arc::clone(&service);
        let task = tokio::spawn(async move { service.length(number).await });
        assert_eq!(task.await.expect("no panic"), Ok(Cell::new(length)));
    }
}

/// 1,000 scopes of ten tasks, each of which spawns one: in some all goes well, in
/// some a task fails or ends the scope, some are aborted as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    for round in 0..1000_u64 {
        let live = Live::default();
        let jobs = live.clone();
        let running = tokio::spawn(scope(async move |all: Scope<u64, u64>| {
            for number in 0..10 {
                let (jobs, scope_of_all) = (jobs.clone(), all.clone());
                all.spawn(scope(async move |inner: Scope<(), u64>| {
                    let job = jobs.job();
                    inner.spawn(async move {
                        for _ in 0..(number + round) % 10 {
                            yield_now().await;
                        }
                        let _job = job;
                        match (round % 4, number) {
                            (1, 7) => return Err(7),
                            (2, 7) => scope_of_all.end(8),
                            _ => {}
                        }
                        scope_of_all.spawn(jobs.job().run(0, Ok(())));
                        Ok(())
                    });
                    Ok(())
                }));
            }
            Ok(9)
        }));
        if round % 4 == 3 {
            for _ in 0..round % 16 {
                yield_now().await;
            }
            running.abort();
        }
        let ended = timeout(HOUR / 60, running).await.expect("one is stuck");
        let expected = [Ok(9), Err(7), Ok(8), Ok(9)][(round % 4) as usize];
        match ended {
            Ok(result) => {
                assert_eq!((result, live.count()), (expected, 0), "round {round}");
            }
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
        let gone = async {
            while live.count() > 0 {
                yield_now().await;
            }
        };
        timeout(HOUR / 60, gone).await.expect("a task runs on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_of_tokio_spawn_is_not_part_of_the_scope() {
    for result in [Ok(1), Err(2)] {
        let (live, mut task) = (Live::default(), None);
        let ended = scope(async |_: Scope<u32, u32>| {
            task = Some(tokio::spawn(live.job().run(5, 3)));
            result
        });
        assert_eq!(ended.await, result);
        assert_eq!(live.count(), 1, "it is not waited for");
        let task = task.expect("it is spawned").await;
        assert_eq!(task.expect("nor cancelled"), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn end_cancels_its_caller_at_the_next_await() {
    for in_a_task in [false, true] {
        let steps = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&steps);
        let ended = scope(async |scope: Scope<u32, u32>| {
            let ending = scope.clone();
            let work = async move {
                ending.end(1);
                count.fetch_add(1, SeqCst);
                yield_now().await;
                count.fetch_add(1, SeqCst);
                Ok(())
            };
            if in_a_task {
                scope.spawn(work);
                return Ok(2);
            }
            work.await.map(|()| 2)
        });
        assert_eq!(ended.await, Ok(1));
        assert_eq!(steps.load(SeqCst), 1, "in a task: {in_a_task}");
    }
}
