//! Fallback: a second source, then a cached value, then a default, and why it was used.
//!
//! A function decides which errors fall back. Another server may answer when one is down
//! or slow. A user unknown to one is unknown to both. The answer comes with the errors of
//! the sources that failed, for the log.
//!
//! Bounds: none for the cache or a source's time. Put a `timeout` into `get`.
//!
//! Trap: to fall back on every error, like `except Exception`. A wrong name then gets the
//! default, and nobody learns of it.
//!
//! Trap: `first().await.or(second().await)` calls both sources.
//!
//! In production: `moka` limits the size of the cache and the age of its entries.
//!
//! See also: `hedged_request`, `retry`, `circuit_breaker`.
//!
//! asyncio: asyncio.timeout, try, except, raise

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Where values come from, such as a server.
pub trait Source {
    type Value: Clone;
    type Error;

    /// Returns the value for a key. The next source is tried only after the error.
    fn get(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Self::Value, Self::Error>> + Send;
}

/// Sources, a cache and a default.
pub struct Fallback<S: Source> {
    /// Tried in this order.
    pub sources: Vec<S>,
    /// Whether another source may have a value after this error.
    pub falls_back: fn(&S::Error) -> bool,
    /// How old a cached value may be.
    pub max_age: Duration,
    pub default: Option<S::Value>,
    cache: Mutex<HashMap<String, (S::Value, Instant)>>,
}

/// Where a value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The source with this index.
    Source(usize),
    Cache,
    Default,
}

/// A value, and why it is not from an earlier source.
#[derive(Debug)]
pub struct Answer<S: Source> {
    pub value: S::Value,
    pub origin: Origin,
    /// The errors of the sources that were tried before.
    pub errors: Vec<S::Error>,
}

/// There is no value, not even a default.
#[derive(Debug)]
pub struct NoAnswer<E> {
    /// The errors of all sources that were tried. The last one decided.
    pub errors: Vec<E>,
}

impl<E: fmt::Display> fmt::Display for NoAnswer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer: {}", join(&self.errors))
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for NoAnswer<E> {}

fn join(errors: &[impl fmt::Display]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl<S: Source> Fallback<S> {
    /// Returns sources with an empty cache, and without a default.
    pub fn new(
        sources: Vec<S>,
        falls_back: fn(&S::Error) -> bool,
        max_age: Duration,
    ) -> Self {
        Self {
            sources,
            falls_back,
            max_age,
            default: None,
            cache: Mutex::default(),
        }
    }

    /// Tries the sources in turn, then the cache, and then returns the default.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] at the first error that does not fall back, which also removes the
    /// cached value; and if there is neither a cached value nor a default.
    pub async fn get(&self, key: &str) -> Result<Answer<S>, NoAnswer<S::Error>> {
        let mut errors = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            match source.get(key).await {
                Ok(value) => {
                    let origin = Origin::Source(index);
                    self.cache(|cache| {
                        cache.insert(key.to_owned(), (value.clone(), Instant::now()))
                    });
                    return Ok(Answer {
                        value,
                        origin,
                        errors,
                    });
                }
                Err(error) => {
                    let falls_back = (self.falls_back)(&error);
                    errors.push(error);
                    if !falls_back {
                        self.cache(|cache| cache.remove(key));
                        return Err(NoAnswer { errors });
                    }
                }
            }
        }
        let cached = self.cache(|cache| cache.get(key).cloned());
        let (value, origin) = match (cached, self.default.clone()) {
            (Some((value, at)), _) if at.elapsed() < self.max_age => {
                (value, Origin::Cache)
            }
            (_, Some(default)) => (default, Origin::Default),
            _ => return Err(NoAnswer { errors }),
        };
        Ok(Answer {
            value,
            origin,
            errors,
        })
    }

    fn cache<T>(
        &self,
        work: impl FnOnce(&mut HashMap<String, (S::Value, Instant)>) -> T,
    ) -> T {
        work(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why a server has no recommendation.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("{0} is down")]
    Down(&'static str),
    #[error("{0} is slow")]
    Slow(&'static str),
    #[error("there is no user {0}")]
    NoUser(String),
}

/// A new kind of error has to be put on one side or the other before this compiles.
fn is_outage(error: &ServerError) -> bool {
    match error {
        ServerError::Down(_) | ServerError::Slow(_) => true,
        ServerError::NoUser(_) => false,
    }
}

/// A server that recommends books to users.
#[derive(Debug)]
struct Server {
    name: &'static str,
    millis: u64,
    is_up: bool,
}

impl Source for Server {
    type Value = &'static str;
    type Error = ServerError;

    async fn get(&self, user: &str) -> Result<&'static str, ServerError> {
        let respond = sleep(Duration::from_millis(self.millis));
        let in_time = timeout(Duration::from_millis(200), respond).await;
        in_time.map_err(|_| ServerError::Slow(self.name))?;
        match user {
            _ if !self.is_up => Err(ServerError::Down(self.name)),
            "Ann" => Ok("books on Rust"),
            _ => Err(ServerError::NoUser(user.to_owned())),
        }
    }
}

fn servers() -> Vec<Server> {
    let server = |name| Server {
        name,
        millis: 100,
        is_up: true,
    };
    ["server A", "server B"].map(server).into()
}

async fn report(books: &Fallback<Server>, user: &str) {
    match books.get(user).await {
        Ok(answer) => {
            match answer.origin {
                Origin::Source(index) => {
                    println!("{}, from {}", answer.value, books.sources[index].name);
                }
                Origin::Cache => println!("{}, from the cache", answer.value),
                Origin::Default => println!("{}, by default", answer.value),
            }
            if !answer.errors.is_empty() {
                println!("  as {}", join(&answer.errors));
            }
        }
        Err(error) => println!("{error}"),
    }
}

pub async fn run() {
    let mut books = Fallback::new(servers(), is_outage, Duration::from_millis(500));
    books.default = Some("bestsellers");

    println!("All servers are up:");
    report(&books, "Ann").await;

    println!("One is down:");
    books.sources[0].is_up = false;
    report(&books, "Ann").await;

    println!("One is slow, the other is down:");
    books.sources[0].millis = 300;
    books.sources[1].is_up = false;
    report(&books, "Ann").await;

    println!("The cached value is too old:");
    report(&books, "Ann").await;

    println!("Without a default:");
    let default = books.default.take();
    report(&books, "Ann").await;

    println!("A wrong name:");
    books.default = default;
    books.sources = servers();
    report(&books, "Eva").await;

    println!("A wrong name, where every error falls back:");
    books.falls_back = |_| true;
    report(&books, "Eva").await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
