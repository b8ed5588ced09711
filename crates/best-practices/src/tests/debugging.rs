use std::future::pending;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_backtrace::framed;
use futures::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::debugging::{Shop, sell, take_back, waiting};

/// The list of framed tasks is one for the process.
static ALONE: Mutex<()> = Mutex::const_new(());

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

#[framed]
async fn blocks(begun: mpsc::Sender<()>, released: mpsc::Receiver<()>) {
    begun.send(()).expect("it is received");
    let _ = released.recv();
}

/// Returns a thread whose task blocks until the sender is dropped.
fn block_a_thread() -> (mpsc::Sender<()>, JoinHandle<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let blocked = thread::spawn(move || runtime().block_on(blocks(begun, released)));
    has_begun.recv().expect("it begins");
    (release, blocked)
}

/// The trap: the dump neither waits for a poll that does not end, nor stops the others.
#[test]
fn a_task_that_blocks_is_shown_as_polling() {
    #[framed]
    async fn healthy() {}

    let _alone = ALONE.blocking_lock();
    let (release, blocked) = block_a_thread();

    let (report, reports) = mpsc::channel();
    thread::spawn(move || report.send(waiting()));
    let listed = reports.recv_timeout(Duration::from_secs(30));
    assert_eq!(listed.expect("no wait"), ["blocks > [POLLING]"]);
    runtime().block_on(healthy());
    drop(release);
    blocked.join().expect("no panic");
}

/// The trap: with `true` the dump waits for the poll, and holds up other functions: those
/// that the crate keeps in the same part of its list.
#[test]
fn a_full_dump_waits_for_a_task_that_blocks_and_holds_up_others_that_begin() {
    #[framed]
    async fn waits() {
        pending::<()>().await;
    }

    let _alone = ALONE.blocking_lock();
    let (release, blocked) = block_a_thread();

    let (report, reports) = mpsc::channel();
    let report_too = report.clone();
    let dumps = thread::spawn(move || {
        drop(async_backtrace::taskdump_tree(true));
        report.send("dumped").expect("it is received");
    });
    let short = Duration::from_millis(200);
    assert!(reports.recv_timeout(short).is_err(), "the dump waits");
    let others = thread::spawn(move || {
        let mut begun = Vec::new();
        for _ in 0..10_000 {
            let mut one = Box::pin(waits());
            assert!((&mut one).now_or_never().is_none());
            begun.push(one);
        }
        report_too.send("all have begun").expect("it is received");
    });
    assert!(reports.recv_timeout(2 * short).is_err(), "one is held up");
    drop(release);
    for thread in [blocked, dumps, others] {
        thread.join().expect("no panic");
    }
    assert_eq!(reports.iter().count(), 2);
}

/// A thousand tasks on four threads: all are listed while they wait, none after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_tasks_and_no_more() {
    let _alone = ALONE.lock().await;
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
