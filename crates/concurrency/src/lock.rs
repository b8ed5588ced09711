//! Share a value between tasks behind a lock: `asyncio.Lock`, and when to use which.
//!
//! In Rust the lock holds the value: without it nobody gets at the value, and the guard
//! that `lock` gives unlocks when it is dropped. `tokio::sync::Mutex` is for a value that
//! stays locked across an await; waiters get it in the order in which they came. Without
//! an await in between `std::sync::Mutex` is the right one (across one a task refuses it,
//! "future cannot be sent between threads safely"): asyncio needs no lock there, but
//! tasks of Tokio run on several threads. The trap is a holder that is stopped at an
//! await: the lock opens and shows what was half done. Await first, then change the whole
//! without an await. The lost update itself: `lost_update`; two locks: `deadlock`.
//!
//! asyncio: asyncio.Lock, asyncio.create_task, asyncio.timeout, async with
//! asyncio: asyncio.Lock.acquire, asyncio.Lock.release

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

async fn increment(name: &str, start: u64, resource: Arc<Mutex<u32>>) {
    sleep(Duration::from_millis(start)).await;
    for _ in 0..3 {
        let mut value = resource.lock().await;
        let current = *value;
        sleep(Duration::from_millis(100)).await;
        *value = current + 1;
        println!("{name}: {value}");
        // The guard is dropped here, at the end of its scope.
    }
}

/// Ten of these begin at once, on several threads, and none awaits while it is locked: a
/// std Mutex.
async fn count(counter: Arc<std::sync::Mutex<u32>>) {
    sleep(Duration::from_millis(100)).await;
    for _ in 0..100 {
        *counter.lock().expect("no holder panics") += 1;
    }
}

struct Accounts {
    ada: u32,
    ben: u32,
}

/// Asks the bank while one account is changed and the other is not.
async fn transfer_in_two_steps(amount: u32, accounts: &Mutex<Accounts>) {
    let mut accounts = accounts.lock().await;
    accounts.ada -= amount;
    sleep(Duration::from_millis(200)).await;
    accounts.ben += amount;
}

/// Asks first, and then changes both.
async fn transfer_at_once(amount: u32, accounts: &Mutex<Accounts>) {
    let mut accounts = accounts.lock().await;
    sleep(Duration::from_millis(200)).await;
    accounts.ada -= amount;
    accounts.ben += amount;
}

pub async fn run() -> Result<(), JoinError> {
    println!("Locked across an await:");
    let shared_resource = Arc::new(Mutex::new(0));
    let worker1 = tokio::spawn(increment("Worker1", 0, Arc::clone(&shared_resource)));
    let worker2 = tokio::spawn(increment("Worker2", 50, Arc::clone(&shared_resource)));
    worker1.await?;
    worker2.await?;
    println!("Final value: {}", shared_resource.lock().await);

    println!("No await in between:");
    let counter = Arc::new(std::sync::Mutex::new(0));
    let counts = [0; 10].map(|_| tokio::spawn(count(Arc::clone(&counter))));
    for task in counts {
        task.await?;
    }
    println!("Final value: {}", counter.lock().expect("no holder panics"));

    println!("A holder that is stopped half-way:");
    let limit = Duration::from_millis(100);
    let accounts = Mutex::new(Accounts { ada: 100, ben: 0 });
    if timeout(limit, transfer_in_two_steps(30, &accounts))
        .await
        .is_err()
    {
        let accounts = accounts.lock().await;
        println!("Out of time: Ada {}, Ben {}", accounts.ada, accounts.ben);
    }
    let accounts = Mutex::new(Accounts { ada: 100, ben: 0 });
    if timeout(limit, transfer_at_once(30, &accounts))
        .await
        .is_err()
    {
        let accounts = accounts.lock().await;
        println!("Out of time: Ada {}, Ben {}", accounts.ada, accounts.ben);
    }
    transfer_at_once(30, &accounts).await;
    let accounts = accounts.lock().await;
    println!("Done: Ada {}, Ben {}", accounts.ada, accounts.ben);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
