//! What the pages say of crates under `In production:`, tried with the versions that
//! `Cargo.lock` names. A claim that no longer holds fails here.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, advance, sleep, timeout};

const TENTH: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

mod backon_1_6 {
    use backon::{BackoffBuilder, BlockingRetryable, ExponentialBuilder, Retryable};

    use super::*;

    fn delays() -> ExponentialBuilder {
        ExponentialBuilder::default().with_min_delay(TENTH)
    }

    #[tokio::test(start_paused = true)]
    async fn without_when_it_repeats_every_error_on_the_paused_clock() {
        let (start, calls) = (Instant::now(), AtomicUsize::new(0));
        let call = || async {
            calls.fetch_add(1, Relaxed);
            Err::<(), _>("refused")
        };
        let result = call.retry(delays().with_max_times(3)).await;
        assert_eq!(result, Err("refused"));
        assert_eq!(calls.into_inner(), 4, "three retries");
        // It computes with floats.
        let late = start.elapsed() - 7 * TENTH;
        assert!(late < TENTH / 10, "{late:?}");
    }

    #[test]
    fn its_jitter_lengthens_a_delay_at_most_to_twice() {
        let jittered = delays().with_factor(1.0).with_jitter().with_max_times(1000);
        let drawn: Vec<_> = jittered.build().collect();
        assert_eq!(drawn.len(), 1000);
        assert!(
            drawn
                .iter()
                .all(|delay| (TENTH..=2 * TENTH).contains(delay))
        );
        assert!(drawn.iter().any(|delay| *delay > TENTH * 3 / 2));
    }

    #[tokio::test(start_paused = true)]
    async fn its_total_delay_leaves_out_the_attempts() {
        let calls = AtomicUsize::new(0);
        let call = || async {
            calls.fetch_add(1, Relaxed);
            sleep(DAY).await;
            Err::<(), _>("busy")
        };
        let delays = delays()
            .with_max_times(3)
            .with_total_delay(Some(10 * TENTH));
        assert_eq!(call.retry(delays).await, Err("busy"));
        assert_eq!(calls.into_inner(), 4);
    }

    #[test]
    fn it_retries_blocking_code() {
        let mut calls = 0;
        let call = || {
            calls += 1;
            if calls < 3 { Err("busy") } else { Ok(calls) }
        };
        let delays = delays().with_min_delay(Duration::from_millis(1));
        assert_eq!(call.retry(delays).sleep(std::thread::sleep).call(), Ok(3));
    }
}

mod governor_0_10 {
    use std::num::NonZeroU32;

    use governor::{Quota, RateLimiter};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_waits_on_the_real_clock() {
        let quota = Quota::with_period(TENTH).expect("not zero");
        let limiter = RateLimiter::direct(quota);
        let (start, real) = (Instant::now(), std::time::Instant::now());
        limiter.until_ready().await;
        limiter.until_ready().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(real.elapsed() >= TENTH - Duration::from_millis(5));
    }

    /// A burst of ten and ten a second: nineteen calls within the first second.
    #[test]
    fn nearly_twice_the_limit_fits_into_one_window() {
        use governor::clock::FakeRelativeClock;

        let ten = NonZeroU32::new(10).expect("not zero");
        let clock = FakeRelativeClock::default();
        let quota = Quota::per_second(ten);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        let mut through = 0;
        for _ in 0..1000 {
            while limiter.check().is_ok() {
                through += 1;
            }
            clock.advance(Duration::from_millis(1));
        }
        assert_eq!(through, 19);
    }
}

