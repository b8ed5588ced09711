//! Port `Account.deposit`. Many tasks call it, and no deposit may be lost.
//!
//!     class Account:
//!         def __init__(self):
//!             self.balance, self.lock = 0, asyncio.Lock()
//!
//!         async def deposit(self, amount, audit):
//!             async with self.lock:
//!                 balance = self.balance + amount
//!                 await audit(balance)
//!                 self.balance = balance
//!
//! `#[derive(Default)] pub struct Account`, with
//! `pub async fn deposit(&self, amount: u32, audit: impl AsyncFn(u32))` and
//! `pub async fn balance(&self) -> u32`.

use super::prelude::*;

mod naive {
    use std::sync::Mutex;

    #[derive(Default)]
    pub struct Account(Mutex<u32>);

    impl Account {
        pub async fn deposit(&self, amount: u32, audit: impl AsyncFn(u32)) {
            let balance = self.balance().await + amount;
            audit(balance).await;
            *self.0.lock().expect("no panic") = balance;
        }

        pub async fn balance(&self) -> u32 {
            *self.0.lock().expect("no panic")
        }
    }
}

mod right {
    use tokio::sync::Mutex;

    #[derive(Default)]
    pub struct Account(Mutex<u32>);

    impl Account {
        pub async fn deposit(&self, amount: u32, audit: impl AsyncFn(u32)) {
            let mut balance = self.0.lock().await;
            audit(*balance + amount).await;
            *balance += amount;
        }

        pub async fn balance(&self) -> u32 {
            *self.0.lock().await
        }
    }
}

judge!("lost_update" refuses "a deposit is lost" {
    let account = answer::Account::default();
    let audit = async |balance: u32| sleep(Duration::from_millis(balance.into())).await;
    join_all((1..=10).map(|amount| account.deposit(amount, audit))).await;
    assert_eq!(account.balance().await, 55, "a deposit is lost");
});
