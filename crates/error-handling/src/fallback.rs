//! Fallback: a second source, then a cached value, then a default, and why it was used.
//!
//! A function decides which errors lead to the next source. If one server is down or
//! slow, the other may answer. But a user unknown to one server is unknown to both. Each
//! fallback is logged, so that somebody notices the outage.
//!
//! Bounds: 0.2 s for each server. Unbounded: the cache, and the age of its values.
//!
//! Trap: a fallback after every error, like `except Exception`, hides bugs. A wrong name
//! then gets the default, and nobody notices.
//!
//! Trap: `first().await.or(second().await)` always calls both sources.
//!
//! In production: `moka` limits the size of the cache and the age of its entries.
//!
//! See also: `hedged_request`, `retry`, `circuit_breaker`.
//!
//! asyncio: asyncio.timeout, try, except, raise

use std::collections::HashMap;
use std::time::Duration;

use thiserror::Error;
use tokio::time::{sleep, timeout};

#[derive(Debug, Error)]
enum ServerError {
    #[error("{0} is down")]
    Down(&'static str),
    #[error("{0} is slow")]
    Slow(&'static str),
    #[error("there is no user {0}")]
    NoUser(String),
}

impl ServerError {
    /// Returns whether to ask the next source. A new variant needs an arm to compile.
    fn falls_back(&self) -> bool {
        match self {
            Self::Down(_) | Self::Slow(_) => true,
            Self::NoUser(_) => false,
        }
    }
}

/// A server that recommends books to users.
struct Server {
    name: &'static str,
    millis: u64,
    is_up: bool,
}

impl Server {
    async fn recommend(&self, user: &str) -> Result<&'static str, ServerError> {
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

struct Books {
    servers: [Server; 2],
    cache: HashMap<String, &'static str>,
}

impl Books {
    /// Asks the servers in turn, then the cache. The default is the same for all users.
    async fn recommend(&mut self, user: &str) -> Result<&'static str, ServerError> {
        for server in &self.servers {
            match server.recommend(user).await {
                Ok(books) => {
                    self.cache.insert(user.to_owned(), books);
                    return Ok(books);
                }
                // except (Down, Slow) as error:
                Err(error) if error.falls_back() => println!("fallback: {error}"),
                Err(error) => return Err(error),
            }
        }
        let cached = self.cache.get(user).copied();
        Ok(cached.unwrap_or("bestsellers"))
    }
}

async fn report(books: &mut Books, user: &str) {
    match books.recommend(user).await {
        Ok(books) => println!("{user}: {books}"),
        Err(error) => println!("error: {error}"),
    }
}

pub async fn run() {
    let server = |name| Server {
        name,
        millis: 100,
        is_up: true,
    };
    let servers = ["server A", "server B"].map(server);
    let cache = HashMap::new();
    let mut books = Books { servers, cache };

    println!("One server is down:");
    books.servers[0].is_up = false;
    report(&mut books, "Ann").await;

    println!("A user whom nobody knows:");
    report(&mut books, "Eva").await;

    println!("One server is down, the other is slow; only Ann is in the cache:");
    books.servers[1].millis = 300;
    report(&mut books, "Ann").await;
    report(&mut books, "Eva").await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
