//! Editors of a page, one of which is delayed for longer than its lease lasts.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;

use crate::lease::LeaseLock;

/// A page that remembers who wrote it last, and the highest token that it has seen.
#[derive(Default)]
struct Page(Mutex<(u64, &'static str)>);

/// A holder of a later lease has written.
#[derive(Debug, thiserror::Error)]
#[error("rejected, as {token} is less than {newest}")]
struct Stale {
    token: u64,
    newest: u64,
}

impl Page {
    /// Writes, with a lease's token.
    ///
    /// # Errors
    ///
    /// [`Stale`] if the token is lower than one that it has seen.
    fn write(&self, token: u64, author: &'static str) -> Result<(), Stale> {
        let mut page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if token < page.0 {
            let newest = page.0;
            return Err(Stale { token, newest });
        }
        *page = (token, author);
        Ok(())
    }

    /// Writes without a check, as a store without tokens does.
    fn overwrite(&self, author: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = author;
    }

    fn author(&self) -> &'static str {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[derive(Default)]
struct Pages {
    with_tokens: Page,
    without: Page,
}

/// Writes after some milliseconds, without a look at the time, and keeps the lease for
/// some more.
async fn edit(
    name: &'static str,
    lock: LeaseLock,
    pages: Arc<Pages>,
    [before, after]: [u64; 2],
) {
    let lease = lock.acquire().await;
    println!("{name} has lease {}", lease.token());
    sleep(Duration::from_millis(before)).await;
    pages.without.overwrite(name);
    match pages.with_tokens.write(lease.token(), name) {
        Ok(()) => println!("{name} writes"),
        Err(stale) => println!("{name}: {stale}"),
    }
    if let Err(expired) = lease.renew() {
        println!("{name} cannot renew: {expired}");
    }
    sleep(Duration::from_millis(after)).await;
}

/// Works for 0.9 s in three steps, and renews the lease after each.
async fn edit_in_steps(name: &'static str, lock: LeaseLock) {
    let lease = lock.acquire().await;
    println!("{name} has lease {}", lease.token());
    for _ in 0..3 {
        sleep(Duration::from_millis(300)).await;
        if let Err(expired) = lease.renew() {
            println!("{name} stops: {expired}");
        }
    }
    println!("{name} is done");
}

pub async fn run() -> Result<(), JoinError> {
    let lock = LeaseLock::new(Duration::from_millis(500));
    let pages = Arc::new(Pages::default());
    let moment = Duration::from_millis(100);
    let start =
        |name, times| tokio::spawn(edit(name, lock.clone(), Arc::clone(&pages), times));

    println!("A lease lasts for 0.5 s, and Ann needs 0.2 s:");
    let ann = start("Ann", [200, 0]);
    sleep(moment).await;
    let ben = start("Ben", [200, 0]);
    ann.await?;
    ben.await?;

    println!("Ann is delayed for 0.8 s:");
    let ann = start("Ann", [800, 0]);
    sleep(moment).await;
    let ben = start("Ben", [200, 200]);
    sleep(5 * moment).await;
    let cid = start("Cid", [100, 0]);
    ann.await?;
    println!("last author, with tokens: {}", pages.with_tokens.author());
    println!(
        "last author if the store ignores tokens: {}",
        pages.without.author()
    );
    ben.await?;
    cid.await?;

    println!("Ann needs 0.9 s, and renews:");
    let ann = tokio::spawn(edit_in_steps("Ann", lock.clone()));
    sleep(moment).await;
    let ben = start("Ben", [100, 0]);
    ann.await?;
    ben.await?;

    println!("Ann renews, and is cancelled after 0.2 s:");
    let ann = tokio::spawn(edit_in_steps("Ann", lock.clone()));
    sleep(moment).await;
    let ben = start("Ben", [100, 0]);
    sleep(moment).await;
    ann.abort();
    ben.await?;

    println!("A lease that is never released:");
    let lease = lock.acquire().await;
    println!("lost: lease {}", lease.token());
    mem::forget(lease);
    start("Ben", [100, 0]).await?;
    Ok(())
}
