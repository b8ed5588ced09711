//! Which crate for retry, rate limit, cache, connection pool, timeouts: five in use.
//!
//! This project writes such parts by hand, to show how they work and where they break.
//! For production take a crate that many use, and know where it is unlike ours. backon
//! (for `retry`) counts retries, not calls, and without `when` it repeats what cannot
//! succeed, too. governor (`token_bucket`) lets a burst through and then the rate, which
//! is nearly twice the limit in one window; a strict one is `sliding_window`. moka
//! (`ttl_cache`) shares a load, but runs it in the caller: if that one leaves, another
//! begins anew. deadpool (`connection_pool`) waits for ever unless it is given a limit. A
//! timeout of tower begins when the service is ready, so it leaves out the wait at a
//! limit below it. governor and moka read the real clock, also in a test with a paused
//! one; backon and tower obey Tokio's.
//!
//! asyncio: asyncio.Semaphore, asyncio.timeout, asyncio.sleep, asyncio.gather
//! clock: real
//! twin: none (it is about crates, which have no counterparts in the standard library)

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Pool, RecycleError, RecycleResult};
use futures::future::join_all;
use governor::{Quota, RateLimiter};
use moka::future::Cache;
use tokio::join;
use tokio::time::{interval, sleep, timeout};
use tower::{ServiceBuilder, ServiceExt};

type Failure = Box<dyn Error + Send + Sync>;

pub const TENTH: Duration = Duration::from_millis(100);
const BURST: NonZeroU32 = NonZeroU32::new(5).expect("it is not 0");

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("busy")]
    Busy,
    #[error("refused")]
    Refused,
}

/// Three retries, 0.1, 0.2 and 0.4 s apart; `with_jitter` spreads them.
async fn with_backon(result: Result<(), CallError>) -> Result<(), CallError> {
    let delays = ExponentialBuilder::default();
    let delays = delays.with_min_delay(TENTH).with_max_times(3);
    let call = || async move {
        println!("called");
        result
    };
    call.retry(delays)
        .when(|error| *error == CallError::Busy)
        .await
}

/// Five in a second, or so it looks: how many of twenty get through in 0.9 s.
async fn with_governor() -> usize {
    let quota = Quota::with_period(2 * TENTH).expect("it is not zero");
    let limiter = RateLimiter::direct(quota.allow_burst(BURST));
    let through = AtomicUsize::new(0);
    let calls = join_all((0..20).map(|_| async {
        limiter.until_ready().await;
        through.fetch_add(1, Ordering::Relaxed)
    }));
    // Twenty take longer, so it always times out.
    let _ = timeout(9 * TENTH, calls).await;
    through.into_inner()
}

/// A price, from the cache or loaded. Failures are not kept.
async fn price(
    cache: &Cache<u32, u32>,
    loads: &AtomicUsize,
) -> Result<u32, Arc<CallError>> {
    let load = async {
        loads.fetch_add(1, Ordering::Relaxed);
        sleep(2 * TENTH).await;
        Ok(250)
    };
    cache.try_get_with(1, load).await
}

/// How often three who ask at once load the price, when the first has so much patience.
async fn with_moka(patience: Duration) -> usize {
    let minute = Duration::from_secs(60);
    let builder = Cache::builder().max_capacity(100).time_to_live(minute);
    let (cache, loads) = (&builder.build(), &AtomicUsize::new(0));
    let first = async {
        match timeout(patience, price(cache, loads)).await {
            Ok(price) => println!("first: {price:?}"),
            Err(_) => println!("first: gave up"),
        }
    };
    let second = async { println!("second: {:?}", price(cache, loads).await) };
    let third = async { println!("third: {:?}", price(cache, loads).await) };
    join!(biased; first, second, third);
    loads.load(Ordering::Relaxed)
}

/// Opens connections, and says which of them can be used again.
pub struct Connections {
    pub(crate) opened: AtomicUsize,
}

pub struct Connection {
    number: usize,
    broken: bool,
}

impl Manager for Connections {
    type Type = Connection;
    type Error = CallError;

    async fn create(&self) -> Result<Connection, CallError> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let broken = false;
        Ok(Connection { number, broken })
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        _metrics: &Metrics,
    ) -> RecycleResult<CallError> {
        println!("testing connection {}", connection.number);
        match connection.broken {
            true => Err(RecycleError::message("broken")),
            false => Ok(()),
        }
    }
}

/// Takes a connection, and breaks it or not.
pub async fn use_one(pool: &Pool<Connections>, user: &str, breaks: bool) {
    match pool.get().await {
        Ok(mut connection) => {
            println!("{user} has connection {}", connection.number);
            // Whoever is cancelled here leaves it with an answer that may still come.
            connection.broken = true;
            sleep(2 * TENTH).await;
            connection.broken = breaks;
            // Here it goes back to the pool.
        }
        Err(error) => println!("{user}: {error}"),
    }
}

async fn with_deadpool() -> Result<(), Failure> {
    let opened = AtomicUsize::new(0);
    let builder = Pool::builder(Connections { opened }).max_size(2);
    // A limit in time needs the runtime to be named.
    let builder = builder.runtime(Runtime::Tokio1).wait_timeout(Some(TENTH));
    let pool = builder.build()?;
    join!(
        use_one(&pool, "ada", true),
        use_one(&pool, "bob", false),
        use_one(&pool, "eve", false),
    );
    sleep(TENTH).await;
    use_one(&pool, "eve", false).await;
    Ok(())
}

pub async fn greet(name: String) -> Result<String, CallError> {
    sleep(2 * TENTH).await;
    Ok(format!("hello {name}"))
}

/// Three calls of 0.2 s, one at a time, and 0.3 s for each: in tower, or around it.
async fn with_tower(in_tower: bool) {
    let limit = 3 * TENTH;
    let limited = ServiceBuilder::new().concurrency_limit(1).service_fn(greet);
    let timed = ServiceBuilder::new()
        .timeout(limit)
        .service(limited.clone());
    let calls = ["ada", "bob", "eve"].map(|name| {
        let (timed, limited) = (timed.clone(), limited.clone());
        async move {
            let answer = if in_tower {
                timed.oneshot(name.to_owned()).await
            } else {
                let answer = timeout(limit, limited.oneshot(name.to_owned())).await;
                answer.map_err(Failure::from).and_then(|answer| Ok(answer?))
            };
            match answer {
                Ok(answer) => println!("{name}: {answer}"),
                Err(error) => println!("{name}: {error}"),
            }
        }
    });
    join_all(calls).await;
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at its time, however late the one before it ended.
    let mut part = interval(Duration::from_secs(1));

    for answer in [Err(CallError::Busy), Err(CallError::Refused)] {
        part.tick().await;
        println!("backon, with three retries:");
        if let Err(error) = with_backon(answer).await {
            println!("{error}");
        }
    }

    part.tick().await;
    println!("governor, with a burst of five and one more each 0.2 s:");
    println!("{} of 20 within 0.9 s", with_governor().await);

    for patience in [5 * TENTH, TENTH] {
        part.tick().await;
        println!("moka, three at once, and the first waits for {patience:?}:");
        println!("loads: {}", with_moka(patience).await);
    }

    part.tick().await;
    println!("deadpool, with two connections for three:");
    with_deadpool().await?;

    part.tick().await;
    println!("tower, with a timeout of 0.3 s above a limit of one:");
    with_tower(true).await;

    part.tick().await;
    println!("The same timeout around the call:");
    with_tower(false).await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
