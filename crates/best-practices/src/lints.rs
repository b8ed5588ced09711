//! Let clippy refuse async mistakes that compile, and see what each mistake costs.
//!
//! The compiler accepts the five mistakes in this file:
//! - a future that nobody awaits, so it never runs;
//! - a lock that is held over an await, so others wait;
//! - one `read` for a whole message, which may bring only a part of it;
//! - a blocking call, which stops other futures;
//! - a dropped task handle, so nobody sees the task's error.
//!
//! With `#![deny(..)]` below, `cargo clippy` reports the first four as errors. The lint
//! `unused_results` refuses the fifth, but also harmless lines such as
//! `map.insert(key, value);`. In this file, an `#[expect(..)]` or `#[allow(..)]` marks
//! each mistake as intended. For a whole package, paste the table on the page "production
//! checklist" into `Cargo.toml`. In Python, ruff's rules RUF006 and ASYNC refuse two of
//! the five.
//!
//! Trap: If you write `let _later = save();` or `drop(save())`, no lint warns you that
//! `save` never runs. A future that has a name counts as used, even if it is never
//! awaited. Await each future, and test the effect of the call.
//!
//! Trap: If your CI runs only `cargo build` and `cargo test`, nobody sees these mistakes,
//! because only clippy runs its lints. Run `cargo clippy --all-targets -- -D warnings`.
//!
//! See also: `pitfalls`, `lazy_futures`, `share_state`, `async_api_design`.
//!
//! asyncio: never-awaited coroutine warning, asyncio.create_task

#![deny(
    // A future, stream or `Result` that is dropped immediately.
    unused_must_use,
    clippy::let_underscore_future,
    clippy::async_yields_async,
    // A guard that is held over an await. clippy.toml names further types.
    clippy::await_holding_lock,
    clippy::await_holding_refcell_ref,
    clippy::await_holding_invalid_type,
    // `read` and `write` may process only a part.
    clippy::unused_io_amount,
    // A future of more than 16 KiB.
    clippy::large_futures,
    // Blocking calls, which clippy.toml names.
    clippy::disallowed_methods
)]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::join;
use tokio::time::sleep;

const TENTH: Duration = Duration::from_millis(100);

async fn save(rows: Arc<AtomicU32>) {
    sleep(TENTH).await;
    rows.fetch_add(1, Relaxed);
}

#[expect(clippy::let_underscore_future, reason = "the mistake: it never runs")]
fn save_without_await(rows: &Arc<AtomicU32>) {
    let _ = save(Arc::clone(rows));
}

#[expect(
    unused_results,
    reason = "the mistake: nobody waits, nobody sees an error"
)]
fn save_without_handle(rows: &Arc<AtomicU32>) {
    tokio::spawn(save(Arc::clone(rows)));
}

#[expect(clippy::await_holding_lock, reason = "the mistake: lock, then await")]
async fn sleep_with_lock(lock: &Mutex<()>) {
    let _guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
    sleep(2 * TENTH).await;
}

#[expect(clippy::unused_io_amount, reason = "the mistake: it may read less")]
async fn read_part(mut reader: impl AsyncRead + Unpin) -> io::Result<[u8; 4]> {
    let mut message = *b"....";
    reader.read(&mut message).await?;
    Ok(message)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the mistake, if clippy.toml names it"
)]
async fn block() {
    thread::sleep(2 * TENTH);
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let rows = Arc::default();
    save_without_await(&rows);
    println!("not awaited: {} rows are saved", rows.load(Relaxed));

    save_without_handle(&rows);
    println!("handle dropped: {} rows are saved", rows.load(Relaxed));

    let lock = Mutex::new(());
    let another_task = async {
        sleep(TENTH).await;
        let is_locked = lock.try_lock().is_err();
        println!("lock held over an await: locked for others: {is_locked}");
    };
    join!(sleep_with_lock(&lock), another_task);

    let message = read_part(&b"ab"[..]).await?;
    println!("read once: {}", String::from_utf8_lossy(&message));

    let another_task = async {
        sleep(TENTH).await;
        println!("blocking sleep: a timer of 0.1 s fires after 0.2 s");
    };
    join!(another_task, block());
    Ok(())
}

//@ clock: real
//@ send: no (a guard of std is held over an await)
