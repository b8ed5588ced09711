//! Fallback: a second source, then a cached value, then a default, and why it was used.
//!
//! A function decides which errors fall back. Another server may answer when one is down
//! or slow. A user that does not exist will not exist there either. The answer comes with
//! the errors of the sources that failed, for the log.
//!
//! Bounds: each source has a timeout. Unbounded: the cache.
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
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

/// Why a source has no answer.
#[derive(Debug, Error)]
pub enum SourceError {
    /// It cannot be reached.
    #[error("{0} is down")]
    Down(&'static str),
    /// It took too long.
    #[error("{0} is slow")]
    Slow(&'static str),
    /// It answered, and there is no such user.
    #[error("there is no user {0}")]
    NoUser(String),
}

/// Whether another source may have an answer. A new kind of error has to be put on one
/// side or the other before this compiles.
pub fn is_outage(error: &SourceError) -> bool {
    match error {
        SourceError::Down(_) | SourceError::Slow(_) => true,
        SourceError::NoUser(_) => false,
    }
}

/// Where an answer is from.
#[derive(Debug)]
pub enum Origin {
    /// A source, by its name.
    Source(&'static str),
    /// An earlier answer of a source.
    Cache,
    /// Nobody had an answer.
    Default,
}

/// A value, and how it came about.
#[derive(Debug)]
pub struct Answer {
    /// What was asked for.
    pub books: String,
    /// Where it is from.
    pub origin: Origin,
    /// Why it is not from a source that was asked before, in the order of asking.
    pub errors: Vec<SourceError>,
}

/// There is no answer, not even a default.
#[derive(Debug, Error)]
#[error("no answer: {}", join(.errors))]
pub struct NoAnswer {
    /// Of each source that was asked, in that order: the last one decided it.
    pub errors: Vec<SourceError>,
}

fn join(errors: &[SourceError]) -> String {
    let texts: Vec<String> = errors.iter().map(SourceError::to_string).collect();
    texts.join("; ")
}

/// Recommends books to users.
pub struct Books {
    pub sources: Vec<Source>,
    /// How long a source may take.
    pub limit: Duration,
    /// How long an answer is good enough when no source has one.
    pub keep: Duration,
    pub default: Option<String>,
    pub falls_back: Box<dyn Fn(&SourceError) -> bool + Send + Sync>,
    /// The last answer for each user, and when it came. It grows with the users.
    pub cache: Mutex<HashMap<String, (String, Instant)>>,
}

impl Books {
    /// Asks the sources in turn, then the cache, and then takes the default. After an
    /// error that does not fall back, what was kept for the user is gone.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] at the first error that does not fall back; without a default also
    /// when no source has an answer and none is kept.
    pub async fn recommend(&self, user: &str) -> Result<Answer, NoAnswer> {
        let mut errors = Vec::new();
        for source in &self.sources {
            let asked = timeout(self.limit, source.recommend(user)).await;
            match asked.unwrap_or(Err(SourceError::Slow(source.name))) {
                Ok(books) => {
                    let kept = (books.clone(), Instant::now());
                    self.cache().insert(user.to_string(), kept);
                    let origin = Origin::Source(source.name);
                    return Ok(Answer {
                        books,
                        origin,
                        errors,
                    });
                }
                Err(error) => {
                    let falls_back = (self.falls_back)(&error);
                    errors.push(error);
                    if !falls_back {
                        self.cache().remove(user);
                        return Err(NoAnswer { errors });
                    }
                }
            }
        }
        let kept = self.cache().get(user).cloned();
        let kept = kept.filter(|(_, at)| at.elapsed() < self.keep);
        let default = || self.default.clone().map(|books| (books, Origin::Default));
        match kept
            .map(|(books, _)| (books, Origin::Cache))
            .or_else(default)
        {
            Some((books, origin)) => Ok(Answer {
                books,
                origin,
                errors,
            }),
            None => Err(NoAnswer { errors }),
        }
    }

    /// The map is whole between any two of its calls: a panic elsewhere spoils nothing.
    fn cache(&self) -> MutexGuard<'_, HashMap<String, (String, Instant)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for a server.
pub struct Source {
    name: &'static str,
    millis: u64,
    pub(crate) is_up: bool,
}

impl Source {
    pub(crate) fn new(name: &'static str) -> Self {
        let (millis, is_up) = (100, true);
        Self {
            name,
            millis,
            is_up,
        }
    }

    pub(crate) async fn recommend(&self, user: &str) -> Result<String, SourceError> {
        sleep(Duration::from_millis(self.millis)).await;
        if !self.is_up {
            return Err(SourceError::Down(self.name));
        }
        match user {
            "Ann" => Ok("books on Rust".to_string()),
            _ => Err(SourceError::NoUser(user.to_string())),
        }
    }
}

fn report(result: Result<Answer, NoAnswer>) {
    match result {
        Ok(Answer {
            books,
            origin,
            errors,
        }) => {
            match origin {
                Origin::Source(name) => println!("{books}, from {name}"),
                Origin::Cache => println!("{books}, from the cache"),
                Origin::Default => println!("{books}, by default"),
            }
            if !errors.is_empty() {
                println!("  as {}", join(&errors));
            }
        }
        Err(error) => println!("{error}"),
    }
}

pub async fn run() {
    let mut books = Books {
        sources: ["server A", "server B"].map(Source::new).into(),
        limit: Duration::from_millis(200),
        keep: Duration::from_millis(500),
        default: Some("bestsellers".to_string()),
        falls_back: Box::new(is_outage),
        cache: Mutex::default(),
    };

    println!("All is well:");
    report(books.recommend("Ann").await);

    println!("A source is down:");
    books.sources[0].is_up = false;
    report(books.recommend("Ann").await);

    println!("One is slow, the other is down:");
    books.sources[0].millis = 300;
    books.sources[1].is_up = false;
    report(books.recommend("Ann").await);

    println!("And when the last answer is too old:");
    report(books.recommend("Ann").await);

    println!("Without a default:");
    let default = books.default.take();
    report(books.recommend("Ann").await);

    println!("A wrong name:");
    books.default = default;
    books.sources = ["server A", "server B"].map(Source::new).into();
    report(books.recommend("Eva").await);

    println!("A wrong name, where every error falls back:");
    books.falls_back = Box::new(|_| true);
    report(books.recommend("Eva").await);
}

#[tokio::main]
pub async fn main() {
    run().await;
}
