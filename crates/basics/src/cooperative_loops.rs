//! Long loops: let other code run in between, and let a timeout end the loop.
//!
//! A loop that never awaits starves the other futures of its task, because a task cannot
//! be interrupted between two awaits. Those futures run only when the loop awaits
//! something that is not ready. So call `yield_now().await`, in asyncio `sleep(0)`, after
//! each portion of the work. `tokio::task::consume_budget().await` costs less: it yields
//! only once in many portions. Tokio's channels and sockets yield now and then by
//! themselves.
//!
//! Trap: If you put a `timeout` around a loop without an await, the loop runs to its end,
//! because a `timeout` can end a future only at an await. Here the loop returns its
//! result after 300 ms, in spite of a `timeout` of 100 ms. Work that cannot be cut into
//! portions belongs in `spawn_blocking`.
//!
//! Trap: If you poll a channel or a socket in a loop without an await, by `now_or_never`
//! or in a `poll` of your own, then after 128 items it returns nothing although more is
//! there. This is how Tokio makes the task yield. Use `try_recv`, or await in the loop.
//!
//! See also: `blocking_vs_async`, `yield_now`, `cpu_bound`.
//!
//! asyncio: asyncio.sleep(0), asyncio.gather, asyncio.timeout

use std::thread;
use std::time::Duration;

use tokio::task::yield_now;

/// Simulates a computation that takes this long.
fn compute(portion: u32, millis: u64) -> u32 {
    thread::sleep(Duration::from_millis(millis));
    portion * portion
}

/// Computes all portions without an await.
async fn greedy(portions: u32, millis: u64) -> u32 {
    let mut total = 0;
    for portion in 1..=portions {
        total += compute(portion, millis);
    }
    total
}

/// Lets other tasks run after each portion.
pub async fn cooperative(portions: u32, millis: u64) -> u32 {
    let mut total = 0;
    for portion in 1..=portions {
        total += compute(portion, millis);
        yield_now().await;
    }
    total
}

async fn neighbour() {
    for turn in 1..=3 {
        println!("The neighbour's turn {turn}");
        yield_now().await;
    }
}

#[tokio::main]
async fn main() {
    println!("A greedy loop and its neighbour:");
    // Without `biased`, `join!` begins each round with another future, to be fair.
    let (total, ()) = tokio::join!(biased; greedy(6, 50), neighbour());
    println!("Total: {total}");

    println!("A cooperative loop and its neighbour:");
    let (total, ()) = tokio::join!(biased; cooperative(6, 50), neighbour());
    println!("Total: {total}");

    let limit = Duration::from_millis(100);
    println!("A greedy loop with a limit of 100 ms:");
    match tokio::time::timeout(limit, greedy(6, 50)).await {
        Ok(total) => println!("Total: {total}"),
        Err(_) => println!("Timed out"),
    }

    println!("A cooperative loop with a limit of 100 ms, in short portions:");
    match tokio::time::timeout(limit, cooperative(30, 10)).await {
        Ok(total) => println!("Total: {total}"),
        Err(_) => println!("Timed out"),
    }
}

//@ clock: real