mod moka_0_12 {
    use moka::future::Cache;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_expires_by_the_real_clock() {
        let cache = Cache::builder().time_to_live(TENTH).build();
        cache.insert(1, 250).await;
        advance(DAY).await;
        assert_eq!(cache.get(&1).await, Some(250));
        std::thread::sleep(2 * TENTH);
        assert_eq!(cache.get(&1).await, None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn it_limits_the_number_of_entries() {
        let cache = Cache::new(100);
        for key in 0..10_000 {
            cache.insert(key, key).await;
        }
        cache.run_pending_tasks().await;
        assert_eq!(cache.entry_count(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn one_load_for_a_key_in_the_first_caller() {
        let (cache, loads) = (&Cache::new(100), &AtomicUsize::new(0));
        let get = || async move {
            let load = async {
                loads.fetch_add(1, Relaxed);
                sleep(2 * TENTH).await;
                Ok::<_, String>(250)
            };
            cache.try_get_with(1, load).await
        };
        let first = timeout(TENTH, get());
        let others = futures::future::join_all((0..1000).map(|_| get()));
        let (first, others) = tokio::join!(biased; first, others);
        assert!(first.is_err());
        assert!(others.iter().all(|price| *price == Ok(250)));
        // The first was dropped with its load, and the next one began again.
        assert_eq!(loads.load(Relaxed), 2);
    }
}

/// Connections with a number, which a user may leave broken.
#[derive(Default)]
struct Connections {
    opened: AtomicUsize,
}

#[derive(Debug)]
struct Connection {
    number: usize,
    broken: bool,
}

impl Connections {
    fn open(&self) -> Connection {
        let number = self.opened.fetch_add(1, Relaxed) + 1;
        Connection {
            number,
            broken: false,
        }
    }
}

mod deadpool_0_13 {
    use deadpool::managed::{Manager, Metrics, Pool, RecycleError, RecycleResult};

    use super::*;

    impl Manager for Connections {
        type Type = Connection;
        type Error = String;

        async fn create(&self) -> Result<Connection, String> {
            Ok(self.open())
        }

        async fn recycle(
            &self,
            connection: &mut Connection,
            _metrics: &Metrics,
        ) -> RecycleResult<String> {
            match connection.broken {
                true => Err(RecycleError::message("broken")),
                false => Ok(()),
            }
        }
    }

    fn pool() -> Pool<Connections> {
        let builder = Pool::builder(Connections::default()).max_size(1);
        builder.build().expect("no limits in time")
    }

    #[tokio::test(start_paused = true)]
    async fn it_tests_a_connection_before_its_next_use() {
        let pool = pool();
        pool.get().await.expect("it opens").broken = true;
        assert_eq!(pool.get().await.expect("another").number, 2);
        assert_eq!(pool.get().await.expect("the same").number, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_timeout_it_waits_for_ever() {
        let pool = pool();
        let held = pool.get().await.expect("it opens");
        assert!(timeout(DAY, pool.get()).await.is_err());
        drop(held);
        assert!(pool.get().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn it_gets_back_what_is_dropped_in_a_panic() {
        let pool = pool();
        let panics = async {
            let _connection = pool.get().await;
            panic!("as scheduled");
        };
        let panics = std::panic::AssertUnwindSafe(panics).catch_unwind();
        assert!(panics.await.is_err());
        assert_eq!(pool.status().available, 1);
    }
}

mod tower_0_5 {
    use std::convert::Infallible;

    use futures::future::join_all;
    use tower::hedge::{Hedge, Policy};
    use tower::load_shed::error::Overloaded;
    use tower::retry::budget::{Budget, TpsBudget};
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;

    async fn work(_: ()) -> Result<(), Infallible> {
        sleep(2 * TENTH).await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn its_timeout_leaves_out_the_wait_for_a_permit() {
        let (one, start) = (ServiceBuilder::new().concurrency_limit(1), Instant::now());
        let one = one.service(service_fn(work));
        let timed = ServiceBuilder::new().timeout(3 * TENTH).service(one);
        let calls = join_all((0..3).map(|_| timed.clone().oneshot(())));
        assert!(calls.await.iter().all(Result::is_ok));
        assert_eq!(start.elapsed(), 6 * TENTH);
    }

    #[tokio::test(start_paused = true)]
    async fn load_shed_over_a_limit_rejects_each_call_that_would_wait() {
        let shed = ServiceBuilder::new().load_shed().concurrency_limit(2);
        let shed = shed.service(service_fn(work));
        let calls = join_all((0..5).map(|_| shed.clone().oneshot(()))).await;
        let rejected = calls.iter().filter_map(|call| call.as_ref().err());
        assert_eq!(rejected.filter(|error| error.is::<Overloaded>()).count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn its_retry_budget_forgets_calls_and_has_a_rate_besides() {
        // A retry for every tenth call, and one a second, in windows of 10 s.
        for (calls, per_second, retries) in [(100, 0, 10), (100, 1, 20), (0, 1, 10)] {
            let budget = TpsBudget::new(10 * SECOND, per_second, 0.1);
            for _ in 0..calls {
                budget.deposit();
            }
            let allowed = std::iter::repeat_with(|| budget.withdraw());
            assert_eq!(allowed.take_while(|allowed| *allowed).count(), retries);
        }
        let budget = TpsBudget::new(10 * SECOND, 0, 0.1);
        for _ in 0..100 {
            budget.deposit();
        }
        advance(21 * SECOND).await;
        budget.deposit();
        advance(21 * SECOND).await;
        assert!(!budget.withdraw());
    }

    #[derive(Clone)]
    struct Always;

    impl Policy<()> for Always {
        fn clone_request(&self, _: &()) -> Option<()> {
            Some(())
        }

        fn can_retry(&self, _: &()) -> bool {
            true
        }
    }

    /// After calls of 0.2 s, a call that hangs is sent again about 0.2 s later.
    #[tokio::test(start_paused = true)]
    async fn hedge_takes_the_delay_from_measured_latencies() {
        let calls = AtomicUsize::new(0);
        let service = service_fn(|()| {
            let hangs = calls.fetch_add(1, Relaxed) == 20;
            async move {
                sleep(if hangs { DAY } else { 2 * TENTH }).await;
                Ok::<_, Infallible>(())
            }
        });
        let mut hedge = Hedge::new(service, Always, 5, 0.9, 10 * TENTH);
        for _ in 0..20 {
            hedge.ready().await.expect("ready").call_once().await;
        }
        let start = Instant::now();
        hedge.ready().await.expect("ready").call_once().await;
        let took = start.elapsed();
        assert!((3 * TENTH..6 * TENTH).contains(&took), "{took:?}");
    }

    trait CallOnce {
        async fn call_once(&mut self);
    }

    impl<S: tower::Service<()>> CallOnce for S {
        async fn call_once(&mut self) {
            assert!(self.call(()).await.is_ok());
        }
    }
}

mod failsafe_1_3 {
    use failsafe::{CircuitBreaker, Config, backoff, failure_policy};

    use super::*;

    fn call(breaker: &impl CircuitBreaker, succeeds: bool) {
        let _ = breaker.call(|| if succeeds { Ok(()) } else { Err(()) });
    }

    /// No two failures in a row, and yet it opens. Half open, it lets all calls pass.
    #[test]
    fn it_opens_at_a_rate_and_lets_all_pass_when_half_open() {
        let (wait, window) = (Duration::from_millis(100), Duration::from_secs(1));
        let backoff = backoff::constant(wait);
        let policy =
            failure_policy::success_rate_over_time_window(0.95, 5, window, backoff);
        let breaker = Config::new().failure_policy(policy).build();
        let opens = (0..2000).any(|number| {
            call(&breaker, number % 2 == 0);
            // The rate is weighted by time.
            std::thread::sleep(Duration::from_millis(1));
            !breaker.is_call_permitted()
        });
        assert!(opens);
        std::thread::sleep(2 * wait);
        assert!((0..100).all(|_| breaker.is_call_permitted()));
    }

    #[test]
    fn it_lengthens_each_open_period() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let periods: Vec<_> = backoff::exponential(second, minute).take(9).collect();
        assert!(
            periods.is_sorted() && periods[0] < periods[3],
            "{periods:?}"
        );
        assert_eq!(periods[8], minute);
    }

    /// It takes no period below a second.
    #[test]
    #[should_panic(expected = "start must be > 1s")]
    fn its_periods_that_grow_are_of_seconds() {
        let _ = backoff::exponential(TENTH, DAY);
    }
}

mod async_channel_2_5 {

    /// Each item goes to one of the receivers, which are clones without a lock.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn its_receiver_can_be_cloned() {
        let (sender, receiver) = async_channel::bounded(10);
        let workers = [(); 4].map(|()| {
            let receiver = receiver.clone();
            tokio::spawn(async move {
                let mut items = Vec::new();
                while let Ok(item) = receiver.recv().await {
                    items.push(item);
                }
                items
            })
        });
        for item in 0..1000 {
            sender.send(item).await.expect("there are receivers");
        }
        // It closes when the last sender is gone.
        drop(sender);
        let mut items = Vec::new();
        for worker in workers {
            items.extend(worker.await.expect("it does not panic"));
        }
        items.sort_unstable();
        assert!(items.into_iter().eq(0..1000));
    }

    #[test]
    fn force_send_gives_back_the_oldest() {
        let (sender, receiver) = async_channel::bounded(2);
        let forced = [1, 2, 3].map(|item| sender.force_send(item));
        assert_eq!(forced, [Ok(None), Ok(None), Ok(Some(1))]);
        assert_eq!(receiver.try_recv(), Ok(2));
        drop(receiver);
        assert!(
            sender.force_send(4).is_err(),
            "closed with the last receiver"
        );
    }
}

mod async_priority_channel_0_2 {
    use std::cmp::Reverse;

    /// The greatest priority first; among equal ones, the order is not that of arrival.
    #[tokio::test]
    async fn it_has_no_order_among_equals() {
        let (sender, receiver) = async_priority_channel::unbounded();
        for item in 0..10 {
            sender.try_send(item, item % 2).expect("it is open");
        }
        let mut items = Vec::new();
        while let Ok((item, _)) = receiver.try_recv() {
            items.push(item);
        }
        assert!(items[..5].iter().all(|item| item % 2 == 1));
        assert_ne!(items, [1, 3, 5, 7, 9, 0, 2, 4, 6, 8]);

        let (sender, receiver) = async_priority_channel::unbounded();
        for item in 0..10 {
            let arrival = Reverse(item);
            sender
                .try_send(item, (item % 2, arrival))
                .expect("it is open");
        }
        let mut items = Vec::new();
        while let Ok((item, _)) = receiver.try_recv() {
            items.push(item);
        }
        assert_eq!(items, [1, 3, 5, 7, 9, 0, 2, 4, 6, 8]);
    }
}

#[test]
fn scopeguard_1_2_makes_a_guard_of_a_closure() {
    let open = AtomicUsize::new(1);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = scopeguard::guard((), |()| {
            open.fetch_sub(1, Relaxed);
        });
        panic!("as scheduled");
    }));
    assert!(unwound.is_err());
    assert_eq!(open.into_inner(), 0);
}

mod async_broadcast_0_7 {
    use futures::StreamExt;

    use super::*;

    /// Receivers are streams, and the sender waits for the slowest.
    #[tokio::test(start_paused = true)]
    async fn its_sender_waits_for_slow_receivers() {
        let (sender, mut fast) = async_broadcast::broadcast(2);
        let mut slow = fast.clone();
        for item in [1, 2] {
            sender.broadcast(item).await.expect("there are receivers");
            assert_eq!(fast.next().await, Some(item));
        }
        assert!(timeout(DAY, sender.broadcast(3)).await.is_err());
        assert_eq!(slow.next().await, Some(1));
        assert!(timeout(DAY, sender.broadcast(3)).await.is_ok());
        drop(sender);
        assert_eq!(slow.collect::<Vec<_>>().await, [2, 3]);
        assert_eq!(fast.collect::<Vec<_>>().await, [3]);
    }
}

/// Its tasks may borrow, and all run in the task that awaits the scope.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moro_0_4_runs_all_in_one_task() {
    let scope = async {
        let names = ["a".to_owned(), "b".to_owned()];
        let own = tokio::task::id();
        let ids = moro::async_scope!(|scope| {
            let tasks = names.iter().map(|name| {
                scope.spawn(async move { (name.as_str(), tokio::task::id()) })
            });
            futures::future::join_all(tasks.collect::<Vec<_>>()).await
        });
        let ids = ids.await;
        assert_eq!(ids, [("a", own), ("b", own)]);
    };
    tokio::spawn(scope).await.expect("it does not panic");
}

/// What the table of neighbours says of `bisect`, `math` and `platform`.
#[test]
fn std_has_what_these_modules_have() {
    let slice = [1, 3, 5];
    assert_eq!(slice.partition_point(|number| *number < 4), 2);
    assert_eq!(slice.binary_search(&4), Err(2));
    assert!((2.25_f64.sqrt() - 1.5_f64.floor() - 0.5).abs() < f64::EPSILON);
    assert!(!std::env::consts::OS.is_empty());
}

mod tokio_util_0_7 {
    use futures::StreamExt;
    use tokio::io::AsyncWriteExt;
    use tokio_util::codec::{FramedRead, LinesCodec};
    use tokio_util::time::{DelayQueue, delay_queue};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delay_queue_needs_one_task_for_thousands_of_timers() {
        let (start, mut timers) = (Instant::now(), DelayQueue::new());
        for number in 0..5000_u32 {
            timers.insert(number, number * Duration::from_millis(1));
        }
        let mut fired = 0;
        while let Some(timer) = timers.next().await {
            let late = start.elapsed() - timer.into_inner() * Duration::from_millis(1);
            assert!(late <= Duration::from_millis(2), "{late:?}");
            fired += 1;
        }
        assert_eq!(fired, 5000);
        let tasks = tokio::runtime::Handle::current().metrics();
        assert_eq!(tasks.num_alive_tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_of_a_delay_queue_tells_its_deadline_and_takes_it_out() {
        let mut timers = DelayQueue::new();
        let deadline = Instant::now() + SECOND;
        let key: delay_queue::Key = timers.insert_at("late", deadline);
        assert_eq!(timers.deadline(&key), deadline);
        assert_eq!(timers.remove(&key).into_inner(), "late");
        assert!(timers.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn framed_read_keeps_the_bytes_of_a_dropped_read() {
        let (mut client, server) = tokio::io::duplex(64);
        let codec = LinesCodec::new_with_max_length(64);
        let mut lines = FramedRead::new(server, codec);
        client.write_all(b"one l").await.expect("it is open");
        assert!(timeout(TENTH, lines.next()).await.is_err());
        client.write_all(b"ine\n").await.expect("it is open");
        let line = lines.next().await.expect("a line");
        assert_eq!(line.expect("not too long"), "one line");
    }
}

/// It tells the time at work from the time of waiting.
#[tokio::test]
async fn tokio_metrics_0_5_tells_work_from_waiting() {
    let monitor = tokio_metrics::TaskMonitor::new();
    let task = async {
        std::thread::sleep(TENTH);
        sleep(3 * TENTH).await;
    };
    tokio::spawn(monitor.instrument(task))
        .await
        .expect("no panic");
    let metrics = monitor.cumulative();
    let (works, waits) = (metrics.total_poll_duration, metrics.total_idle_duration);
    assert!(works >= TENTH && waits >= 2 * TENTH, "{works:?} {waits:?}");
}

mod tower_http_0_6 {
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::http::{Request, StatusCode};
    use axum::routing::{get, post};
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;
    use tower_http::limit::RequestBodyLimitLayer;
    use tower_http::timeout::TimeoutLayer;

    use super::*;

    async fn panics() {
        panic!("as scheduled");
    }

    #[tokio::test(start_paused = true)]
    async fn its_layers_limit_time_and_bytes_and_catch_a_panic() {
        let upload = async |body: Bytes| body.len().to_string();
        let app = Router::new()
            .route("/slow", get(async || sleep(DAY).await))
            .route("/panics", get(panics))
            .route("/upload", post(upload))
            .layer(CatchPanicLayer::new())
            .layer(RequestBodyLimitLayer::new(10))
            .layer(TimeoutLayer::with_status_code(
                StatusCode::GATEWAY_TIMEOUT,
                TENTH,
            ));
        for (method, path, bytes, expected) in [
            ("GET", "/slow", 0, StatusCode::GATEWAY_TIMEOUT),
            ("GET", "/panics", 0, StatusCode::INTERNAL_SERVER_ERROR),
            ("POST", "/upload", 10, StatusCode::OK),
            ("POST", "/upload", 11, StatusCode::PAYLOAD_TOO_LARGE),
        ] {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::from(vec![b'a'; bytes])).expect("valid");
            let response = app.clone().oneshot(request).await.expect("infallible");
            assert_eq!(response.status(), expected, "{path} {bytes}");
        }
    }
}

mod tokio_graceful_shutdown_0_20 {
    use std::sync::Arc;

    use tokio::time::sleep_until;
    use tokio_graceful_shutdown::errors::GracefulShutdownError;
    use tokio_graceful_shutdown::{SubsystemBuilder, SubsystemHandle, Toplevel};

    use super::*;

    type Done = Result<(), &'static str>;

    /// Runs a parent with a child that takes so long to stop, next to one that fails.
    async fn stop(child_takes: Duration, limit: Duration) -> (bool, usize) {
        let stopped = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&stopped);
        let child = async move |child: &mut SubsystemHandle| -> Done {
            child.on_shutdown_requested().await;
            sleep(child_takes).await;
            count.fetch_add(1, Relaxed);
            Ok(())
        };
        let parent = async move |parent: &mut SubsystemHandle| -> Done {
            parent.start(SubsystemBuilder::new("child", child));
            parent.on_shutdown_requested().await;
            Ok(())
        };
        let fails = async |_: &mut SubsystemHandle| -> Done {
            sleep(TENTH).await;
            Err("as scheduled")
        };
        let tree: Toplevel = Toplevel::new(async move |tree: &mut SubsystemHandle| {
            tree.start(SubsystemBuilder::new("parent", parent));
            tree.start(SubsystemBuilder::new("fails", fails));
        });
        let start = Instant::now();
        let ended = tree.handle_shutdown_requests(limit).await;
        let timed_out = matches!(ended, Err(GracefulShutdownError::ShutdownTimeout(_)));
        assert!(ended.is_err());
        sleep_until(start + DAY).await;
        (timed_out, stopped.load(Relaxed))
    }

    /// One failure asks the whole tree to stop; after the limit it drops what still runs.
    #[tokio::test(start_paused = true)]
    async fn a_failure_stops_the_tree_within_a_limit() {
        assert_eq!(stop(2 * TENTH, 5 * TENTH).await, (false, 1));
        assert_eq!(stop(6 * TENTH, 5 * TENTH).await, (true, 0));
    }
}

/// It tries again after a status that may pass, and not after others.
#[tokio::test]
async fn reqwest_retry_0_9_retries_what_may_pass() {
    use std::sync::Arc;

    use axum::Router;
    use axum::extract::{Path, State};
    use axum::http::StatusCode;
    use axum::routing::get;
    use reqwest_retry::RetryTransientMiddleware;
    use reqwest_retry::policies::ExponentialBackoff;

    let calls = Arc::new(AtomicUsize::new(0));
    let answer = async |State(calls): State<Arc<AtomicUsize>>,
                        Path(status): Path<u16>| {
        calls.fetch_add(1, Relaxed);
        StatusCode::from_u16(status).expect("a status")
    };
    let app = Router::new().route("/{status}", get(answer));
    let app = app.with_state(Arc::clone(&calls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async { axum::serve(listener, app).await });

    let milli = Duration::from_millis(1);
    let policy = ExponentialBackoff::builder().retry_bounds(milli, 2 * milli);
    let retry =
        RetryTransientMiddleware::new_with_policy(policy.build_with_max_retries(3));
    let client = reqwest::Client::builder().no_proxy().build();
    let client = reqwest_middleware::ClientBuilder::new(client.expect("no TLS"));
    let client = client.with(retry).build();
    for (status, expected) in [(200, 1), (404, 1), (429, 4), (503, 4)] {
        calls.store(0, Relaxed);
        let response = client
            .get(format!("http://{address}/{status}"))
            .send()
            .await;
        assert_eq!(response.expect("it answers").status(), status);
        assert_eq!(calls.load(Relaxed), expected, "{status}");
    }
}

#[test]
fn garde_0_23_reports_each_field_that_breaks_its_attribute() {
    use garde::Validate;

    #[derive(Validate)]
    struct Order {
        #[garde(length(min = 1))]
        article: String,
        #[garde(range(min = 1, max = 9))]
        pieces: u32,
    }

    let order = |article: &str, pieces| Order {
        article: article.to_owned(),
        pieces,
    };
    assert!(order("tea", 9).validate().is_ok());
    let report = order("", 10).validate().expect_err("both are wrong");
    let fields: Vec<_> = report.iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(fields, ["article", "pieces"]);
}

#[cfg(unix)]
#[test]
fn atomic_write_file_0_3_keeps_the_owner() -> std::io::Result<()> {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    use atomic_write_file::AtomicWriteFile;

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("settings");
    fs::write(&path, "old")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
    // Only root may give a file away.
    let _ = chown(&path, Some(1), Some(1));
    let before = fs::metadata(&path)?;

    let mut file = AtomicWriteFile::open(&path)?;
    file.write_all(b"half")?;
    drop(file);
    assert_eq!(fs::read(&path)?, b"old");

    let mut file = AtomicWriteFile::open(&path)?;
    file.write_all(b"new")?;
    file.commit()?;
    let after = fs::metadata(&path)?;
    assert_eq!(fs::read(&path)?, b"new");
    assert_ne!(after.ino(), before.ino(), "it is another file");
    let kept = |file: &fs::Metadata| (file.mode(), file.uid(), file.gid());
    assert_eq!(kept(&after), kept(&before));
    Ok(())
}

#[test]
fn secrecy_0_10_hides_a_secret_in_debug() {
    let password = secrecy::SecretString::from("hunter2");
    assert!(!format!("{password:?}").contains("hunter2"));
}

/// The thread that writes is held up, and the buffer has room for one line.
#[test]
fn tracing_appender_0_2_drops_lines_when_it_is_full() {
    use std::io::Write;
    use std::sync::mpsc::{Receiver, channel};

    use tracing_appender::non_blocking::NonBlockingBuilder;

    struct Blocked(Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let (release, released) = channel();
    let builder = NonBlockingBuilder::default().buffered_lines_limit(1);
    let (mut writer, _guard) = builder.finish(Blocked(released));
    for _ in 0..10 {
        writer.write_all(b"a line\n").expect("it never fails");
    }
    let dropped = writer.error_counter().dropped_lines();
    assert!((8..10).contains(&dropped), "{dropped}");
    drop(release);
}

#[test]
fn tracing_appender_0_2_writes_nothing_after_its_guard_is_dropped() {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let kept = Kept::default();
    let (mut writer, guard) = tracing_appender::non_blocking(kept.clone());
    writer.write_all(b"before\n").expect("it never fails");
    drop(guard);
    writer.write_all(b"after\n").expect("it never fails");
    // The thread has ended, and dropped its clone.
    while Arc::strong_count(&kept.0) > 1 {
        std::thread::yield_now();
    }
    assert_eq!(*kept.0.lock().expect("nobody panics"), b"before\n");
}

/// A server of the standard library and a client of `ureq`: no runtime, no await.
#[test]
fn ureq_3_5_needs_no_runtime() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::{BufRead, BufReader, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept()?;
        let mut lines = BufReader::new(client.try_clone()?).lines();
        while !lines.next().transpose()?.unwrap_or_default().is_empty() {}
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
    });
    assert!(tokio::runtime::Handle::try_current().is_err());
    let config = ureq::Agent::config_builder().proxy(None).build();
    let mut response = config.new_agent().get(url).call()?;
    assert_eq!(response.body_mut().read_to_string()?, "hello");
    server.join().expect("it does not panic")?;
    Ok(())
}

/// It follows `.gitignore` only inside a repository, and leaves out hidden files.
#[test]
fn ignore_0_4_lists_by_pattern_and_follows_gitignore() -> Result<(), ignore::Error> {
    use std::fs;

    use ignore::WalkBuilder;
    use ignore::overrides::OverrideBuilder;

    let folder = tempfile::tempdir()?;
    for name in ["a.txt", "b.log", "old.txt", ".hidden.txt"] {
        fs::write(folder.path().join(name), "")?;
    }
    fs::write(folder.path().join(".gitignore"), "old*\n")?;
    let list = || -> Result<Vec<_>, ignore::Error> {
        let patterns = OverrideBuilder::new(folder.path()).add("!*.log")?.build()?;
        let mut files = Vec::new();
        for entry in WalkBuilder::new(folder.path()).overrides(patterns).build() {
            let entry = entry?;
            if entry.file_type().is_some_and(|kind| kind.is_file()) {
                files.push(entry.file_name().to_owned());
            }
        }
        files.sort();
        Ok(files)
    };
    assert_eq!(list()?, ["a.txt", "old.txt"]);
    fs::create_dir(folder.path().join(".git"))?;
    assert_eq!(list()?, ["a.txt"]);
    Ok(())
}

/// A shell passes a socket as systemd does: from descriptor 3 on, with two variables.
#[cfg(unix)]
#[test]
fn listenfd_1_0_takes_the_listener_of_its_parent() -> std::io::Result<()> {
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process::Command;

    let name = "listenfd_1_0_takes_the_listener_of_its_parent";
    if std::env::var_os("LISTENFD_CHILD").is_some() {
        let listener = listenfd::ListenFd::from_env().take_unix_listener(0)?;
        let listener = listener.expect("the shell passes one");
        return listener.accept()?.0.write_all(b"hello");
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path)?;
    let script = r#"exec 3<&0; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$1""#;
    let mut server = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe()?)
        .arg(name)
        .env("LISTENFD_CHILD", "")
        .stdin(OwnedFd::from(listener))
        .stdout(std::process::Stdio::null())
        .spawn()?;
    let mut text = String::new();
    UnixStream::connect(&path)?.read_to_string(&mut text)?;
    assert_eq!(text, "hello");
    assert!(server.wait()?.success());
    Ok(())
}

mod rstest_0_26 {
    use rstest::{fixture, rstest};

    use super::*;

    #[fixture]
    async fn ten() -> u32 {
        sleep(DAY).await;
        10
    }

    #[rstest]
    #[case("case_1", 1, 11)]
    #[case("case_2", 2, 12)]
    #[tokio::test(start_paused = true)]
    async fn each_row_is_a_test_and_a_fixture_an_argument(
        #[future(awt)] ten: u32,
        #[case] name: &str,
        #[case] number: u32,
        #[case] sum: u32,
    ) {
        assert_eq!(ten + number, sum);
        let test = std::thread::current();
        assert!(test.name().is_some_and(|test| test.ends_with(name)));
    }
}
