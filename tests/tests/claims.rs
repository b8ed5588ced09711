//! What the headers of the examples claim beyond what their transcripts show.
//!
//! Each test is named after the example. Claims about time are checked on the virtual
//! clock; those about asyncio under CPython.

use std::pin::{Pin, pin};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_stream::stream;
use futures::stream::{iter, select, select_all};
use futures::{Stream, StreamExt};
use tests::{Copies, Test, test};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use xtask::workspace::Workspace;

const TESTS: &[Test] = &[
    test!(buffered_as_completed_items_that_are_references_do_not_compile_in_spawn),
    test!(buffered_in_order_a_buffer_of_0_waits_for_ever),
    test!(buffered_in_order_a_dropped_stream_aborts_its_tasks),
    test!(buffered_in_order_items_that_are_references_do_not_compile_in_spawn),
    test!(channel_stream_a_producer_runs_on_without_its_consumer),
    test!(chunks_and_windows_a_chunk_waits_for_its_last_item),
    test!(comprehensions_map_awaits_nothing),
    test!(counter_a_sleep_made_anew_never_ends),
    test!(generator_without_pin_does_not_compile),
    test!(interval_ticks_burst_is_the_default),
    test!(merge_streams_stand_still_while_the_body_awaits),
    test!(stop_early_whatever_the_reason),
    test!(stream_processor_handles_leave_tasks_running),
    test!(timeout_each_next_loses_nothing),
    test!(zip_and_enumerate_one_after_the_other_takes_the_sum),
    test!(
        buffered_as_completed_in_asyncio_goes_on_behind_a_busy_consumer,
        Python
    ),
    test!(
        stop_early_in_asyncio_a_generator_may_end_with_the_loop,
        Python
    ),
    test!(timeout_each_in_asyncio_ends_the_generator, Python),
];

fn main() -> ExitCode {
    tests::run(TESTS)
}

