//! An API request handler with a cache that does no work twice: no cache stampede.
//!
//! While a response is computed, more requests for it may come. A simple cache computes
//! it again for each of them. Here a map holds the running calls, and requests for the
//! same endpoint wait for one call. The call runs in its own task, so it survives a
//! caller that leaves, as with asyncio's `shield`. A `tokio::sync::watch` channel,
//! which keeps the latest value, gives the response to all waiters.
//!
//! Bounds: Unbounded: Each endpoint that succeeds keeps an entry, and no entry expires.
//! Failed calls are removed.
//!
//! Trap: If a cache also keeps failures, it grows with every wrong path that a client
//! requests, until the memory is full. Here a failed call is removed.
//!
//! Trap: If you let the waiters share a future (`futures::future::Shared`) and one
//! waiter is dropped, the other waiters may never be woken. Use a task and a channel,
//! as here.
//!
//! In production: The cache `moka` limits its entries and their age; its `try_get_with`
//! runs one call per key.
//!
//! See also: `ttl_cache`, `single_flight`.
//!
//! asyncio: asyncio.create_task, asyncio.shield, asyncio.gather, asyncio.timeout

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::sync::watch;

/// The body of a response. It is cheap to clone, as a cached one has many readers.
pub type Response = Arc<str>;

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 404.
    #[error("there is no {0}")]
    NotFound(String),
    /// 502: the database behind the handler has failed.
    #[error("the database does not answer")]
    Database,
    /// 500: the call panicked.
    #[error("internal error")]
    Panicked,
}

/// `None` while the call runs.
type Call = watch::Receiver<Option<Result<Response, ApiError>>>;

type Calls = HashMap<String, Call>;

/// Responses by endpoint, each computed by one call at a time and kept if it succeeds.
#[derive(Debug, Default)]
pub struct CallCache {
    pub(crate) calls: Arc<Mutex<Calls>>,
}

fn lock(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    // The map is whole at any time, so a panic elsewhere spoils nothing.
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CallCache {
    /// Returns the response of the call that runs or has succeeded for this endpoint. If
    /// there is none, `call` runs in a task; otherwise `call` is dropped unused.
    ///
    /// Cancel-safe: if the future is dropped while it waits, the call keeps running.
    ///
    /// # Errors
    ///
    /// The error of the call, for all its waiters. The next request starts a new call.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub async fn get(
        &self,
        endpoint: &str,
        call: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let mut call = self.join_or_begin(endpoint, call);
        let ended = call.wait_for(Option::is_some).await;
        // Without a sender the runtime is shutting down.
        let ended = ended.ok().and_then(|ended| ended.clone());
        ended.unwrap_or(Err(ApiError::Panicked))
    }

    /// Returns the call that runs or has succeeded, or else starts this one in a task.
    /// The task removes the entry if the call fails.
    fn join_or_begin(
        &self,
        endpoint: &str,
        call: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
    ) -> Call {
        let mut calls = lock(&self.calls);
        // A runtime that was shut down has dropped its calls, without a response.
        let is_dropped =
            |call: &Call| call.has_changed().is_err() && call.borrow().is_none();
        if let Some(running) = calls.get(endpoint).filter(|call| !is_dropped(call)) {
            return running.clone();
        }
        let (sender, receiver) = watch::channel(None);
        let (all, key) = (Arc::clone(&self.calls), endpoint.to_owned());
        tokio::spawn(async move {
            let ended = AssertUnwindSafe(call).catch_unwind().await;
            let ended = ended.unwrap_or(Err(ApiError::Panicked));
            if ended.is_err() {
                lock(&all).remove(&key);
            }
            sender.send_replace(Some(ended));
        });
        calls.insert(endpoint.to_owned(), receiver.clone());
        receiver
    }
}

/// Counts the letters of its arguments, each only once: `cargo run -- Ann Ben Ann`.
#[tokio::main]
async fn main() -> Result<(), ApiError> {
    let calls = CallCache::default();
    for name in std::env::args().skip(1) {
        let counted = name.clone();
        let call = async move {
            println!("counting {counted}");
            Ok(counted.chars().count().to_string().into())
        };
        println!("{name} has {} letters", calls.get(&name, call).await?);
    }
    Ok(())
}

//@ order: [11] error
//@ order: result of query 3
//@ try: Ann Ben Ann -> Ann has 3 letters
