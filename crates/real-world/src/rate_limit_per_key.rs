//! A rate limit for each client of a server: HTTP 429, `Retry-After`, limited memory.
//!
//! A key is what you limit, for example a client's address. Each key has a bucket of at
//! most `burst` tokens. A request takes one token, and each `interval` adds one. For each
//! key, the limiter stores only the moment at which the bucket will be full. It keeps at
//! most `max_keys` keys and forgets the least recently used key first. A forgotten key
//! has a full bucket again.
//!
//! Bounds: `max_keys` entries; a new key removes the least recently used one. A refused
//! request takes no token and does not wait.
//!
//! Trap: If you take the key from the header `X-Forwarded-For`, a client can send
//! another value with each request and is never limited. Take the address of the
//! connection, or a header that your own proxy overwrites.
//!
//! Trap: If each IPv6 address is a key, a client is never limited either, because it
//! usually owns 2^64 addresses and can send each request from another one. Make the key
//! with the function [`network`], which returns the same key for all of them.
//!
//! In production: The crate `governor` also has requests that cost more than one
//! (`check_key_n`), and tells how many are left, for the header `X-RateLimit-Remaining`.
//! In tests, you can give it a `FakeRelativeClock`, which you move by hand. Only its
//! method `until_ready`, which waits until a request may begin, does not follow that
//! clock: it waits in real time.
//!
//! See also: `token_bucket`, `sliding_window`, `axum_service`, `connection_limits`.
//!
//! asyncio: loop.time

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hashlink::LruCache;
use tokio::time::Instant;

/// The key has used its requests up. In HTTP, this is a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct TooMany {
    /// When there is a token again.
    pub retry_after: Duration,
}

impl IntoResponse for TooMany {
    fn into_response(self) -> Response {
        // The header has whole seconds. Rounded down, a client would come too early.
        let seconds = self.retry_after.as_nanos().div_ceil(1_000_000_000);
        let headers = [(header::RETRY_AFTER, seconds.to_string())];
        (StatusCode::TOO_MANY_REQUESTS, headers, self.to_string()).into_response()
    }
}

/// A token bucket for each key.
pub struct KeyedLimiter<K> {
    burst: u32,
    interval: Duration,
    /// For each key the moment at which its bucket will be full.
    full_at: Mutex<LruCache<K, Instant>>,
}

impl<K: Eq + Hash> KeyedLimiter<K> {
    /// Returns a limiter of `burst` requests together and then one each `interval`, for
    /// each of the last `max_keys` keys.
    ///
    /// # Panics
    ///
    /// If an argument is zero, or if an [`Instant`] cannot hold the time to fill a
    /// bucket.
    pub fn new(burst: u32, interval: Duration, max_keys: usize) -> Self {
        assert!(burst > 0 && max_keys > 0, "nothing would be let through");
        assert!(!interval.is_zero(), "an interval of zero is no limit");
        let fill = interval.checked_mul(burst);
        let full = fill.and_then(|fill| Instant::now().checked_add(fill));
        assert!(full.is_some(), "it would never be full");
        let full_at = Mutex::new(LruCache::new(max_keys));
        Self {
            burst,
            interval,
            full_at,
        }
    }

    /// Takes a token of this key, if there is one.
    ///
    /// For two rates in one step, such as ten a second and a hundred a minute, ask two
    /// limiters in turn. A request that the second refuses has used up one of the first.
    ///
    /// # Errors
    ///
    /// If there is none, with the time until there is one.
    pub fn check(&self, key: K) -> Result<(), TooMany> {
        // Each change is one call of the map, so a panic elsewhere spoils nothing.
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let full = full_at.get(&key).map_or(now, |full| now.max(*full));
        // What the bucket lacks if this token is taken, too.
        let lacks = (full - now) + self.interval;
        let retry_after = lacks.saturating_sub(self.interval * self.burst);
        if !retry_after.is_zero() {
            return Err(TooMany { retry_after });
        }
        full_at.insert(key, now + lacks);
        Ok(())
    }

    /// Returns how many keys are kept.
    pub fn keys(&self) -> usize {
        let full_at = self.full_at.lock();
        full_at.unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Returns the address that represents a client: of IPv6, the network of 64 bits.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(prefix).into()
        }
        address => address,
    }
}

/// Middleware that refuses the requests of a client that has sent too many.
///
/// Serve with `into_make_service_with_connect_info`. Otherwise each response is 500. To
/// limit users instead of addresses, take the user here, after the authentication.
pub async fn limit(
    State(limiter): State<Arc<KeyedLimiter<IpAddr>>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, TooMany> {
    limiter.check(network(client.ip()))?;
    Ok(next.run(request).await)
}

/// Says hello five times a second to each client: `cargo run -- 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    let limiter = KeyedLimiter::new(10, Duration::from_secs(1) / 5, 100_000);
    let routes = axum::Router::new()
        .route("/", axum::routing::get(async || "hello\n"))
        .layer(axum::middleware::from_fn_with_state(
            Arc::new(limiter),
            limit,
        ));
    let app = routes.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}

//@ clock: real
//@ try: nowhere -> invalid socket address
