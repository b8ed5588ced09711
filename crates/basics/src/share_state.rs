//! Share state between tasks: a std Mutex, an atomic, an `Arc` that is replaced.
//!
//! Tasks run on several threads, so shared data needs a lock even between two awaits: the
//! `Mutex` of the standard library (std). If you keep the lock across an await, use
//! Tokio's `Mutex` (the example `lock`). For a number, use an atomic. For a value that is
//! replaced as a whole, use an `Arc` behind an `RwLock`. A task that holds a clone of the
//! `Arc` keeps the old value.
//!
//! Trap: If a task keeps a std guard (what `lock` returns) across an await, the compiler
//! reports "future cannot be sent between threads safely". `drop(guard)` does not help:
//! give the guard its own block, which ends before the await. An arm of `match x.lock()`
//! may not await either, because the guard lives as long as the `match`: copy the value
//! out before the `match`.
//!
//! Trap: If `main` keeps such a guard across an await, the program compiles, because
//! `main` need not be `Send`. But if `main` then waits for a second `lock`, as in the
//! other half of a `join!`, the program deadlocks. Give the guard its own block in
//! `main`, too.
//!
//! See also: `lock`, `lost_update`, `send_and_local`.
//!
//! asyncio: asyncio.create_task, asyncio.gather

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::time::sleep;

/// A panic while the lock is held poisons it: from then on each `lock` is an error.
const UNHURT: &str = "nobody panics while holding the lock";

struct Prices {
    apple: u32,
}

/// The state that all customers share, in one `Arc`.
pub struct Shop {
    visitors: AtomicU32,
    stock: Mutex<HashMap<&'static str, u32>>,
    prices: RwLock<Arc<Prices>>,
}

impl Shop {
    /// Takes one item from the stock, if any is left. One lock covers the check and the
    /// change.
    fn take(&self, item: &str) -> bool {
        let mut stock = self.stock.lock().expect(UNHURT);
        match stock.get_mut(item) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// Replaces the prices. Holders of the old `Arc` keep the old prices.
    fn set_prices(&self, prices: Prices) {
        *self.prices.write().expect(UNHURT) = Arc::new(prices);
    }

    fn prices(&self) -> Arc<Prices> {
        Arc::clone(&self.prices.read().expect(UNHURT))
    }

    async fn buy_apple(&self, name: &str, arrival: Duration) {
        sleep(arrival).await;
        self.visitors.fetch_add(1, Ordering::Relaxed);
        let prices = self.prices();
        if self.take("apple") {
            // The customer pays the price of the moment of arrival.
            sleep(Duration::from_millis(300)).await;
            println!("{name} has paid {}", prices.apple);
        } else {
            println!("{name} finds none left");
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    let shop = Arc::new(Shop {
        visitors: AtomicU32::new(0),
        stock: Mutex::new(HashMap::from([("apple", 3)])),
        prices: RwLock::new(Arc::new(Prices { apple: 5 })),
    });

    let arrivals = [("Ada", 100), ("Ben", 200), ("Cleo", 500), ("Dan", 600)];
    let customers = arrivals.map(|(name, arrival)| {
        let shop = Arc::clone(&shop);
        let arrival = Duration::from_millis(arrival);
        tokio::spawn(async move { shop.buy_apple(name, arrival).await })
    });

    sleep(Duration::from_millis(300)).await;
    shop.set_prices(Prices { apple: 7 });
    println!("An apple is now {}", shop.prices().apple);

    for customer in customers {
        customer.await?;
    }
    println!("Visitors: {}", shop.visitors.load(Ordering::Relaxed));
    Ok(())
}
