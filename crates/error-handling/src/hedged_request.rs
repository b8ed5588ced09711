//! Hedged requests: send a second request when the answer is late, take the first answer.
//!
//! The second attempt starts after a delay, or at once when the first fails. The loser is
//! dropped before the function returns. Both are futures of one task, so they may borrow
//! and need not be `Send`. In asyncio they are tasks, to be cancelled and awaited.
//!
//! Bounds: two attempts. Their time is unbounded: put a `timeout` around the call.
//!
//! Trap: the server still handles the request that was dropped. Hedge only idempotent
//! requests, and remember that a slow service gets even more of them.
//!
//! Trap: "cannot move out of `order`, a captured variable in an `FnMut` closure": clone
//! it for each attempt.
//!
//! In production: `tower`'s `Hedge` takes the delay from the latencies that it measures.
//!
//! See also: `retry`, `fallback`.
//!
//! asyncio: asyncio.wait, asyncio.as_completed, asyncio.Task.cancel, ExceptionGroup

use std::pin::pin;
use std::time::Duration;

use tokio::select;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// Both attempts failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("both attempts failed: {first}; {second}")]
pub struct BothFailed<E> {
    /// The error of the first attempt, even if it ended last.
    pub first: E,
    pub second: E,
}

/// Sends a request, and a second one when the first fails or is late. Returns the value
/// of the first that succeeds.
///
/// Any error starts the second attempt at once. Let the request return permanent errors,
/// such as "no such item", inside the `Ok`.
///
/// A `delay` of zero sends both requests, unless the first is ready at once.
/// `Duration::MAX` sends the second only after an error. Both run in the caller's task.
/// Dropping the future drops both. The loser is dropped before this returns.
///
/// See J. Dean and L. A. Barroso, "The Tail at Scale", 2013.
///
/// # Errors
///
/// [`BothFailed`], with both errors.
///
/// # Panics
///
/// When a request does; the other one is dropped. Outside of a Tokio runtime.
pub async fn hedged<T, E, F, Fut>(
    delay: Duration,
    mut request: F,
) -> Result<T, BothFailed<E>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut first = pin!(request());
    let ended = select! {
        biased;
        result = &mut first => Some(result),
        () = sleep(delay) => None,
    };
    let first_error = match ended {
        Some(Ok(value)) => return Ok(value),
        Some(Err(error)) => Some(error),
        None => None,
    };
    let mut second = pin!(request());
    let (first, second) = if let Some(first) = first_error {
        (Err(first), second.await)
    } else {
        select! {
            biased;
            result = &mut first => match result {
                Ok(value) => return Ok(value),
                failed => (failed, second.await),
            },
            result = &mut second => match result {
                Ok(value) => return Ok(value),
                failed => (first.await, failed),
            },
        }
    };
    match (first, second) {
        (Ok(value), _) | (_, Ok(value)) => Ok(value),
        (Err(first), Err(second)) => Err(BothFailed { first, second }),
    }
}

/// Prints when it is closed, after an answer or by a drop.
struct Connection(&'static str);

impl Connection {
    fn open(host: &'static str) -> Self {
        println!("{host} is asked");
        Self(host)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        println!("{} closed", self.0);
    }
}

/// What a host says, and after how many milliseconds.
type Script = (u64, Result<u32, &'static str>);

async fn ask(host: &'static str, (millis, answer): Script) -> Result<String, String> {
    let _connection = Connection::open(host);
    sleep(Duration::from_millis(millis)).await;
    match answer {
        Ok(price) => Ok(format!("{price} from {host}")),
        Err(error) => Err(format!("{host}: {error}")),
    }
}

/// The same service on two hosts.
pub struct Prices {
    delay: Duration,
    hosts: [(&'static str, Script); 2],
}

impl Prices {
    /// Sends the first attempt to the first host, and the second to the other.
    async fn price(&self) -> Result<String, BothFailed<String>> {
        let mut hosts = self.hosts.into_iter();
        let request = || {
            let (host, script) = hosts.next().expect("there are at most two attempts");
            ask(host, script)
        };
        hedged(self.delay, request).await
    }
}

/// Asks a server to charge a card. It does so in a task of its own, as servers do.
async fn charge(
    servers: &TaskTracker,
    host: &'static str,
    millis: u64,
) -> Result<String, JoinError> {
    let server = servers.spawn(async move {
        sleep(Duration::from_millis(millis)).await;
        println!("the card is charged by {host}");
        format!("receipt from {host}")
    });
    server.await
}

pub async fn run() {
    let delay = Duration::from_millis(200);
    let scripts: [(&str, Script, Script); 6] = [
        ("The first answers in time:", (100, Ok(7)), (0, Ok(9))),
        ("The second is quicker:", (500, Ok(7)), (100, Ok(9))),
        (
            "The first is late and still quicker:",
            (300, Ok(7)),
            (200, Ok(9)),
        ),
        ("The first fails:", (100, Err("unreachable")), (100, Ok(9))),
        ("The second fails:", (400, Ok(7)), (100, Err("busy"))),
        ("Both fail:", (400, Err("unreachable")), (100, Err("busy"))),
    ];
    for (phase, first, second) in scripts {
        println!("{phase}");
        let hosts = [("alpha", first), ("beta", second)];
        match (Prices { delay, hosts }).price().await {
            Ok(price) => println!("{price}"),
            Err(error) => println!("{error}"),
        }
    }

    println!("The caller times out after 0.3 s:");
    let hosts = [("alpha", (500, Ok(7))), ("beta", (500, Ok(9)))];
    let prices = Prices { delay, hosts };
    let patience = Duration::from_millis(300);
    if timeout(patience, prices.price()).await.is_err() {
        println!("gave up");
    }

    println!("What should not be done twice:");
    let servers = TaskTracker::new();
    let mut hosts = [("alpha", 400), ("beta", 100)].into_iter();
    let request = || {
        let (host, millis) = hosts.next().expect("there are at most two attempts");
        charge(&servers, host, millis)
    };
    match hedged(delay, request).await {
        Ok(receipt) => println!("{receipt}"),
        Err(error) => println!("{error}"),
    }
    servers.close();
    servers.wait().await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
