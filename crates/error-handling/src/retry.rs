//! Retry with exponential back-off and jitter: a function, in Python often a decorator.
//!
//! A future runs once, as a coroutine does, so each try needs a new one: `retry` takes a
//! closure that makes it. What the closure changes, it changes before its `async` block
//! ("captured variable cannot escape `FnMut` closure body"). The trap is the pace:
//! clients that failed together come back together, and fail again; with jitter each
//! pauses for another time. A function says which errors are worth a try. The time limit
//! does not cut off a try that hangs: put a `timeout` into the closure, and retry only
//! what may be done twice, for what was cut off may be done all the same. The crate
//! `backon` does more: a hook that logs each pause, blocking functions, other runtimes.
//!
//! asyncio: asyncio.sleep, asyncio.timeout, asyncio.gather, except, raise
//! asyncio: asyncio.Lock.locked

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};

/// How often, how long and at which pace to try. Many calls may share one, by reference
/// or in an `Arc`.
pub struct Policy {
    /// How many tries there are in all, the first included. Not 0.
    pub tries: u32,
    /// No pause is begun that would end later than this after the first try began;
    /// `Duration::MAX` for no such limit.
    pub within: Duration,
    /// The pauses between the tries.
    pub pauses: Pauses,
}

/// How long to pause after a try that failed.
pub enum Pauses {
    /// Always the same.
    Fixed(Duration),
    /// Any number of whole milliseconds from 0 up to a bound, which is `first` after the
    /// first try and doubles with each, up to `longest`: exponential back-off with "full
    /// jitter" (Marc Brooker, Exponential Backoff And Jitter, AWS Architecture Blog).
    Jitter {
        /// The longest pause after the first try.
        first: Duration,
        /// The longest pause at all.
        longest: Duration,
        /// Where the numbers come from.
        random: SplitMix64,
    },
}

/// A generator of pseudo-random numbers: SplitMix64 (Steele, Lea and Flood, 2014). Not
/// for secrets. Tasks and threads may share one, and draw different numbers.
pub struct SplitMix64(AtomicU64);

/// Whether an error is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another try would fail as well.
    GiveUp,
    /// Another try may succeed.
    TryAgain,
    /// Another try may succeed, but not before so much time, as in `Retry-After` of HTTP.
    /// A longer fixed pause is kept. Jitter is added, so that not all who were told the
    /// same come back together.
    TryAfter(Duration),
}

/// Why there was no other try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The verdict was to give up.
    Useless,
    /// That was the last of [`Policy::tries`].
    LastTry,
    /// The pause would have ended after [`Policy::within`].
    NoTime,
}

/// All tries failed. `source` is not set, as not all that can be returned as an error is
/// an `Error`; the text holds that of the last error, and the field the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaveUp<E> {
    /// Why there was no other try.
    pub why: Why,
    /// How many tries there were.
    pub tries: u32,
    /// The error of the last try.
    pub error: E,
}

impl<E: fmt::Display> fmt::Display for GaveUp<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Useless => "another would not help",
            Why::LastTry => "there are no more",
            Why::NoTime => "there is no time for another",
        };
        write!(f, "gave up after try {}, {why}: {}", self.tries, self.error)
    }
}

impl<E: fmt::Debug + fmt::Display> Error for GaveUp<E> {}

/// Calls until a try succeeds, pausing in between, or the policy or `judge` end it.
///
/// The first try begins at once. It takes a closure that makes a future, `|| fetch(url)`,
/// and not an `AsyncFnMut`: with that, a call that borrows does not compile in a spawned
/// task ("implementation of `Send` is not general enough").
///
/// Dropped at an await, it drops the try that runs and makes no other. `judge` is called
/// once after each try that failed, and so is the place to log it.
///
/// # Errors
///
/// [`GaveUp`], with the error of the last try. Those of the earlier ones are dropped.
///
/// # Panics
///
/// If the policy has 0 tries; and when `call`, its future or `judge` do, without another
/// try.
pub async fn retry<T, E, Fut>(
    policy: &Policy,
    mut judge: impl FnMut(&E) -> Verdict,
    mut call: impl FnMut() -> Fut,
) -> Result<T, GaveUp<E>>
where
    Fut: Future<Output = Result<T, E>>,
{
    assert!(policy.tries > 0, "with 0 tries nothing would be called");
    let start = Instant::now();
    let mut tries = 0;
    loop {
        tries += 1;
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match policy.pause(tries, start.elapsed(), judge(&error)) {
            Ok(pause) => {
                // It may hold on to a connection.
                drop(error);
                sleep(pause).await;
            }
            Err(why) => return Err(GaveUp { why, tries, error }),
        }
    }
}