/// Runs the future on a paused clock and returns how long it took.
fn paused(future: impl Future<Output = ()>) -> Duration {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(async {
            let start = Instant::now();
            future.await;
            start.elapsed()
        })
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Yields 1, 2, 3 and so on, each after `period`.
fn count(last: u32, period: Duration) -> impl Stream<Item = u32> {
    stream! {
        for number in 1..=last {
            sleep(period).await;
            yield number;
        }
    }
}

/// That the example does not compile with the text replaced, for this reason.
#[track_caller]
fn assert_does_not_compile(id: &str, changes: &[(&str, &str)], reason: &str) {
    let workspace = Workspace::open().expect("the workspace opens");
    let example = workspace.example(id).expect("it is there");
    let copies = Copies::new(env!("CARGO_TARGET_TMPDIR"), "claims");
    let said = copies.check(&workspace, example, |path, mut text| {
        if path == "src/main.rs" {
            for (from, to) in changes {
                assert!(text.contains(from), "{from} is not in {id}");
                text = text.replace(from, to);
            }
        }
        text
    });
    let said = said.expect_err("it compiled and ran");
    assert!(said.contains(reason), "{said}");
}

const REFERENCES: &[(&str, &str)] = &[
    ("type Job = (char, u64);", "type Job = (&'static str, u64);"),
    ("-> char {", "-> &'static str {"),
    ("use_it(name: char)", "use_it(name: &str)"),
    ("'a'", "\"a\""),
    ("'b'", "\"b\""),
    ("'c'", "\"c\""),
];

const SPAWNED: &[(&str, &str)] =
    &[("    run().await\n}", "    tokio::spawn(run()).await?\n}")];

fn buffered_in_order_items_that_are_references_do_not_compile_in_spawn() {
    let changes = [REFERENCES, SPAWNED].concat();
    let id = "iterators/buffered_in_order";
    assert_does_not_compile(id, &changes, "is not general enough");
}

fn buffered_as_completed_items_that_are_references_do_not_compile_in_spawn() {
    let changes = [REFERENCES, &[("'d'", "\"d\"")], SPAWNED].concat();
    let id = "iterators/buffered_as_completed";
    assert_does_not_compile(id, &changes, "is not general enough");
}

fn generator_without_pin_does_not_compile() {
    let changes = [(
        "pin!(async_range(0..3, Duration::from_millis(100)))",
        "async_range(0..3, Duration::from_millis(100))",
    )];
    assert_does_not_compile("iterators/generator", &changes, "cannot be unpinned");
}

fn buffered_in_order_a_buffer_of_0_waits_for_ever() {
    paused(async {
        let jobs = || iter([1, 2]).map(|job| async move { job });
        let year = Duration::from_secs(365 * 24 * 3600);
        assert!(
            timeout(year, pin!(jobs().buffered(0)).next())
                .await
                .is_err()
        );
        assert!(
            timeout(year, pin!(jobs().buffer_unordered(0)).next())
                .await
                .is_err()
        );
    });
}

fn buffered_in_order_a_dropped_stream_aborts_its_tasks() {
    async fn job(done: mpsc::UnboundedSender<()>) {
        sleep(millis(100)).await;
        done.send(()).expect("the test listens");
    }

    paused(async {
        let (sender, mut done) = mpsc::unbounded_channel();
        let jobs = || {
            iter([sender.clone(), sender.clone()])
                .map(job)
                .map(tokio::spawn)
        };
        let mut bare = Box::pin(jobs().buffered(2));
        assert!(timeout(millis(50), bare.next()).await.is_err());
        drop(bare);
        sleep(millis(100)).await;
        assert!(
            done.try_recv().is_ok() && done.try_recv().is_ok(),
            "a bare handle"
        );

        let mut aborted = Box::pin(jobs().map(AbortOnDropHandle::new).buffered(2));
        assert!(timeout(millis(50), aborted.next()).await.is_err());
        drop(aborted);
        sleep(millis(100)).await;
        assert!(done.try_recv().is_err(), "an aborted task went on");
    });
}

fn channel_stream_a_producer_runs_on_without_its_consumer() {
    paused(async {
        let (sender, receiver) = mpsc::channel::<u32>(2);
        let producer = tokio::spawn(async move {
            sleep(millis(1000)).await;
            sender.send(1).await.is_err()
        });
        drop(receiver);
        assert_eq!(
            producer.await.ok(),
            Some(true),
            "it was cancelled, or its send passed"
        );
    });
}

fn chunks_and_windows_a_chunk_waits_for_its_last_item() {
    let waited = paused(async {
        let slow = stream! { yield 1; sleep(Duration::from_secs(3600)).await; yield 2; };
        assert_eq!(pin!(slow.chunks(2)).next().await, Some(vec![1, 2]));
    });
    assert_eq!(waited, Duration::from_secs(3600));
}

fn comprehensions_map_awaits_nothing() {
    let elapsed = paused(async {
        let square = async |number: u32| {
            sleep(millis(100)).await;
            number * number
        };
        let futures: Vec<_> = iter([1, 2, 3]).map(square).collect().await;
        assert_eq!(futures.len(), 3);
    });
    assert_eq!(elapsed, Duration::ZERO);
}

fn counter_a_sleep_made_anew_never_ends() {
    struct Wrong;

    impl Stream for Wrong {
        type Item = ();

        fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
            // As long as the sleep is dropped with this poll, nobody is woken.
            pin!(sleep(millis(100))).as_mut().poll(cx).map(Some)
        }
    }

    paused(async {
        let mut wrong = Wrong;
        let next = timeout(Duration::from_secs(3600), wrong.next());
        assert!(next.await.is_err(), "the sleep ended");
    });
}

fn interval_ticks_burst_is_the_default() {
    use tokio::time::{MissedTickBehavior, interval};

    paused(async {
        let interval = interval(millis(100));
        assert_eq!(interval.missed_tick_behavior(), MissedTickBehavior::Burst);
    });
}

fn merge_streams_stand_still_while_the_body_awaits() {
    /// Counts in `made` what it has yielded, as soon as its pause is over.
    fn source(made: &AtomicUsize) -> impl Stream<Item = ()> {
        stream! {
            for _ in 0..10 {
                sleep(millis(100)).await;
                made.fetch_add(1, Ordering::Relaxed);
                yield;
            }
        }
    }

    paused(async {
        let made = AtomicUsize::new(0);
        let two = select(source(&made), source(&made));
        let mut all = pin!(select(two, select_all([source(&made).boxed_local()])));
        all.next().await;
        let before = made.load(Ordering::Relaxed);
        // Time for ten more of each.
        sleep(millis(1000)).await;
        assert_eq!(made.load(Ordering::Relaxed), before);
        assert_eq!(all.count().await, 29);
        assert_eq!(made.load(Ordering::Relaxed), 30);
    });
}

/// Says in a channel that it was dropped.
struct Guard(mpsc::UnboundedSender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.send(());
    }
}

