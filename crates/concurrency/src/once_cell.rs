//! Load a value once: the first caller loads it, the others wait.
//!
//! `tokio::sync::OnceCell::get_or_try_init` takes a loader, a closure that starts the
//! load. It runs the loader only if there is no value yet, and only one loader at a time.
//! If a loader fails or its caller is cancelled, the next waiter runs its own loader.
//! Only the caller of a failed loader gets the error. On several threads, the next loader
//! may start before the first caller sees its error or timeout.
//!
//! Tasks share the cell in an `Arc`, or as a `static` made with `OnceCell::const_new()`.
//! Without an `Arc`, the compiler reports "use of moved value: `settings`".
//!
//! Trap: If a loader hangs, all callers of the cell wait for it forever. Give the loader
//! a timeout.
//!
//! See also: `single_flight` (one load for each of many keys), `lock`.
//!
//! asyncio: asyncio.Lock, asyncio.timeout

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::sleep;

/// Settings that are loaded when they are first asked for.
#[derive(Debug, Default)]
pub struct Settings {
    region: OnceCell<String>,
}

impl Settings {
    /// Returns the region, and loads it if no caller has done so yet. A loader that asks
    /// its own cell waits for itself forever.
    pub async fn region(&self, caller: &str) -> Result<&str, String> {
        let region = self.region.get_or_try_init(|| load(caller)).await?;
        Ok(region)
    }
}

/// The service answers B only.
async fn load(caller: &str) -> Result<String, String> {
    println!("{caller} loads");
    sleep(Duration::from_millis(200)).await;
    match caller {
        "B" => Ok(String::from("eu-north")),
        _ => Err(String::from("no connection")),
    }
}

async fn ask(name: &'static str, start: u64, settings: Arc<Settings>) {
    sleep(Duration::from_millis(start)).await;
    match settings.region(name).await {
        Ok(region) => println!("{name} got {region}"),
        Err(error) => println!("{name} got an error: {error}"),
    }
}

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    println!("The first one fails:");
    let settings = Arc::new(Settings::default());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(ask("A", 0, settings.clone()));
    tasks.spawn(ask("B", 50, settings.clone()));
    tasks.spawn(ask("C", 100, settings.clone()));
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    let region = settings.region.get().map_or("not loaded", String::as_str);
    println!("read without waiting: {region}");

    println!("The first one is cancelled:");
    let settings = Arc::new(Settings::default());
    tasks.spawn(ask("B", 50, settings.clone()));
    match tokio::time::timeout(Duration::from_millis(150), settings.region("A")).await {
        Ok(region) => println!("A got {region:?}"),
        Err(_) => println!("A gives up after 0.15 s"),
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

//@ order: B loads
//@ order: C got
