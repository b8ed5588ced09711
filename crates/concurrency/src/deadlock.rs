//! A deadlock: two locks taken in two orders, found by a deadline, and two ways out.
//!
//! A transfer locks one account and then the other. Two transfers in opposite
//! directions each hold what the other waits for, and neither an error nor a panic says
//! so. A `timeout` around the whole finds it. As it drops the futures it frees the
//! locks too, and as nothing is changed before both are held, the accounts are intact.
//! But a deadline is no cure: take the locks in the same order everywhere, or put one
//! lock around all that changes together. One account as both sides would wait for
//! itself, so that is refused.
//!
//! asyncio: asyncio.Lock, asyncio.timeout, asyncio.gather, async with

use std::time::Duration;

use tokio::join;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

type Transferred = Result<(), &'static str>;

/// What a transfer has to await while it holds its first lock.
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

/// The mistake: the order of the locks is that of the arguments.
async fn transfer(from: &Account, to: &Account, amount: u32) -> Transferred {
    let mut source = from.balance.lock().await;
    check(from.name, amount).await;
    let mut target = to.balance.lock().await;
    move_money(&mut source, &mut target, amount)
}

/// Whichever way the money goes, the account whose name comes first is locked first.
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

/// One lock around both; a transfer goes from the first to the second, or back.
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

/// Both at once, the second a little later, so that who comes first is no accident.
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
