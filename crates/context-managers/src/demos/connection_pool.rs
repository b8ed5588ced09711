//! A database that numbers its connections, and workers that share them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::connection_pool::Pool;

struct Connection {
    number: u32,
    in_query: bool,
}

impl Connection {
    /// Dropped before the answer is read, it leaves a broken connection.
    async fn query(&mut self, millis: u64) {
        self.in_query = true;
        sleep(Duration::from_millis(millis)).await;
        self.in_query = false;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        println!("connection {} is closed", self.number);
    }
}

fn pool(max_size: usize) -> Pool<Connection> {
    let opened = Arc::new(AtomicU32::new(0));
    let connect = move || {
        let opened = Arc::clone(&opened);
        async move {
            sleep(Duration::from_millis(100)).await;
            let number = 1 + opened.fetch_add(1, Ordering::Relaxed);
            let in_query = false;
            Ok(Connection { number, in_query })
        }
    };
    let acquire_timeout = Duration::from_millis(400);
    Pool::new(max_size, acquire_timeout, connect, |connection| {
        connection.in_query
    })
}

/// Makes a query of so many milliseconds, and pauses for 0.1 s.
async fn work(pool: Pool<Connection>, name: &str, millis: u64) {
    match pool.acquire().await {
        Ok(mut connection) => {
            println!("{name} has connection {}", connection.number);
            connection.query(millis).await;
            sleep(Duration::from_millis(100)).await;
            println!("{name} returns connection {}", connection.number);
        }
        Err(error) => println!("{name}: {error}"),
    }
}

/// Cancels a worker after so many milliseconds.
async fn cancel(pool: &Pool<Connection>, name: &'static str, millis: u64) {
    let task = tokio::spawn(work(pool.clone(), name, 200));
    sleep(Duration::from_millis(millis)).await;
    task.abort();
    if task.await.is_err_and(|error| error.is_cancelled()) {
        println!("{name} is cancelled");
    }
}

pub async fn run() {
    println!("Five workers, three connections, and 0.4 s to acquire one:");
    let workers = pool(3);
    let mut tasks = JoinSet::new();
    for (name, millis) in [("A", 300), ("B", 300), ("C", 600), ("D", 500), ("E", 300)] {
        tasks.spawn(work(workers.clone(), name, millis));
        sleep(Duration::from_millis(50)).await;
    }
    tasks.spawn(work(workers.clone(), "F", 300));
    tasks.join_all().await;
    drop(workers.close().await);

    println!("Cancelled between two queries, the connection is reused:");
    let single = pool(1);
    cancel(&single, "Ada", 350).await;

    println!("Cancelled during a query, it is closed at once:");
    cancel(&single, "Bob", 100).await;
    work(single.clone(), "Cat", 100).await;

    println!("Closed while Dan has the connection and Eve waits for it:");
    let closing = async {
        sleep(Duration::from_millis(100)).await;
        println!("closing the pool");
        for connection in single.close().await {
            println!("a last message to connection {}", connection.number);
        }
    };
    let eve = async {
        sleep(Duration::from_millis(50)).await;
        work(single.clone(), "Eve", 100).await;
    };
    tokio::join!(work(single.clone(), "Dan", 200), eve, closing);
    work(single.clone(), "Fay", 100).await;
}
