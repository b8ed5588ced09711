//! Debug a hang: print which function each task is in and where it waits.
//!
//! Tokio alone does not show the stack of a task. With the crate `async-backtrace`, put
//! the attribute `#[framed]` on the async functions that matter. Then
//! `async_backtrace::taskdump_tree(false)` returns all tasks that are in such functions,
//! with file and line, as asyncio's `all_tasks` and `print_call_graph` do. Print this
//! dump when a deadline has passed, or on a signal. Functions without `#[framed]` are
//! left out.
//!
//! Trap: If you put a `timeout` directly around the hanging function, and print the dump
//! when the `timeout` has expired, the function is missing: the `timeout` has dropped its
//! future. Instead, spawn the function as a task, and put the `timeout` around the wait
//! for the task to end, as `main` does. Or pin the future with `pin!` and pass
//! `&mut future` to the `timeout`, which then does not drop the future.
//!
//! Trap: If you call `taskdump_tree(true)`, the call waits until each running task
//! reaches its next await. If a task blocks forever, the dump hangs, and some other
//! functions with `#[framed]` hang when they begin or end. With `false`, as above, the
//! dump does not wait, and shows a running task as `[POLLING]`.
//!
//! In production: `tokio::runtime::Handle::dump` shows the stacks of all tasks, without
//! `#[framed]`. It needs Linux, `--cfg tokio_unstable` and Tokio's feature `taskdump`.
//!
//! See also: `task_dump` (on a signal), `watchdog` (what blocks), `deadlock`.
//!
//! asyncio: asyncio.all_tasks, asyncio.Task.print_stack, asyncio.Task.get_stack
//! asyncio: asyncio.print_call_graph, asyncio.format_call_graph

use std::sync::Arc;
use std::time::Duration;

use async_backtrace::framed;
use tokio::join;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::sleep;

#[derive(Default)]
pub struct Shop {
    stock: Mutex<i32>,
    till: Mutex<i32>,
}

#[framed]
async fn open_stock(shop: &Shop) -> MutexGuard<'_, i32> {
    shop.stock.lock().await
}

#[framed]
async fn open_till(shop: &Shop) -> MutexGuard<'_, i32> {
    shop.till.lock().await
}

#[framed]
pub async fn sell(shop: Arc<Shop>) {
    let mut stock = open_stock(&shop).await;
    sleep(Duration::from_millis(100)).await;
    *open_till(&shop).await += 1;
    *stock -= 1;
}

/// The bug: takes the two locks in the other order than `sell`.
#[framed]
pub async fn take_back(shop: Arc<Shop>) {
    let mut till = open_till(&shop).await;
    sleep(Duration::from_millis(100)).await;
    *open_stock(&shop).await += 1;
    *till -= 1;
}

/// Returns the functions that each task is in, from the outermost, and `[POLLING]` for a
/// task that is running. A service logs `async_backtrace::taskdump_tree(false)`: the same
/// with file and line.
pub fn waiting() -> Vec<String> {
    // `true` would wait for a task that is being polled, and hold up the others.
    let trees = async_backtrace::tasks().map(|task| task.pretty_tree(false));
    let mut tasks: Vec<String> = trees
        .map(|tree| tree.lines().map(function).collect::<Vec<_>>().join(" > "))
        .collect();
    tasks.sort();
    tasks
}

/// Returns `sell` for the line `╼ shop::sell::{{closure}} at src/main.rs:42:1`.
fn function(line: &str) -> &str {
    if line.ends_with("[POLLING]") {
        return "[POLLING]";
    }
    let path = line.split("::{{closure}}").next().unwrap_or(line);
    path.rsplit("::").next().unwrap_or(path)
}

fn print_waiting() {
    let tasks = waiting();
    println!("{} tasks wait", tasks.len());
    for task in tasks {
        println!("{task}");
    }
}

#[tokio::main]
async fn main() {
    let limit = Duration::from_millis(500);
    let shop = Arc::new(Shop::default());

    println!("Two tasks that have not ended after 0.5 s:");
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(sell(Arc::clone(&shop)));
    tasks.spawn(take_back(Arc::clone(&shop)));
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(limit, ended).await.is_err() {
        print_waiting();
    }
    tasks.shutdown().await;

    println!("The same two inside the timeout, which drops them:");
    let both = async { join!(sell(Arc::clone(&shop)), take_back(shop)) };
    if tokio::time::timeout(limit, both).await.is_err() {
        print_waiting();
    }
}
