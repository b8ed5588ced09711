//! Find resources that nobody closed: a registry of weak references, and a destructor.
//!
//! `Registry` below has a weak reference (`Weak`) to each connection, like Python's
//! `weakref.WeakSet`. The registry can list and close the connections that are still
//! open, but keeps none alive. The destructor (`Drop`) of a connection reports that it
//! was never closed, as `__del__` does in Python. Where you can, use a guard that closes
//! by itself: see `async_drop`.
//!
//! Bounds: Unbounded: The number of connections in the registry.
//!
//! Trap: If two values hold an `Arc` of each other, they are never dropped, and so never
//! reported: Rust has no garbage collector for cycles. Replace one of the two `Arc`s by a
//! `Weak`.
//!
//! See also: `async_drop`, `drop_guard`, `exit_stack`.
//!
//! asyncio: weakref.ref, asyncio.gather

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;

/// A connection. Closing it takes a while.
#[derive(Debug)]
pub struct Connection {
    name: String,
    is_closed: AtomicBool,
}

impl Connection {
    pub async fn close(&self) {
        sleep(Duration::from_millis(100)).await;
        println!("{} closed", self.name);
        self.is_closed.store(true, Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !*self.is_closed.get_mut() {
            println!("{} was never closed", self.name);
        }
    }
}

/// Finds all connections that are still held.
#[derive(Debug, Default)]
pub struct Registry {
    connections: Mutex<Vec<Weak<Connection>>>,
}

impl Registry {
    pub fn connect(&self, name: &str) -> Arc<Connection> {
        let connection = Arc::new(Connection {
            name: name.to_string(),
            is_closed: AtomicBool::new(false),
        });
        let all = self.connections.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        // Otherwise the list would grow forever.
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&connection));
        connection
    }

    /// Returns the connections that are still held and not closed.
    pub fn open(&self) -> Vec<Arc<Connection>> {
        let all = self.connections.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        let held = all.iter().filter_map(Weak::upgrade);
        held.filter(|connection| !connection.is_closed.load(Relaxed))
            .collect()
    }

    /// Closes all open connections at the same time.
    pub async fn close_all(&self) {
        let open = self.open();
        join_all(open.iter().map(|connection| connection.close())).await;
    }
}

async fn use_connection(registry: &Registry, name: &str, has_work: bool) {
    let connection = registry.connect(name);
    sleep(Duration::from_millis(100)).await;
    if has_work {
        connection.close().await;
    }
}

#[tokio::main]
async fn main() {
    let registry = Registry::default();

    println!("One user closes its connection, another forgets to:");
    use_connection(&registry, "A", true).await;
    use_connection(&registry, "B", false).await;
    println!("{} are open", registry.open().len());

    println!("Two connections are held until the end:");
    let _held = ["C", "D"].map(|name| registry.connect(name));
    println!("{} are open", registry.open().len());
    registry.close_all().await;
    println!("{} are open", registry.open().len());
}
