//! A deadlock: two tasks take two locks in different orders. How to find and prevent it.
//!
//! A transfer locks one account and then the other. Two transfers in opposite directions
//! each hold the lock that the other waits for. No error and no panic reports it.
//!
//! A `timeout` around both transfers finds the deadlock and drops their futures, which
//! releases the locks. No money is lost, because a transfer changes nothing before it
//! holds both locks.
//!
//! But a timeout does not prevent the next deadlock. Take the locks in the same order
//! everywhere, or put one lock around all values that change together.
//!
//! Trap: If an account transfers to itself, the transfer waits forever for a lock that it
//! already holds. Refuse such a transfer.
//!
//! See also: `lock`, `rw_lock`, `lost_update`.
//!
//! asyncio: asyncio.Lock, asyncio.timeout, asyncio.gather

use std::future::Future;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tokio::try_join;

/// How long a check takes, between the first lock and the second.
const CHECK: Duration = Duration::from_millis(100);

type Transferred = Result<(), &'static str>;

struct Account {
    name: &'static str,
    balance: Mutex<u32>,
}

fn move_money(source: &mut u32, target: &mut u32, amount: u32) -> Transferred {
    *source = source.checked_sub(amount).ok_or("not enough there")?;
    *target += amount;
    Ok(())
}

/// Deadlocks: takes the locks in the order of the arguments.
async fn transfer(from: &Account, to: &Account, amount: u32) -> Transferred {
    let mut source = from.balance.lock().await;
    sleep(CHECK).await;
    let mut target = to.balance.lock().await;
    move_money(&mut source, &mut target, amount)
}

/// Locks the accounts in the order of their names, whichever way the money goes.
async fn transfer_in_order(from: &Account, to: &Account, amount: u32) -> Transferred {
    if from.name == to.name {
        return Err("an account cannot pay itself");
    }
    let (mut source, mut target);
    if from.name < to.name {
        source = from.balance.lock().await;
        sleep(CHECK).await;
        target = to.balance.lock().await;
    } else {
        target = to.balance.lock().await;
        sleep(CHECK).await;
        source = from.balance.lock().await;
    }
    move_money(&mut source, &mut target, amount)
}

/// Runs both concurrently, for 0.5 s at most.
async fn both(
    first: impl Future<Output = Transferred>,
    second: impl Future<Output = Transferred>,
) -> Transferred {
    let both = async { try_join!(first, second) };
    let ended = timeout(Duration::from_millis(500), both).await;
    ended.unwrap_or(Err("still waiting after 0.5 s")).map(drop)
}

#[tokio::main]
async fn main() -> Transferred {
    let account = |name| Account {
        name,
        balance: Mutex::new(100),
    };
    let (a, b) = (account("A"), account("B"));

    println!("Two orders:");
    if let Err(error) = both(transfer(&a, &b, 10), transfer(&b, &a, 30)).await {
        println!("{error}");
    }
    println!("A {}, B {}", a.balance.lock().await, b.balance.lock().await);

    println!("One order:");
    both(transfer_in_order(&a, &b, 10), transfer_in_order(&b, &a, 30)).await?;
    println!("A {}, B {}", a.balance.lock().await, b.balance.lock().await);
    if let Err(error) = transfer_in_order(&a, &a, 10).await {
        println!("From A to A: {error}");
    }
    Ok(())
}
