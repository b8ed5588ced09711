//! A deadlock: two locks taken in two orders, found by a timeout, and two ways out.
//!
//! A transfer locks one account and then the other. Two transfers in opposite directions
//! each hold the lock that the other waits for. Neither an error nor a panic says so.
//!
//! A `timeout` around both finds it. It drops the futures, which releases the locks.
//! Nothing is changed before both locks are held, so the accounts are intact.
//!
//! A timeout is no cure. Take the locks in the same order everywhere, or put one lock
//! around all values that change together.
//!
//! Trap: a transfer from an account to itself would wait for its own lock. Refuse it.
//!
//! See also: `lock`, `rw_lock`, `lost_update`.
//!
//! asyncio: asyncio.Lock, asyncio.timeout, asyncio.gather, async with

use std::time::Duration;

use tokio::join;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

type Transferred = Result<(), &'static str>;

/// Waits for a check, while the transfer holds its first lock.
async fn check(name: &str, amount: u32) {
    sleep(Duration::from_millis(100)).await;
    println!("{amount} from {name} checked");
}

fn move_money(source: &mut u32, target: &mut u32, amount: u32) -> Transferred {
    *source = source.checked_sub(amount).ok_or("not enough there")?;
    *target += amount;
    Ok(())
}

struct Account {
    name: &'static str,
    balance: Mutex<u32>,
}

impl Account {
    fn new(name: &'static str) -> Self {
        let balance = Mutex::new(100);
        Self { name, balance }
    }
}

/// Deadlocks: takes the locks in the order of the arguments.
async fn transfer(from: &Account, to: &Account, amount: u32) -> Transferred {
    let mut source = from.balance.lock().await;
    check(from.name, amount).await;
    let mut target = to.balance.lock().await;
    move_money(&mut source, &mut target, amount)
}

/// Locks the account first whose name comes first, whichever way the money goes.
async fn transfer_in_order(from: &Account, to: &Account, amount: u32) -> Transferred {
    if from.name == to.name {
        return Err("not two accounts");
    }
    let (mut source, mut target);
    if from.name < to.name {
        source = from.balance.lock().await;
        check(from.name, amount).await;
        target = to.balance.lock().await;
    } else {
        target = to.balance.lock().await;
        check(from.name, amount).await;
        source = from.balance.lock().await;
    }
    move_money(&mut source, &mut target, amount)
}

/// Two accounts behind one lock. A transfer goes from the first to the second, or back.
struct Bank(Mutex<[(&'static str, u32); 2]>);

impl Bank {
    async fn transfer(&self, back: bool, amount: u32) -> Transferred {
        let mut accounts = self.0.lock().await;
        let [first, second] = &mut *accounts;
        let (source, target) = if back {
            (second, first)
        } else {
            (first, second)
        };
        check(source.0, amount).await;
        move_money(&mut source.1, &mut target.1, amount)
    }
}

/// Runs both concurrently, the second 50 ms later, for 0.5 s at most.
async fn both(
    first: impl Future<Output = Transferred>,
    second: impl Future<Output = Transferred>,
) -> Transferred {
    let later = async {
        sleep(Duration::from_millis(50)).await;
        second.await
    };
    match timeout(Duration::from_millis(500), async { join!(first, later) }).await {
        Ok((first, second)) => first.and(second),
        Err(_) => Err("still waiting after 0.5 s"),
    }
}

pub async fn run() -> Transferred {
    let (a, b) = (Account::new("A"), Account::new("B"));

    println!("Two orders:");
    if let Err(error) = both(transfer(&a, &b, 10), transfer(&b, &a, 30)).await {
        println!("{error}");
    }
    println!("A {}, B {}", a.balance.lock().await, b.balance.lock().await);

    println!("One order:");
    both(transfer_in_order(&a, &b, 10), transfer_in_order(&b, &a, 30)).await?;
    println!("A {}, B {}", a.balance.lock().await, b.balance.lock().await);
    for (to, amount) in [(&b, 500), (&a, 10)] {
        if let Err(error) = transfer_in_order(&a, to, amount).await {
            println!("{amount} from A to {}: {error}", to.name);
        }
    }

    println!("One lock:");
    let bank = Bank(Mutex::new([("A", 100), ("B", 100)]));
    both(bank.transfer(false, 10), bank.transfer(true, 30)).await?;
    let [(_, a), (_, b)] = *bank.0.lock().await;
    println!("A {a}, B {b}");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Transferred {
    run().await
}
