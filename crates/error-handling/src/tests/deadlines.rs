use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing;
use futures::FutureExt;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

use super::support::poll_and_drop;
use crate::deadlines::{Deadline, DeadlineExceeded};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    let mut completed = 0;
    for polls in 1..20 {
        let deadline = Deadline::after(HOUR);
        let held = Arc::new(());
        let work = {
            let held = Arc::clone(&held);
            async move {
                sleep(5 * TICK).await;
                sleep(5 * TICK).await;
                drop(held);
            }
        };
        let other = deadline.run(sleep(15 * TICK));
        let (left, other) = tokio::join!(
            poll_and_drop(deadline.run(work), polls),
            timeout(HOUR, other)
        );
        completed += usize::from(left.is_some());
        assert_eq!(other, Ok(Ok(())), "the other goes on");
        assert_eq!(Arc::strong_count(&held), 1, "the work is dropped");
    }
    assert!((1..19).contains(&completed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }

    let shared = Deadline::after(HOUR);
    let running = Arc::new(AtomicUsize::new(0));
    let mut set = JoinSet::new();
    for number in 0..10_000_u64 {
        // Some have a deadline of their own, some share one that is moved all along.
        let deadline = match number % 2 {
            0 => Deadline::after(Duration::from_millis(number % 7)),
            _ => shared.clone(),
        };
        let running = Arc::clone(&running);
        let task = set.spawn(async move {
            let work = async {
                running.fetch_add(1, SeqCst);
                let _count = Count(Arc::clone(&running));
                sleep(Duration::from_millis(number % 5)).await;
                number
            };
            let outcome = deadline.run(work).await;
            if outcome == Err(DeadlineExceeded) {
                assert_eq!(deadline.remaining(), Duration::ZERO);
            }
            (number, outcome)
        });
        if number % 10 == 9 {
            task.abort();
        }
        shared.reschedule(HOUR + Duration::from_millis(number));
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (mut in_time, mut late, mut aborted) = (0, 0, 0);
    let all = async {
        while let Some(outcome) = set.join_next().await {
            match outcome {
                Ok((number, Ok(value))) => {
                    assert_eq!(value, number);
                    in_time += 1;
                }
                Ok((number, Err(DeadlineExceeded))) => {
                    assert_eq!(number % 2, 0, "the shared one has not passed");
                    late += 1;
                }
                Err(error) if error.is_cancelled() => aborted += 1,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let all = timeout(Duration::from_secs(60), all).await;
    assert!(all.is_ok(), "nobody hangs");
    assert_eq!(in_time + late + aborted, 10_000);
    assert!(in_time > 0 && late > 0);
    assert_eq!(running.load(SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_move_reaches_all_who_begin_meanwhile() {
    for _ in 0..100 {
        let deadline = Deadline::after(HOUR);
        let mut set = JoinSet::new();
        for _ in 0..50 {
            let deadline = deadline.clone();
            set.spawn(async move { deadline.run(pending::<()>()).await });
        }
        deadline.reschedule(Duration::ZERO);
        let ends = timeout(Duration::from_secs(60), set.join_all()).await;
        assert_eq!(ends, Ok(vec![Err(DeadlineExceeded); 50]));
    }
}

#[tokio::test(start_paused = true)]
async fn limits() {
    let passed = Deadline::after(Duration::ZERO);
    assert_eq!(passed.remaining(), Duration::ZERO);
    let work = async { panic!("it begins") };
    assert_eq!(passed.run(work).await, Err::<(), _>(DeadlineExceeded));
    assert_eq!(
        passed.at_most(HOUR).run(async {}).await,
        Err(DeadlineExceeded)
    );

    let never = Deadline::after(Duration::MAX);
    assert!(never.remaining() > 1000 * HOUR);
    assert_eq!(never.run(sleep(HOUR)).await, Ok(()));
    assert_eq!(never.at_most(Duration::ZERO).remaining(), Duration::ZERO);
    never.reschedule(Duration::MAX);
    assert_eq!(never.run(async { 7 }).await, Ok(7));

    let deadline = Deadline::after(10 * TICK);
    assert_eq!(deadline.run(sleep(9 * TICK)).await, Ok(()));
    assert_eq!(deadline.remaining(), TICK);
    assert_eq!(deadline.run(sleep(2 * TICK)).await, Err(DeadlineExceeded));
    assert_eq!(deadline.remaining(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn moved_sooner_and_later_with_a_limit_that_stays() {
    let deadline = Deadline::after(10 * TICK);
    let short = deadline.at_most(8 * TICK).at_most(HOUR);
    assert_eq!(short.remaining(), 8 * TICK);
    deadline.reschedule(5 * TICK);
    assert_eq!(short.remaining(), 5 * TICK);
    short.reschedule(20 * TICK);
    assert_eq!(short.remaining(), 8 * TICK);
    assert_eq!(deadline.remaining(), 20 * TICK);

    // Twice while calls run, which end as they should.
    let started = Instant::now();
    let (whole, short, ()) = tokio::join!(
        deadline.run(pending::<()>()),
        short.run(pending::<()>()),
        async {
            sleep(2 * TICK).await;
            deadline.reschedule(100 * TICK);
            sleep(20 * TICK).await;
            deadline.reschedule(5 * TICK);
        }
    );
    assert_eq!(
        (whole, short),
        (Err(DeadlineExceeded), Err(DeadlineExceeded))
    );
    assert_eq!(started.elapsed(), 27 * TICK);

    // A deadline that has passed opens again, but not for what it has ended.
    assert_eq!(deadline.run(async {}).await, Err(DeadlineExceeded));
    deadline.reschedule(TICK);
    assert_eq!(deadline.run(async {}).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn in_the_very_moment() {
    let deadline = Deadline::after(10 * TICK);
    assert_eq!(deadline.run(sleep(10 * TICK)).await, Ok(()));

    let started = Instant::now();
    deadline.reschedule(10 * TICK);
    let work = async {
        for _ in 0..50 {
            sleep(10 * TICK).await;
            deadline.reschedule(10 * TICK);
        }
    };
    assert_eq!(deadline.run(work).await, Ok(()), "it is moved in time");
    assert_eq!(started.elapsed(), 500 * TICK);
}

#[test]
fn a_call_that_is_always_busy_is_ended() {
    let (report, reported) = channel();
    // In a separate thread, as a failure would be a loop without end.
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        let busy = || async {
            loop {
                consume_budget().await;
            }
        };
        let deadline = Deadline::after(5 * TICK);
        let outcome: Result<(), _> = runtime.block_on(deadline.run(busy()));
        report.send(outcome).expect("the test waits");

        let deadline = Deadline::after(HOUR);
        let moving = deadline.clone();
        thread::spawn(move || {
            thread::sleep(5 * TICK);
            moving.reschedule(Duration::ZERO);
        });
        let outcome: Result<(), _> = runtime.block_on(deadline.run(busy()));
        report.send(outcome).expect("the test waits");
    });
    for _ in 0..2 {
        let outcome = reported.recv_timeout(Duration::from_secs(60));
        assert_eq!(outcome, Ok(Err(DeadlineExceeded)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_wedges_nothing() {
    let deadline = Deadline::after(HOUR);
    let work = async {
        sleep(TICK).await;
        panic!("scheduled");
    };
    let caught = AssertUnwindSafe(deadline.run(work)).catch_unwind().await;
    assert!(caught.is_err());
    deadline.reschedule(TICK);
    assert_eq!(deadline.run(sleep(HOUR)).await, Err(DeadlineExceeded));
}

#[tokio::test]
async fn in_a_struct_in_a_task_with_a_call_that_borrows() {
    struct Request {
        deadline: Deadline,
        path: String,
    }
    let request = Arc::new(Request {
        deadline: Deadline::after(HOUR),
        path: "/a".to_string(),
    });
    let tasks = (0..4).map(|number| {
        let request = Arc::clone(&request);
        tokio::spawn(async move {
            let mut calls = 0;
            let path = &request.path;
            let call = async {
                calls += 1;
                tokio::task::yield_now().await;
                std::cell::Cell::new(path.len() + number)
            };
            let length = request.deadline.at_most(HOUR).run(call).await;
            (length, calls)
        })
    });
    for (number, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
        let outcome = timeout(Duration::from_secs(60), task).await;
        let outcome = outcome.expect("it ends").expect("it does not panic");
        assert_eq!(outcome, (Ok((2 + number).into()), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_axum_handler() {
    /// The length of the name, after so many ticks.
    async fn measure(name: &str, ticks: u32) -> usize {
        sleep(ticks * TICK).await;
        name.len()
    }

    /// Two calls that borrow, within five ticks together.
    async fn handler(State((name, ticks)): State<(Arc<str>, u32)>) -> StatusCode {
        let deadline = Deadline::after(5 * TICK);
        let both = async {
            let first = deadline.run(measure(&name, ticks)).await?;
            let second = deadline.run(measure(&name, ticks)).await?;
            Ok::<_, DeadlineExceeded>(first + second)
        };
        match both.await {
            Ok(8) => StatusCode::OK,
            Ok(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Err(DeadlineExceeded) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    for (ticks, expected) in [(2, 200), (3, 504)] {
        let app = Router::new()
            .route("/", routing::get(handler))
            .with_state((Arc::from("pear"), ticks));
        let request = Request::get("/").body(Body::empty()).expect("a request");
        let response = app.oneshot(request).await.expect("a response");
        assert_eq!(response.status().as_u16(), expected, "{ticks} ticks");
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_at_begins_a_call_that_is_too_late() {
    let passed = Instant::now();
    sleep(TICK).await;
    let mut begun = false;
    let call = async {
        begun = true;
        sleep(TICK).await;
    };
    assert!(tokio::time::timeout_at(passed, call).await.is_err());
    assert!(begun);
}

/// As in asyncio's `test_nested_timeouts`: only the outer deadline ends the loop.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_retry_within_the_same_deadline_ends_with_it() {
    let deadline = Deadline::after(20 * TICK);
    let request = tokio::spawn(async move {
        let retries = async {
            for _ in 0..1000 {
                if deadline
                    .at_most(6 * TICK)
                    .run(pending::<()>())
                    .await
                    .is_ok()
                {
                    return;
                }
            }
            // Not by a timeout: a loop without an await may stop all timers.
            panic!("it spins");
        };
        deadline.run(retries).await
    });
    assert_eq!(request.await.expect("it ends"), Err(DeadlineExceeded));
}

/// Outside the deadline the loop has no end, but it can be aborted.
#[tokio::test]
async fn a_retry_after_the_deadline_can_be_aborted() {
    let deadline = Deadline::after(Duration::ZERO);
    let spins = tokio::spawn(async move {
        for _ in 0..1000 {
            assert!(deadline.run(pending::<()>()).await.is_err());
        }
    });
    tokio::task::yield_now().await;
    spins.abort();
    assert!(spins.await.expect_err("it was aborted").is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn async_timeout_moved_to_now_it_ends_a_running_call() {
    let deadline = Deadline::after(HOUR);
    let start = Instant::now();
    let (ended, ()) = tokio::join!(deadline.run(sleep(HOUR)), async {
        sleep(TICK).await;
        deadline.reschedule(Duration::ZERO);
    });
    assert_eq!((ended, start.elapsed()), (Err(DeadlineExceeded), TICK));
}

/// async-timeout raises then; the page says that it can be moved.
#[tokio::test(start_paused = true)]
async fn async_timeout_a_deadline_that_has_passed_can_be_moved_differs() {
    let deadline = Deadline::after(TICK);
    sleep(2 * TICK).await;
    deadline.reschedule(TICK);
    assert_eq!(deadline.run(async { 1 }).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_the_timeout_of_the_call_itself_is_told_apart() {
    let deadline = Deadline::after(HOUR);
    let call = deadline.run(timeout(TICK, pending::<()>()));
    assert!(matches!(call.await, Ok(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_of_two_nested_the_shorter_ends_first() {
    let deadline = Deadline::after(10 * TICK);
    let start = Instant::now();
    let inner = deadline.at_most(2 * TICK);
    let both = deadline.run(inner.run(sleep(HOUR))).await;
    assert_eq!(
        (both, start.elapsed()),
        (Ok(Err(DeadlineExceeded)), 2 * TICK)
    );
}

#[tokio::test(start_paused = true)]
async fn async_timeout_a_blocking_call_that_ends_late_returns_its_value() {
    let call = async {
        tokio::time::advance(5 * TICK).await;
        3
    };
    assert_eq!(Deadline::after(TICK).run(call).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn tower_calls_one_after_another_share_the_deadline() {
    let deadline = Deadline::after(10 * TICK);
    let mut completed = 0;
    for _ in 0..10 {
        completed += u32::from(deadline.run(sleep(3 * TICK)).await.is_ok());
    }
    assert_eq!(completed, 3);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_the_call_has_spawned_keep_running() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let call = async {
        let task = tokio::spawn(async move {
            sleep(5 * TICK).await;
            tell.send(7)
        });
        task.await
    };
    let deadline = Deadline::after(TICK);
    assert!(matches!(deadline.run(call).await, Err(DeadlineExceeded)));
    assert_eq!(timeout(HOUR, told).await, Ok(Ok(7)));
}
