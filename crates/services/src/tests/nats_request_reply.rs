use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::join_all;
use servers::Kind;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::support::{nats, poll_and_drop, private, soon, unique};
use crate::nats_request_reply::{CallError, Limits, call, serve};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);
const LIMITS: Limits = Limits {
    handlers: 2,
    runtime: MINUTE,
    drain: MINUTE,
};

/// A service that runs, and how many of its handlers run now, at most, and in all.
struct Service {
    stop: CancellationToken,
    task: JoinHandle<usize>,
    counts: Arc<[AtomicUsize; 3]>,
}

/// Leaves also when its task is aborted.
struct Inside(Arc<[AtomicUsize; 3]>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0[0].fetch_sub(1, SeqCst);
    }
}

impl Service {
    /// Echoes a number after so many milliseconds, panics at "panic", fails at "fail".
    async fn start(client: &Client, subject: &str, limits: Limits) -> Self {
        let counts: Arc<[AtomicUsize; 3]> = Arc::default();
        let count = Arc::clone(&counts);
        let handler = move |payload: Bytes| {
            let count = Arc::clone(&count);
            async move {
                count[1].fetch_max(count[0].fetch_add(1, SeqCst) + 1, SeqCst);
                count[2].fetch_add(1, SeqCst);
                let _inside = Inside(Arc::clone(&count));
                let text = String::from_utf8_lossy(&payload).into_owned();
                match text.as_str() {
                    "panic" => panic!("scheduled"),
                    "fail" => return Err("two\r\nlines: and a colon"),
                    "" => return Ok(payload),
                    millis => {
                        let millis = millis.parse().expect("a number");
                        sleep(Duration::from_millis(millis)).await;
                    }
                }
                Ok(payload)
            }
        };
        let stop = CancellationToken::new();
        let requests = client.queue_subscribe(subject.to_owned(), subject.into());
        let requests = requests.await.expect("a subject");
        let task = serve(client.clone(), requests, limits, stop.clone(), handler);
        let task = tokio::spawn(task);
        // From now on the server knows of it.
        client.flush().await.expect("it is connected");
        Self { stop, task, counts }
    }

    fn running(&self) -> usize {
        self.counts[0].load(SeqCst)
    }

    async fn runs(&self, handlers: usize) {
        let runs = async {
            while self.running() != handlers {
                sleep(TENTH / 20).await;
            }
        };
        soon(runs).await;
    }

