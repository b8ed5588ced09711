use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::support::{most_memory, poll_and_drop, soon};
use crate::task_group::{TaskErrors, TaskGroup, task_group};

/// Nothing takes that long unless something is wedged.
const LONG: Duration = Duration::from_secs(120);

/// How many jobs there are that have not been dropped.
#[derive(Clone, Default)]
struct Live(Arc<AtomicUsize>);

struct Job(Live);

impl Live {
    fn job(&self) -> Job {
        self.0.fetch_add(1, Ordering::SeqCst);
        Job(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Job {
    async fn run(self, millis: u64, result: Result<u64, u64>) -> Result<u64, u64> {
        sleep(Duration::from_millis(millis)).await;
        result
    }
}

/// A job of three milliseconds next to a separate group with one of five; the body
/// takes two.
async fn nested(live: Live, inner: Result<u64, u64>) -> Result<u64, TaskErrors<u64>> {
    let group = task_group(async |group: TaskGroup<u64>| {
        let first = group.spawn(live.job().run(3, Ok(3)));
        let (handle, live) = (group.clone(), live.clone());
        let second = group.spawn(async move {
            let group = task_group(async |group: TaskGroup<u64>| {
                let third = group.spawn(live.job().run(5, inner));
                Ok(third)
            });
            let third = group.await.map_err(|errors| errors.0[0])?;
            // From a task, into a group that is waiting for its end.
            let fourth = handle.spawn(live.job().run(1, Ok(1)));
            Ok((third, fourth))
        });
        sleep(Duration::from_millis(2)).await;
        Ok((first, second))
    });
    let (first, second) = group.await?;
    let (third, fourth) = second.await.unwrap();
    Ok(first.await.unwrap() + third.await.unwrap() + fourth.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn dropped_at_every_await_it_leaves_no_task() {
    soon(async {
        for (inner, expected) in [(Ok(5), Ok(9)), (Err(7), Err(7))] {
            let mut completed = 0;
            for polls in 1..15 {
                let live = Live::default();
                let result = poll_and_drop(nested(live.clone(), inner), polls).await;
                if let Some(result) = result {
                    assert_eq!(live.count(), 0, "a task has outlived its group");
                    assert_eq!(result.map_err(|errors| errors.0[0]), expected);
                    completed += 1;
                }
                sleep(Duration::from_millis(1)).await;
                assert_eq!(live.count(), 0, "{polls} polls: a task runs on");
            }
            assert!(completed > 5);
        }
    })
    .await;
}

/// Both tasks are in the midst of a poll when the first of them fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn errors_are_collected_and_the_rest_is_stopped() {
    soon(async {
        let live = Live::default();
        let result = task_group(async |group: TaskGroup<u64>| {
            group.spawn(live.job().run(100_000_000, Err(3)));
            let meeting = Arc::new(std::sync::Barrier::new(2));
            for error in [1, 2] {
                let meeting = Arc::clone(&meeting);
                group.spawn(async move {
                    meeting.wait();
                    Err::<(), _>(error)
                });
            }
            std::future::pending::<Result<(), _>>().await
        })
        .await;
        assert_eq!(live.count(), 0);
        let text = result.unwrap_err().to_string();
        assert!(
            ["2 failed: 1; 2", "2 failed: 2; 1"].contains(&&*text),
            "{text}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_body_that_awaits_its_task_does_not_go_on_after_its_failure() {
    soon(async {
        for round in 0..20_000_u64 {
            let (went_on, seen) = (Arc::new(AtomicUsize::new(0)), round % 3);
            let body = Arc::clone(&went_on);
            let result = task_group(async |group: TaskGroup<u64>| {
                let task = group.spawn(async move {
                    for _ in 0..seen {
                        yield_now().await;
                    }
                    Err::<(), _>(7)
                });
                let received = task.await;
                body.fetch_add(1, Ordering::SeqCst);
                received.map_err(|_| 8)
            });
            assert_eq!(result.await.expect_err("it failed").0, [7]);
            assert_eq!(went_on.load(Ordering::SeqCst), 0, "round {round}");
        }
    })
    .await;
}

/// The group is being stopped when the body spawns, so the task is never started.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_awaits_a_task_of_a_stopped_group_does_not_go_on() {
    let (tell, told) = std::sync::mpsc::channel();
    let went_on = AtomicBool::new(false);
    let result = task_group(async |group: TaskGroup<u64>| {
        group.spawn(async move {
            let _tells = Tells(tell);
            Err::<(), _>(7)
        });
        // Without an await: so the body is not stopped before it spawns again.
        told.recv().expect("the task has failed");
        std::thread::sleep(Duration::from_millis(50));
        let received = group.spawn(async { Ok(1) }).await;
        went_on.store(true, Ordering::SeqCst);
        received.map_err(|_| 8)
    });
    assert_eq!(soon(result).await.expect_err("it failed").0, [7]);
    assert!(!went_on.load(Ordering::SeqCst));
}

/// Tells when it is dropped.
struct Tells(std::sync::mpsc::Sender<()>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.send(()).expect("the body listens");
    }
}

/// The trap: its own channel tells the body of the end before the group does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_of_your_own_closes_before_the_body_is_stopped() {
    /// Holds up the end of the failing task until the body has gone on.
    struct Sends(Option<oneshot::Sender<()>>, std::sync::mpsc::Receiver<()>);
    impl Drop for Sends {
        fn drop(&mut self) {
            drop(self.0.take());
            self.1.recv().expect("the body goes on");
        }
    }
    let result = task_group(async |group: TaskGroup<u64>| {
        let (sender, receiver) = oneshot::channel();
        let (go_on, wait) = std::sync::mpsc::channel();
        let sends = Sends(Some(sender), wait);
        group.spawn(async move {
            let _sends = sends;
            Err::<(), _>(7)
        });
        assert!(receiver.await.is_err());
        go_on.send(()).expect("the task waits");
        Ok(())
    });
    assert_eq!(soon(result).await.expect_err("it failed").0, [7]);
}

#[tokio::test(start_paused = true)]
async fn any_number_of_tasks_that_fail_or_succeed() {
    soon(async {
        for number in [0, 1, 31, 129, 1000] {
            let sum = task_group(async |group: TaskGroup<u64>| {
                let tasks =
                    (0..number).map(|number| group.spawn(async move { Ok(number) }));
                let tasks: Vec<_> = tasks.collect();
                let mut sum = 0;
                for task in tasks {
                    sum += task.await.unwrap();
                }
                Ok(sum)
            });
            assert_eq!(sum.await.unwrap(), (0..number).sum::<u64>());
            let failed = task_group(async |group: TaskGroup<u64>| {
                let last = group.spawn(async { Err::<(), _>(7) });
                let live = Live::default();
                for _ in 0..number {
                    group.spawn(live.job().run(1, Err(8)));
                }
                last.await.map_err(|_| 9)
            });
            assert_eq!(failed.await.unwrap_err().0, [7]);
        }
    })
    .await;
}

/// Tasks that are spawned from outside, while the group ends, have ended with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_task_spawned_while_the_group_ends_does_not_outlive_it() {
    soon(async {
        for round in 0..2000_usize {
            let (live, over) = (Live::default(), Arc::new(AtomicBool::new(false)));
            let (sender, receiver) = oneshot::channel();
            let (jobs, is_over) = (live.clone(), Arc::clone(&over));
            let outside = tokio::spawn(async move {
                let group: TaskGroup<u64> = receiver.await.unwrap();
                for number in 0..round % 32 {
                    if number % 8 == 7 {
                        yield_now().await;
                    }
                    let (job, is_over) = (jobs.job(), Arc::clone(&is_over));
                    drop(group.spawn(async move {
                        for _ in 0..3 {
                            assert!(
                                !is_over.load(Ordering::SeqCst),
                                "outlives its group"
                            );
                            yield_now().await;
                        }
                        drop(job);
                        Ok(())
                    }));
                }
                group
            });
            let ended = task_group(async |group: TaskGroup<u64>| {
                let _ = sender.send(group);
                for _ in 0..round % 8 {
                    yield_now().await;
                }
                Ok(())
            });
            ended.await.unwrap();
            let before = live.count();
            over.store(true, Ordering::SeqCst);
            let group = outside.await.unwrap();
            // Of those that are spawned now each is dropped at once.
            assert!(before <= 1, "{before} tasks have outlived their group");
            assert!(group.spawn(live.job().run(1, Ok(1))).await.is_err());
            assert_eq!(live.count(), 0, "round {round}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_stops_a_body_that_waits_and_one_that_has_ended() {
    soon(async {
        for body in [1, 100_000_000] {
            let live = Live::default();
            let group = task_group(async |group: TaskGroup<u64>| {
                group.spawn(live.job().run(100_000_000, Ok(1)));
                group.spawn(live.job().run(5, Err(2)));
                sleep(Duration::from_millis(body)).await;
                Ok(())
            });
            let errors = timeout(LONG, group)
                .await
                .expect("not stopped")
                .unwrap_err();
            assert_eq!(errors.0, [2]);
            assert_eq!(live.count(), 0);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn tasks_of_inner_groups_are_gone_before_the_outer_ends() {
    soon(async {
        let live = Live::default();
        let jobs = live.clone();
        let counted = live.clone();
        let group = task_group(async move |outer: TaskGroup<u64>| {
            let live = jobs.clone();
            outer.spawn(async move {
                let middle = task_group(async |middle: TaskGroup<u64>| {
                    let jobs = jobs.clone();
                    middle.spawn(async move {
                        let inner = task_group(async |inner: TaskGroup<u64>| {
                            inner.spawn(jobs.job().run(100_000_000, Ok(1)));
                            Ok(())
                        });
                        inner.await.map_err(|errors| errors.0[0])
                    });
                    Ok(())
                });
                middle.await.map_err(|errors| errors.0[0])
            });
            sleep(Duration::from_millis(1)).await;
            assert_eq!(live.count(), 1);
            Err::<(), _>(2)
        });
        // In a task: its turn comes before that of tasks that were aborted after it.
        let ended = tokio::spawn(async move { (group.await, counted.count()) });
        let (result, count) = ended.await.unwrap();
        assert_eq!(result.unwrap_err().0, [2]);
        assert_eq!(count, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn limits() {
    soon(async {
        assert!(task_group(async |_: TaskGroup<u64>| Ok(())).await.is_ok());

        // A group that has ended takes nothing.
        let live = Live::default();
        let group = task_group(async |group: TaskGroup<u64>| Ok(group))
            .await
            .unwrap();
        assert!(group.spawn(live.job().run(1, Ok(1))).await.is_err());
        assert_eq!(live.count(), 0);
    })
    .await;
}

#[test]
fn what_has_ended_does_not_pile_up_while_the_body_goes_on() {
    let memory = |tasks| {
        most_memory(async move {
            let group = task_group(async |group: TaskGroup<u64>| {
                for _ in 0..tasks {
                    group.spawn(async { Ok(1) });
                    sleep(Duration::from_millis(2)).await;
                }
                Ok(())
            });
            group.await.unwrap();
        })
    };
    let (few, many) = (memory(10), memory(10_000));
    assert!(many < 2 * few, "{many} bytes for many, {few} for few");
}

#[tokio::test(start_paused = true)]
async fn a_panic_stops_the_rest_and_goes_on_in_the_caller() {
    soon(async {
        for in_the_body in [false, true] {
            let live = Live::default();
            let group = task_group(async |group: TaskGroup<u64>| {
                group.spawn(live.job().run(100_000_000, Ok(1)));
                let job = live.job();
                group.spawn(async move {
                    let millis = if in_the_body { 100_000_000 } else { 1 };
                    job.run(millis, Ok(1)).await?;
                    assert!(in_the_body, "a bug");
                    Ok(())
                });
                sleep(Duration::from_millis(2)).await;
                assert!(!in_the_body, "a bug");
                sleep(Duration::from_millis(100_000_000)).await;
                Ok(())
            });
            let group = AssertUnwindSafe(group).catch_unwind();
            let panic = timeout(LONG, group)
                .await
                .expect("not stopped")
                .unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"a bug"));
            assert_eq!(live.count(), 0);
        }
    })
    .await;
}

/// Of a stopped task, of its value that nobody receives, and of a body that is stopped.
#[tokio::test(start_paused = true)]
async fn a_panic_in_a_destructor_goes_on_in_the_caller() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bomb");
        }
    }
    for kind in ["stopped", "value", "body"] {
        let live = Live::default();
        let group = task_group(async |group: TaskGroup<u64>| {
            group.spawn(live.job().run(100_000_000, Ok(1)));
            group.spawn(async move {
                if kind == "value" {
                    return Ok(Some(Bomb));
                }
                let _bomb = (kind == "stopped").then_some(Bomb);
                sleep(LONG * 1000).await;
                Ok(None)
            });
            group.spawn(async move {
                sleep(Duration::from_millis(1)).await;
                if kind == "value" { Ok(()) } else { Err(7) }
            });
            let _bomb = (kind == "body").then_some(Bomb);
            sleep(LONG * 1000).await;
            Ok(())
        });
        let panics = timeout(LONG, AssertUnwindSafe(group).catch_unwind()).await;
        let panic = panics.expect("not stopped").expect_err(kind);
        assert_eq!(panic.downcast_ref(), Some(&"a bomb"), "{kind}");
        assert_eq!(live.count(), 0);
    }
}

/// As an error, most programs have a trait object, which is not `'static` by its name.
#[tokio::test(start_paused = true)]
async fn errors_of_any_type_in_a_task() {
    #[derive(Debug, PartialEq)]
    struct Mine;

    impl From<std::num::ParseIntError> for Mine {
        fn from(_: std::num::ParseIntError) -> Self {
            Self
        }
    }

    async fn parse<E>(text: &str) -> Result<u64, TaskErrors<E>>
    where
        E: From<std::num::ParseIntError> + Send + 'static,
    {
        let mut calls = 0;
        let number = task_group(async |group: TaskGroup<E>| {
            calls += 1;
            text_len(text.len()).await?;
            let text = text.to_owned();
            let number = group.spawn(async move { Ok(text.parse::<u64>()?) });
            Ok(number)
        });
        Ok(number.await?.await.expect("no error") + calls)
    }

    async fn text_len(length: usize) -> Result<usize, std::num::ParseIntError> {
        Ok(length)
    }

    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let boxed = tokio::spawn(async { parse::<Boxed>(&String::from("7")).await });
    assert_eq!(boxed.await.unwrap().unwrap(), 8);
    let boxed = tokio::spawn(async { parse::<Boxed>("seven").await });
    let error: Boxed = boxed.await.unwrap().unwrap_err().into();
    assert_eq!(error.to_string(), "1 failed: invalid digit found in string");
    let mine = tokio::spawn(async { parse::<Mine>("seven").await });
    assert_eq!(mine.await.unwrap().unwrap_err().0, [Mine]);
}

#[tokio::test(start_paused = true)]
async fn values_and_errors_need_only_be_send() {
    soon(async {
        let task = tokio::spawn(async {
            task_group(async |group| {
                let value = group.spawn(async { Ok(Cell::new(1)) });
                group.spawn(async { Err::<(), _>(Cell::new(2)) });
                Ok(value)
            })
            .await
        });
        assert_eq!(task.await.unwrap().unwrap_err().0, [Cell::new(2)]);
    })
    .await;
}

/// 1,000 groups of ten tasks each: some in which all go well, some in which one task
/// fails, some in which the body does, some that are aborted as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_at_once() {
    soon(async {
        for round in 0..1000_u64 {
            let live = Live::default();
            let jobs = live.clone();
            let group = tokio::spawn(task_group(async move |group: TaskGroup<u64>| {
                let mut values = Vec::new();
                for number in 0..10 {
                    let job = jobs.job();
                    let inner = task_group(async move |inner: TaskGroup<u64>| {
                        let value = inner.spawn(async move {
                            for _ in 0..(number + round) % 10 {
                                yield_now().await;
                            }
                            let _job = job;
                            if round % 4 == 1 && number == 7 {
                                Err(7)
                            } else {
                                Ok(number)
                            }
                        });
                        Ok(value)
                    });
                    values.push(group.spawn(async {
                        let value = inner.await.map_err(|errors| errors.0[0])?;
                        Ok(value.await.expect("its group ended well"))
                    }));
                }
                if round % 4 == 2 { Err(8) } else { Ok(values) }
            }));
            if round % 4 == 3 {
                for _ in 0..round % 16 {
                    yield_now().await;
                }
                group.abort();
            }
            let ended = timeout(LONG, group).await.expect("a group is stuck");
            match ended {
                Ok(result) => {
                    assert_eq!(live.count(), 0, "round {round}");
                    match (round % 4, result) {
                        (0 | 3, Ok(values)) => {
                            let mut sum = 0;
                            for value in values {
                                sum += value.await.unwrap();
                            }
                            assert_eq!(sum, 45);
                        }
                        (1, Err(errors)) => assert_eq!(errors.0, [7]),
                        (2, Err(errors)) => assert_eq!(errors.0, [8]),
                        (_, result) => panic!("round {round}: {}", result.is_ok()),
                    }
                }
                Err(ended) => assert!(ended.is_cancelled(), "{ended}"),
            }
            let gone = async {
                while live.count() > 0 {
                    yield_now().await;
                }
            };
            timeout(LONG, gone).await.expect("a task runs on");
        }
    })
    .await;
}

/// All tasks have ended. Before the group has its turn, a handle outside it spawns another.
#[tokio::test(start_paused = true)]
async fn a_task_spawned_after_the_last_has_ended_is_stopped_and_awaited() {
    let live = Live::default();
    let (tell, told) = oneshot::channel();
    let (hand_out, handle) = oneshot::channel();
    let late = live.job();
    let outside = tokio::spawn(async move {
        let group: TaskGroup<u64> = handle.await.expect("the body sends it");
        told.await.expect("the last task tells");
        group.spawn(late.run(100_000_000, Ok(1))).await
    });
    let counted = live.clone();
    // In a task: its turn comes after that of `outside`.
    let ended = tokio::spawn(async move {
        let group = task_group(async move |group: TaskGroup<u64>| {
            assert!(hand_out.send(group.clone()).is_ok());
            group.spawn(async move {
                sleep(Duration::from_millis(1)).await;
                tell.send(()).map_err(|()| 7)
            });
            Ok(())
        });
        let ended = timeout(LONG, group).await;
        (ended.map(|result| result.is_ok()), counted.count())
    });
    assert_eq!(ended.await.expect("no panic"), (Ok(true), 0));
    assert!(outside.await.expect("no panic").is_err(), "it was stopped");
}
