//! An async constructor: an async function `connect`, as `__init__` cannot await.
//!
//! In Rust, a constructor is an ordinary function that returns `Self`. So the constructor
//! of `Client`, the struct of this file, may be async and may fail:
//! `Client::connect("example.com").await?`. In Python, `connect` is a class method, and a
//! caller can still write `Client(host)` and forget to connect. In Rust the fields are
//! private, so every `Client` is connected.
//!
//! Rust has no async property either. If a value has to be waited for, write an async
//! method, such as `version`. A getter that does not wait is a plain method, such as
//! `host`.
//!
//! Trap: If you implement `Default` or `From` for such a type, the functions of these
//! traits cannot await. Do not hide a `block_on` in them, which blocks the thread until a
//! future is ready: in async code it panics, "Cannot start a runtime from within a
//! runtime". Write an async function, such as `connect`, instead.
//!
//! See also: `async_resource`, `once_cell` (connect at first use), `dyn_async_trait`.
//!
//! asyncio: async def, await

use std::io;
use std::time::Duration;

use tokio::time::sleep;

/// A client that is connected.
pub struct Client {
    host: String,
}

impl Client {
    /// Connects to the host.
    ///
    /// # Errors
    ///
    /// If there is no such host.
    pub async fn connect(host: &str) -> io::Result<Self> {
        sleep(Duration::from_millis(100)).await;
        if !host.contains('.') {
            return Err(io::Error::other(format!("no host {host}")));
        }
        let host = host.to_owned();
        Ok(Self { host })
    }

    /// Returns the host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Asks the host for its version.
    pub async fn version(&self) -> String {
        sleep(Duration::from_millis(50)).await;
        format!("{} runs version 3", self.host)
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let client = Client::connect("example.com").await?;
    println!("Connected to {}", client.host());
    println!("{}", client.version().await);
    if let Err(error) = Client::connect("nowhere").await {
        println!("Error: {error}");
    }
    Ok(())
}
