use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

use super::support::poll_and_drop;
use crate::hedged_request::{BothFailed, hedged};

/// Nothing takes that long, unless something hangs.
const LONG: Duration = Duration::from_secs(120);
const TICK: Duration = Duration::from_millis(1);

/// Counts the tries that have begun, and those that run.
#[derive(Default)]
struct Tries {
    begun: AtomicUsize,
    running: AtomicUsize,
}

struct Running<'a>(&'a Tries);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl Tries {
    /// Takes some ticks, and ends with the number of the try, 0 or 1.
    async fn next(&self, scripts: [(u32, bool); 2]) -> Result<usize, usize> {
        let number = self.begun.fetch_add(1, SeqCst);
        self.running.fetch_add(1, SeqCst);
        let _running = Running(self);
        let (ticks, succeeds) = scripts[number % 2];
        if ticks > 0 {
            sleep(ticks * TICK).await;
        }
        if succeeds { Ok(number) } else { Err(number) }
    }
}

/// All pairs of tries that take some ticks and end well or not.
fn all_scripts() -> impl Iterator<Item = [(u32, bool); 2]> {
    let all = (0..8).flat_map(|ticks| [(ticks, true), (ticks, false)]);
    all.clone()
        .flat_map(move |first| all.clone().map(move |second| [first, second]))
}

/// What is to come of it, after how many ticks, and how many tries it takes.
fn expected(
    delay: u32,
    [(first, first_succeeds), (second, second_succeeds)]: [(u32, bool); 2],
) -> (Result<usize, BothFailed<usize>>, u32, usize) {
    if first <= delay && first_succeeds {
        return (Ok(0), first, 1);
    }
    let (first_end, second_end) = (first, first.min(delay) + second);
    let both_failed = BothFailed {
        first: 0,
        second: 1,
    };
    match (first_succeeds, second_succeeds) {
        (true, true) if first_end <= second_end => (Ok(0), first_end, 2),
        (true, false) => (Ok(0), first_end, 2),
        (_, true) => (Ok(1), second_end, 2),
        (false, false) => (Err(both_failed), first_end.max(second_end), 2),
    }
}