    async fn stop(self) -> usize {
        self.stop.cancel();
        soon(self.task).await.expect("it does not panic")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn five_hundred_calls_of_three_instances() {
    let subject = unique("many");
    let mut services = Vec::new();
    for _ in 0..3 {
        services.push(Service::start(&nats().await, &subject, LIMITS).await);
    }
    let before: usize = services.iter().map(|it| it.counts[2].load(SeqCst)).sum();
    let client = nats().await;
    let mut calls = JoinSet::new();
    for number in 0..500 {
        let (client, subject) = (client.clone(), subject.clone());
        let payload = match number % 25 {
            3 => "panic".to_owned(),
            4 => "fail".to_owned(),
            _ => (number % 7).to_string(),
        };
        let limit = if payload == "panic" { TENTH } else { MINUTE };
        let task = calls.spawn(async move {
            match call(&client, subject, payload.clone(), limit).await {
                Ok(answer) => assert_eq!(answer, payload),
                Err(CallError::Failed(error)) => {
                    assert_eq!(
                        (payload.as_str(), error.as_str()),
                        ("fail", "two  lines: and a colon")
                    );
                }
                Err(CallError::TimedOut) => assert_eq!(payload, "panic"),
                Err(error) => panic!("{error}"),
            }
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    while let Some(called) = soon(calls.join_next()).await {
        assert!(called.is_ok() || called.is_err_and(|error| error.is_cancelled()));
    }
    let mut handled = 0;
    for service in services {
        let counts = Arc::clone(&service.counts);
        assert_eq!(service.stop().await, 0);
        assert_eq!(counts[0].load(SeqCst), 0);
        assert!(
            (1..=2).contains(&counts[1].load(SeqCst)),
            "at most two at once"
        );
        handled += counts[2].load(SeqCst);
    }
    // Of a call that was aborted, the request may never have been sent.
    assert!(
        (450..=500).contains(&(handled - before)),
        "each once: {handled}"
    );
    let nobody = call(&client, subject, "1", MINUTE).await;
    assert!(matches!(nobody, Err(CallError::NoResponders)), "{nobody:?}");
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn what_has_arrived_before_the_stop_is_answered() {
    let (client, subject) = (nats().await, unique("stop"));
    for (number, drain, expected) in [
        (0, MINUTE, 0),
        (1, MINUTE, 0),
        (31, MINUTE, 0),
        (5, TENTH, 2),
    ] {
        let limits = Limits { drain, ..LIMITS };
        let service = Service::start(&client, &subject, limits).await;
        let payload = if expected > 0 { "60000" } else { "20" };
        let limit = if expected > 0 { TENTH * 10 } else { MINUTE };
        let calls = tokio::spawn({
            let (client, subject) = (client.clone(), subject.clone());
            async move {
                let call = |_| call(&client, subject.as_str(), payload, limit);
                join_all((0..number).map(call)).await
            }
        });
        service.runs(number.min(2)).await;
        // The others wait in the subscription: the server has sent them before.
        client.flush().await.expect("it is connected");
        assert_eq!(service.stop().await, expected);
        let answers = calls.await.expect("it does not panic");
        let answered = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(
            answered,
            if expected > 0 { 0 } else { number },
            "{answers:?}"
        );
    }
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn a_handler_out_of_time_and_one_that_panics() {
    let (client, subject) = (nats().await, unique("limits"));
    for runtime in [TENTH, Duration::from_nanos(1)] {
        let limits = Limits { runtime, ..LIMITS };
        let service = Service::start(&client, &subject, limits).await;
        for _ in 0..5 {
            let late = call(&client, subject.as_str(), "60000", MINUTE).await;
            assert_eq!(late.expect_err("it is late").to_string(), "timed out");
        }
        let start = Instant::now();
        for limit in [Duration::ZERO, TENTH] {
            let panicked = call(&client, subject.as_str(), "panic", limit).await;
            assert!(matches!(panicked, Err(CallError::TimedOut)), "{panicked:?}");
        }
        assert!(start.elapsed() < MINUTE / 2);
        // Neither has kept a place.
        let last = call(&client, subject.as_str(), "", Duration::MAX).await;
        assert_eq!(last.expect("it answers"), "");
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn dropped_at_each_await() {
    let (client, subject) = (nats().await, unique("dropped"));
    let service = Service::start(&client, &subject, LIMITS).await;
    for polls in 0..20 {
        let calling = call(&client, subject.as_str(), "10", MINUTE);
        poll_and_drop(calling, polls).await;
        // The next call gets its own answer.
        let answer = soon(call(&client, subject.as_str(), "1", MINUTE)).await;
        assert_eq!(answer.expect("it answers"), "1");
    }
    // The handlers end with the service.
    let calling = call(&client, subject.as_str(), "60000", MINUTE);
    let mut calling = Box::pin(calling);
    assert!(calling.as_mut().now_or_never().is_none());
    let called = tokio::spawn({
        let (client, subject) = (client.clone(), subject.clone());
        async move { call(&client, subject, "60000", TENTH * 20).await }
    });
    service.runs(2).await;
    service.task.abort();
    service.runs(0).await;
    called.await.expect("no panic").expect_err("nobody answers");
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn a_server_that_hangs_and_one_that_comes_back() {
    let mut server = private(Kind::Nats).await;
    let client = async_nats::connect(server.url()).await.expect("it runs");
    let service = Service::start(&client, "back", LIMITS).await;
    server.pause();
    let start = Instant::now();
    let silent = call(&client, "back", "1", TENTH).await;
    assert!(matches!(silent, Err(CallError::TimedOut)), "{silent:?}");
    assert!(start.elapsed() < MINUTE / 2);
    server.resume();
    server.kill();
    let lost = call(&client, "back", "2", TENTH).await;
    assert!(matches!(lost, Err(CallError::TimedOut)), "{lost:?}");
    server.restart().expect("it starts again");
    // The client connects again, and subscribes again for the service.
    let again = async { while call(&client, "back", "3", MINUTE / 60).await.is_err() {} };
    soon(again).await;
    assert_eq!(service.stop().await, 0);
}

/// What readers do with it: in a struct, in a task, with an error type of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn changed_a_little() {
    #[derive(Debug, thiserror::Error)]
    enum AppError {
        #[error("the price is unknown: {0}")]
        Call(#[from] CallError),
        #[error("not a number")]
        Number(#[from] std::num::ParseIntError),
    }
    #[derive(Clone, Debug)]
    struct Prices {
        client: Client,
        subject: String,
    }
    impl Prices {
        async fn price(&self, item: &str) -> Result<u32, AppError> {
            let item = item.to_owned();
            let reply = call(&self.client, self.subject.as_str(), item, MINUTE).await?;
            Ok(String::from_utf8_lossy(&reply).parse()?)
        }
    }
    let (client, subject) = (nats().await, unique("prices"));
    let group = String::from("prices");
    let requests = client.queue_subscribe(subject.clone(), group).await;
    let table = Arc::new(std::collections::HashMap::from([
        ("tea", "3"),
        ("jam", "?"),
    ]));
    let look_up = move |item: Bytes| {
        let table = Arc::clone(&table);
        async move {
            let item = String::from_utf8_lossy(&item).into_owned();
            let price = table
                .get(item.as_str())
                .ok_or(AppError::Call(CallError::TimedOut));
            Ok::<_, AppError>(Bytes::from_static(price?.as_bytes()))
        }
    };
    let stop = CancellationToken::new();
    let requests = requests.expect("a subject");
    let service = serve(client.clone(), requests, LIMITS, stop.clone(), look_up);
    let service = tokio::spawn(service);
    let prices = Prices { client, subject };
    assert!(format!("{prices:?}").contains("prices"));
    let prices = Arc::new(prices);
    for (item, expected) in [
        ("tea", "3"),
        ("jam", "not a number"),
        (
            "pie",
            "the price is unknown: the price is unknown: timed out",
        ),
    ] {
        let prices = Arc::clone(&prices);
        let price = tokio::spawn(async move { prices.price(item).await }).await;
        let price = price.expect("it does not panic");
        let text =
            price.map_or_else(|error| error.to_string(), |price| price.to_string());
        assert_eq!(text, expected);
    }
    stop.cancel();
    assert_eq!(service.await.expect("it does not panic"), 0);
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn a_handler_that_panics_before_its_future_ends_only_its_call() {
    let (client, subject) = (nats().await, unique("early"));
    let requests = client.queue_subscribe(subject.clone(), subject.clone());
    let requests = requests.await.expect("a subject");
    let handler = |payload: Bytes| {
        let number: u32 = String::from_utf8_lossy(&payload).parse().expect("a number");
        async move { Ok::<Bytes, String>((number + 1).to_string().into()) }
    };
    let stop = CancellationToken::new();
    let service = serve(client.clone(), requests, LIMITS, stop.clone(), handler);
    let service = tokio::spawn(service);
    client.flush().await.expect("it runs");
    let bad = call(&client, &subject, "ten", 5 * TENTH).await;
    assert!(matches!(bad, Err(CallError::TimedOut)), "{bad:?}");
    let good = soon(call(&client, &subject, "10", MINUTE)).await;
    assert_eq!(good.expect("it runs on"), "11");
    stop.cancel();
    assert_eq!(soon(service).await.expect("it does not panic"), 0);
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn a_reply_that_is_too_long_is_an_error() {
    let (client, subject) = (nats().await, unique("long"));
    let requests = client.queue_subscribe(subject.clone(), subject.clone());
    let requests = requests.await.expect("a subject");
    let handler = |payload: Bytes| async move {
        let length = String::from_utf8_lossy(&payload).parse().expect("a number");
        match length {
            // An error of this length fits into no header.
            0 => Err("x".repeat(2_000_000)),
            _ => Ok(Bytes::from(vec![0; length])),
        }
    };
    let stop = CancellationToken::new();
    let service = serve(client.clone(), requests, LIMITS, stop.clone(), handler);
    let service = tokio::spawn(service);
    client.flush().await.expect("it runs");
    let largest = client.max_payload();
    let reply = soon(call(&client, &subject, largest.to_string(), MINUTE)).await;
    assert_eq!(reply.expect("it fits").len(), largest);
    for (length, expected) in [(largest + 1, "Payload size limit"), (0, "xxx")] {
        let reply = soon(call(&client, &subject, length.to_string(), MINUTE)).await;
        let error = reply.expect_err("it does not fit").to_string();
        assert!(error.contains(expected), "{error}");
    }
    stop.cancel();
    soon(service).await.expect("it does not panic");
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn if_the_client_is_closed_it_returns_before_the_stop() {
    let (client, subject) = (nats().await, unique("closed"));
    let service = Service::start(&client, &subject, LIMITS).await;
    client.drain().await.expect("it is connected");
    assert_eq!(soon(service.task).await.expect("no panic"), 0);
    assert!(!service.stop.is_cancelled());
}

/// One handler is busy, and two requests fit into the `Subscriber`.
#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn requests_that_do_not_fit_are_dropped_and_their_callers_time_out() {
    let server = private(Kind::Nats).await;
    let options = async_nats::ConnectOptions::new().subscription_capacity(2);
    let small = options.connect(server.url()).await.expect("it runs");
    let limits = Limits {
        handlers: 1,
        ..LIMITS
    };
    let service = Service::start(&small, "small", limits).await;
    let client = async_nats::connect(server.url()).await.expect("it runs");
    let first = tokio::spawn({
        let client = client.clone();
        async move { call(&client, "small", "4000", MINUTE).await }
    });
    service.runs(1).await;
    let calls = (0..20).map(|_| call(&client, "small", "", 80 * TENTH));
    let answers = join_all(calls).await;
    let (answered, late): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.is_ok());
    let timed_out = |it: &&Result<_, _>| matches!(it, Err(CallError::TimedOut));
    assert!(late.iter().all(timed_out), "{late:?}");
    // As long as the first one runs, there is no room for more than two.
    assert!(answered.len() < 20, "all were answered");
    assert!(soon(first).await.expect("no panic").is_ok());
    let handled = service.counts[2].load(SeqCst);
    assert_eq!(handled, 1 + answered.len(), "no other one is handled");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn a_dropped_call_does_not_stop_its_handler() {
    let (client, subject) = (nats().await, unique("goes_on"));
    let requests = client.queue_subscribe(subject.clone(), subject.clone());
    let requests = requests.await.expect("a subject");
    let (begin, begun) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = tokio::sync::oneshot::channel();
    let (end, ended) = tokio::sync::oneshot::channel();
    let once = std::sync::Mutex::new(Some((begin, may_go_on, end)));
    let handler = move |_: Bytes| {
        let (begin, may_go_on, end) = once.lock().expect("sound").take().expect("one");
        async move {
            begin.send(()).expect("the test waits");
            may_go_on.await.expect("the test tells");
            end.send(()).expect("the test waits");
            Ok::<Bytes, String>(Bytes::new())
        }
    };
    let stop = CancellationToken::new();
    let service = serve(client.clone(), requests, LIMITS, stop.clone(), handler);
    let service = tokio::spawn(service);
    client.flush().await.expect("it runs");
    let calls = client.clone();
    let caller = tokio::spawn(async move { call(&calls, subject, "", MINUTE).await });
    soon(begun).await.expect("it begins");
    caller.abort();
    assert!(caller.await.is_err());
    go_on.send(()).expect("it runs on");
    soon(ended).await.expect("it ends");
    stop.cancel();
    assert_eq!(soon(service).await.expect("no panic"), 0);
}
