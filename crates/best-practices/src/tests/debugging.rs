use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::debugging::{Shop, sell, take_back, waiting};

/// A thousand tasks on four threads: all are listed while they wait, none after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_tasks_and_no_more() {
    let mut tasks = JoinSet::new();
    for _ in 0..500 {
        let shop = Arc::new(Shop::default());
        tasks.spawn(sell(Arc::clone(&shop)));
        tasks.spawn(take_back(shop));
    }
    let ended = async { while tasks.join_next().await.is_some() {} };
    let limit = Duration::from_millis(500);
    assert!(timeout(limit, ended).await.is_err(), "no deadlock");
    let listed = waiting();
    let in_deadlock = |name: &str| listed.iter().filter(|task| *task == name).count();
    assert_eq!(listed.len(), tasks.len());
    assert_eq!(in_deadlock("sell > open_till"), tasks.len() / 2);
    assert_eq!(in_deadlock("take_back > open_stock"), tasks.len() / 2);
    tasks.shutdown().await;
    assert_eq!(waiting(), Vec::<String>::new());

    let dump = async_backtrace::taskdump_tree(false);
    assert_eq!(dump, "");
    tasks.spawn(sell(Arc::new(Shop::default())));
    tokio::task::yield_now().await;
    while waiting().is_empty() {
        tokio::task::yield_now().await;
    }
    let dump = async_backtrace::taskdump_tree(true);
    assert!(dump.contains("debugging.rs:"), "{dump}");
}