fn stop_early_whatever_the_reason() {
    fn rows(guard: Guard) -> impl Stream<Item = u32> {
        stream! {
            let _guard = guard;
            for row in 0.. {
                sleep(millis(100)).await;
                yield row;
            }
        }
    }

    paused(async {
        let (sender, mut dropped) = mpsc::unbounded_channel();
        drop(rows(Guard(sender.clone())));
        assert!(dropped.try_recv().is_ok(), "never polled");

        let mut started = Box::pin(rows(Guard(sender.clone())));
        assert!(timeout(millis(50), started.next()).await.is_err());
        assert!(dropped.try_recv().is_err());
        drop(started);
        assert!(dropped.try_recv().is_ok(), "in the middle of an await");

        let mut yielded = Box::pin(rows(Guard(sender.clone())));
        assert_eq!(yielded.next().await, Some(0));
        drop(yielded);
        assert!(dropped.try_recv().is_ok(), "at a yield");

        let aborted = tokio::spawn(rows(Guard(sender.clone())).count());
        sleep(millis(250)).await;
        aborted.abort();
        assert!(aborted.await.is_err_and(|error| error.is_cancelled()));
        assert!(dropped.try_recv().is_ok(), "in a task that was aborted");

        let panicked = tokio::spawn(rows(Guard(sender)).for_each(async |row| {
            assert!(row < 2, "a panic in the loop body, as this test wants it");
        }));
        assert!(panicked.await.is_err_and(|error| error.is_panic()));
        assert!(dropped.try_recv().is_ok(), "in a task that panicked");
    });
}

fn stream_processor_handles_leave_tasks_running() {
    async fn task(done: mpsc::UnboundedSender<()>) {
        sleep(millis(100)).await;
        done.send(()).expect("the test listens");
    }

    paused(async {
        let (sender, mut done) = mpsc::unbounded_channel();
        drop(tokio::spawn(task(sender.clone())));
        sleep(millis(200)).await;
        assert!(
            done.try_recv().is_ok(),
            "the dropped handle took its task along"
        );

        let mut set = JoinSet::new();
        set.spawn(task(sender));
        drop(set);
        sleep(millis(200)).await;
        assert!(
            done.try_recv().is_err(),
            "the dropped set left its task running"
        );
    });
}

fn timeout_each_next_loses_nothing() {
    paused(async {
        let mut numbers = pin!(count(3, millis(250)));
        let mut got = Vec::new();
        loop {
            match timeout(millis(100), numbers.next()).await {
                Ok(Some(number)) => got.push(number),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        assert_eq!(got, [1, 2, 3]);
    });
}

fn zip_and_enumerate_one_after_the_other_takes_the_sum() {
    let zipped = paused(async {
        let pairs = count(2, millis(200)).zip(count(2, millis(300)));
        assert_eq!(pairs.count().await, 2);
    });
    assert_eq!(zipped, millis(600));
    let in_turn = paused(async {
        let mut left = pin!(count(2, millis(200)));
        let mut right = pin!(count(2, millis(300)));
        while left.next().await.is_some() && right.next().await.is_some() {}
    });
    assert_eq!(in_turn, millis(1000));
}

/// Runs a program under CPython and compares what it prints.
#[track_caller]
fn assert_python_prints(program: &str, expected: &str) {
    let output = Command::new(tests::python().program())
        .args(["-I", "-c", program])
        .output()
        .expect("python runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).replace('\r', ""),
        expected
    );
}

fn timeout_each_in_asyncio_ends_the_generator() {
    assert_python_prints(
        "
import asyncio

async def slow():
    yield 1
    await asyncio.sleep(0.05)
    yield 2

async def main():
    stream = slow()
    print(await anext(stream))
    try:
        await asyncio.wait_for(anext(stream), 0.001)
    except asyncio.TimeoutError:
        print('late')
    print(await anext(stream, 'the end'))

asyncio.run(main())
",
        "1\nlate\nthe end\n",
    );
}

fn stop_early_in_asyncio_a_generator_may_end_with_the_loop() {
    assert_python_prints(
        "
import asyncio

async def rows():
    try:
        yield 1
        yield 2
    finally:
        print('cleaned up')

async def main():
    kept = rows()
    async for row in kept:
        break
    await asyncio.sleep(0.01)
    print('kept')
    async for row in rows():
        break
    await asyncio.sleep(0.01)
    print('dropped')

asyncio.run(main())
",
        "kept\ncleaned up\ndropped\ncleaned up\n",
    );
}

fn buffered_as_completed_in_asyncio_goes_on_behind_a_busy_consumer() {
    assert_python_prints(
        "
import asyncio

async def fetch(name, delay):
    await asyncio.sleep(delay)
    print('fetched', name)

async def main():
    jobs = [asyncio.create_task(fetch(*job)) for job in [('a', 0), ('b', 0.01)]]
    for job in asyncio.as_completed(jobs):
        await job
        await asyncio.sleep(0.1)
        print('used')

asyncio.run(main())
",
        "fetched a\nfetched b\nused\nused\n",
    );
}