impl Policy {
    /// The pause after so many tries, which took so much time in all.
    fn pause(
        &self,
        tries: u32,
        spent: Duration,
        verdict: Verdict,
    ) -> Result<Duration, Why> {
        let shortest = match verdict {
            Verdict::GiveUp => return Err(Why::Useless),
            Verdict::TryAgain => Duration::ZERO,
            Verdict::TryAfter(shortest) => shortest,
        };
        if tries >= self.tries {
            return Err(Why::LastTry);
        }
        let pause = self.pauses.after(tries, shortest);
        if spent.saturating_add(pause) > self.within {
            return Err(Why::NoTime);
        }
        Ok(pause)
    }
}

impl Pauses {
    pub(crate) fn after(&self, tries: u32, shortest: Duration) -> Duration {
        match self {
            Self::Fixed(pause) => shortest.max(*pause),
            Self::Jitter {
                first,
                longest,
                random,
            } => {
                let doubled = first.saturating_mul(2_u32.saturating_pow(tries - 1));
                let bound = doubled.min(*longest).as_millis();
                let bound = u64::try_from(bound).unwrap_or(u64::MAX);
                shortest.saturating_add(Duration::from_millis(random.up_to(bound)))
            }
        }
    }
}

/// With another seed each time, from the system: what production wants.
impl Default for SplitMix64 {
    fn default() -> Self {
        Self::new(RandomState::new().hash_one(0))
    }
}

impl SplitMix64 {
    /// Two generators of one seed give the same numbers, which is good for a test or a
    /// demonstration. Elsewhere let no two processes have the same: `default()`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to this one.
    pub(crate) fn up_to(&self, most: u64) -> u64 {
        let product = u128::from(self.next()) * (u128::from(most) + 1);
        (product >> 64) as u64
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ShopError {
    Unavailable,
    NotFound,
    TooMany { retry_after: Duration },
    NoAnswer,
}

impl fmt::Display for ShopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable => f.write_str("503 Service Unavailable"),
            Self::NotFound => f.write_str("404 Not Found"),
            Self::TooMany { retry_after } => {
                let millis = retry_after.as_millis();
                write!(f, "429 Too Many Requests, come back after {millis} ms")
            }
            Self::NoAnswer => f.write_str("no answer"),
        }
    }
}

impl Error for ShopError {}

/// Which errors are worth another try.
fn judge(error: &ShopError) -> Verdict {
    match error {
        ShopError::Unavailable | ShopError::NoAnswer => Verdict::TryAgain,
        ShopError::TooMany { retry_after } => Verdict::TryAfter(*retry_after),
        ShopError::NotFound => Verdict::GiveUp,
    }
}

/// After how many milliseconds an order is confirmed, or an error.
type Answer = Result<u64, ShopError>;

/// A shop that answers as it was told to, and then confirms after 100 ms.
struct Shop {
    answers: Mutex<VecDeque<Answer>>,
    orders: AtomicU32,
}