#[tokio::test(start_paused = true)]
async fn every_way_it_can_go() {
    for delay in 1..5 {
        for scripts in all_scripts() {
            let tries = Tries::default();
            let start = Instant::now();
            let result = hedged(delay * TICK, || tries.next(scripts)).await;
            assert_eq!(tries.running.load(SeqCst), 0, "no try runs on");
            let ticks = start.elapsed().as_millis() as u32;
            let found = (result, ticks, tries.begun.load(SeqCst));
            assert_eq!(found, expected(delay, scripts), "{delay} {scripts:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for scripts in all_scripts() {
        let mut completed = false;
        for polls in 0..25 {
            let tries = Tries::default();
            let request = hedged(3 * TICK, || tries.next(scripts));
            completed |= poll_and_drop(request, polls as usize).await.is_some();
            assert_eq!(tries.running.load(SeqCst), 0, "{scripts:?} {polls}");
            assert_eq!(tries.begun.load(SeqCst) == 0, polls == 0);
        }
        assert!(completed, "25 polls are enough");
    }
}

#[tokio::test(start_paused = true)]
async fn limits() {
    let start = Instant::now();
    let tries = Tries::default();
    let long = [(1000, true), (500, true)];
    let result = hedged(Duration::ZERO, || tries.next(long)).await;
    assert_eq!(result, Ok(1), "both at once");
    assert!(start.elapsed() <= 502 * TICK);

    let tries = Tries::default();
    let result = hedged(Duration::ZERO, || tries.next([(0, true), (0, true)])).await;
    assert_eq!(
        (result, tries.begun.load(SeqCst)),
        (Ok(0), 1),
        "ready at once"
    );

    for (succeeds, begun) in [(true, 1), (false, 2)] {
        let tries = Tries::default();
        let scripts = [(1_000_000, succeeds), (1, true)];
        let result = hedged(Duration::MAX, || tries.next(scripts)).await;
        assert_eq!(result, Ok(begun - 1));
        assert_eq!(tries.begun.load(SeqCst), begun);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let running = Arc::new(Tries::default());
    let mut set = JoinSet::new();
    for number in 0..10_000_u64 {
        let running = Arc::clone(&running);
        let task = set.spawn(async move {
            let mut begun = 0;
            let delay = Duration::from_micros(number % 3000);
            let result = hedged(delay, || {
                begun += 1;
                let (number, running) = (number + 7 * begun, &running);
                async move {
                    running.running.fetch_add(1, SeqCst);
                    let _running = Running(running);
                    sleep(Duration::from_micros(number % 4000)).await;
                    if number % 5 == 0 {
                        Err(number)
                    } else {
                        Ok(number)
                    }
                }
            });
            let is_failure = result.await.is_err();
            (begun, is_failure)
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let (mut ended, mut twice) = (0, 0);
    while let Some(outcome) = timeout(LONG, set.join_next()).await.expect("no hang") {
        if let Ok((begun, is_failure)) = outcome {
            assert!(begun == 1 && !is_failure || begun == 2);
            ended += 1;
            twice += usize::from(begun == 2);
        }
    }
    assert!(ended >= 9000 && twice > 0 && twice < ended);
    assert_eq!(running.running.load(SeqCst), 0, "no try runs on");
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_in_the_caller() {
    // The first try, the second, the closure itself.
    for panics in 0..3 {
        let tries = Arc::new(Tries::default());
        let shared = Arc::clone(&tries);
        let task = tokio::spawn(async move {
            let ticks = |number| if number == panics { 6 } else { 50 };
            let scripts = [(ticks(0), true), (ticks(1), true)];
            let mut requests = 0;
            let request = || {
                requests += 1;
                assert!(panics != 2 || requests == 1, "no second request");
                async {
                    let ended = shared.next(scripts).await;
                    assert!(ended != Ok(panics), "scheduled");
                    ended
                }
            };
            hedged(2 * TICK, request).await
        });
        let ended = timeout(LONG, task).await.expect("it ends");
        assert!(ended.is_err_and(|error| error.is_panic()), "{panics}");
        assert_eq!(tries.running.load(SeqCst), 0, "no try runs on");
    }
}

struct Client {
    hosts: [String; 2],
}

impl Client {
    async fn fetch(&self, path: &str) -> Result<String, BothFailed<String>> {
        let mut hosts = self.hosts.iter();
        let mut asked = 0;
        hedged(TICK, || {
            asked += 1;
            let host = hosts.next().expect("there are at most two tries");
            async move {
                sleep(6 * TICK / asked / asked).await;
                match path {
                    "gone" => Err(format!("{path} is not on {host}")),
                    _ => Ok(format!("{path} from {host}")),
                }
            }
        })
        .await
    }
}

fn client() -> Arc<Client> {
    let hosts = ["alpha".to_string(), "beta".to_string()];
    Arc::new(Client { hosts })
}

#[tokio::test(start_paused = true)]
async fn in_a_struct_in_a_task() {
    let client = client();
    let task = tokio::spawn(async move { client.fetch("prices").await });
    let result = timeout(LONG, task)
        .await
        .expect("it ends")
        .expect("it does not panic");
    assert_eq!(result.as_deref(), Ok("prices from beta"));
}

#[tokio::test(start_paused = true)]
async fn in_an_axum_handler() {
    async fn handler(
        State(client): State<Arc<Client>>,
        path: axum::extract::Path<String>,
    ) -> Result<String, (StatusCode, String)> {
        let result = client.fetch(&path).await;
        result.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
    }

    let app = Router::new()
        .route("/{path}", get(handler))
        .with_state(client());
    for (path, status, text) in [
        ("/prices", 200, "prices from beta"),
        (
            "/gone",
            502,
            "both attempts failed: gone is not on alpha; gone is not on beta",
        ),
    ] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = app.clone().oneshot(request).await.expect("a response");
        assert_eq!(response.status(), status);
        let body = to_bytes(response.into_body(), 1000).await.expect("a body");
        assert_eq!(body, text);
    }
}

#[tokio::test]
async fn what_is_not_send_and_an_error_of_any_kind() {
    let counter = std::rc::Rc::new(std::cell::Cell::new(0));
    let result = hedged(TICK, || {
        counter.set(counter.get() + 1);
        ready(Err::<(), _>(std::rc::Rc::clone(&counter)))
    });
    assert!(result.await.is_err());
    assert_eq!(counter.get(), 2);
}