impl Shop {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Mutex::new(answers.into_iter().collect()),
            orders: AtomicU32::new(0),
        }
    }

    async fn order(&self) -> Result<String, ShopError> {
        let answer = {
            let answers = self.answers.lock();
            // Each call leaves it whole, so a panic elsewhere spoils nothing.
            answers.unwrap_or_else(PoisonError::into_inner).pop_front()
        };
        match answer.unwrap_or(Ok(100)) {
            Ok(millis) => {
                let number = self.orders.fetch_add(1, Relaxed) + 1;
                sleep(Duration::from_millis(millis)).await;
                Ok(format!("order {number} confirmed"))
            }
            Err(error) => {
                sleep(Duration::from_millis(100)).await;
                Err(error)
            }
        }
    }

    /// Orders, for so long at most, and says what came of it.
    async fn try_order(&self, number: u32, patience: Duration) -> Result<(), ShopError> {
        let answer = timeout(patience, self.order()).await;
        match answer.unwrap_or(Err(ShopError::NoAnswer)) {
            Ok(order) => {
                println!("try {number}: {order}");
                Ok(())
            }
            Err(error) => {
                println!("try {number}: {error}");
                Err(error)
            }
        }
    }
}

/// Orders as often as the policy allows.
async fn order(policy: &Policy, shop: &Shop, patience: Duration) {
    let mut number = 0;
    let ordered = retry(policy, judge, || {
        number += 1;
        shop.try_order(number, patience)
    });
    if let Err(gave_up) = ordered.await {
        println!("{gave_up}");
    }
}

/// A counter that serves one client at a time, for 150 ms, and turns away the others.
#[derive(Default)]
struct Counter(tokio::sync::Mutex<()>);

impl Counter {
    async fn visit(&self, client: &str) -> Result<(), ShopError> {
        let Ok(_served) = self.0.try_lock() else {
            println!("{client} is turned away");
            return Err(ShopError::Unavailable);
        };
        sleep(Duration::from_millis(150)).await;
        println!("{client} was served");
        Ok(())
    }
}

/// All clients come at once, each with its own policy.
async fn visit_all(pauses: impl IntoIterator<Item = Pauses>) {
    let counter = Counter::default();
    let clients = ["Ann", "Bob", "Cy", "Dee"].into_iter().zip(pauses);
    let visits = clients.map(async |(client, pauses)| {
        let policy = Policy {
            tries: 3,
            within: Duration::MAX,
            pauses,
        };
        if let Err(gave_up) = retry(&policy, judge, || counter.visit(client)).await {
            println!("{client} {gave_up}");
        }
    });
    join_all(visits).await;
}

pub async fn run() {
    let pause = Duration::from_millis(200);
    let policy = Policy {
        tries: 3,
        within: Duration::from_millis(800),
        pauses: Pauses::Fixed(pause),
    };
    let patience = Duration::from_millis(150);
    let unavailable = Err(ShopError::Unavailable);
    let too_many = |millis| {
        Err(ShopError::TooMany {
            retry_after: Duration::from_millis(millis),
        })
    };

    println!("Three tries, 0.2 s apart:");
    let shop = Shop::new([unavailable.clone(), unavailable.clone()]);
    order(&policy, &shop, patience).await;

    println!("One failure more:");
    let shop = Shop::new([
        unavailable.clone(),
        unavailable.clone(),
        unavailable.clone(),
    ]);
    order(&policy, &shop, patience).await;

    println!("An error that another try does not mend:");
    let shop = Shop::new([unavailable, Err(ShopError::NotFound)]);
    order(&policy, &shop, patience).await;

    println!("The shop says when to come back; there are 0.8 s in all:");
    let shop = Shop::new([too_many(300), too_many(400)]);
    order(&policy, &shop, patience).await;

    println!("No answer within 0.15 s, but the order was taken:");
    let shop = Shop::new([Ok(1000)]);
    order(&policy, &shop, patience).await;

    println!("Four come at once, and come back at one pace:");
    visit_all([(); 4].map(|()| Pauses::Fixed(pause))).await;

    println!("With jitter:");
    let seeds = [1, 22, 5, 23];
    visit_all(seeds.map(|seed| Pauses::Jitter {
        first: Duration::from_millis(600),
        longest: Duration::from_millis(800),
        random: SplitMix64::new(seed),
    }))
    .await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
