//! No reply is lost however soon it comes, and no entry stays behind.

use std::sync::Arc;
use std::task::{Context, Wake};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::sync::{Barrier, mpsc};
use tokio::time::timeout;

use crate::replies_by_number::{Calls, Lost};

const LIMIT: Duration = Duration::from_secs(10);

/// Replies to each request immediately, from another task.
fn echo(calls: &Arc<Calls<u64>>) -> mpsc::UnboundedSender<u64> {
    let (requests, mut receiver) = mpsc::unbounded_channel();
    let calls = Arc::clone(calls);
    tokio::spawn(async move {
        while let Some(number) = receiver.recv().await {
            // The caller may have given up.
            let _ = calls.reply(number, number);
        }
    });
    requests
}

#[test]
fn a_reply_that_comes_before_the_call_is_awaited_is_kept() {
    // `block_on` runs on a separate thread, as an async main does.
    let runtime = tokio::runtime::Runtime::new().expect("it builds");
    runtime.block_on(async {
        let calls = Arc::new(Calls::default());
        let requests = echo(&calls);
        for _ in 0..2000 {
            let (number, call) = calls.start();
            requests.send(number).expect("the server runs");
            let reply = timeout(LIMIT, call).await.expect("a reply");
            assert_eq!(reply, Ok(number));
        }
        assert_eq!(calls.pending(), 0);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_at_once_some_of_them_aborted() {
    for count in [0, 1, 31, 129, 1000] {
        let calls = Arc::new(Calls::default());
        let requests = echo(&calls);
        let tasks: Vec<_> = (0..count)
            .map(|index| {
                let (calls, requests) = (Arc::clone(&calls), requests.clone());
                let task = tokio::spawn(async move {
                    let (number, call) = calls.start();
                    requests.send(number).expect("the server runs");
                    (number, timeout(LIMIT, call).await.expect("a reply"))
                });
                if index % 10 == 9 {
                    task.abort();
                }
                task
            })
            .collect();
        for joined in join_all(tasks).await {
            match joined {
                Ok((number, reply)) => assert_eq!(reply, Ok(number)),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        assert_eq!(calls.pending(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_connection_ends_the_calls_that_wait_and_all_later_ones() {
    let calls = Arc::new(Calls::<String>::default());
    let started = Arc::new(Barrier::new(130));
    let tasks: Vec<_> = (0..129)
        .map(|_| {
            let (calls, started) = (Arc::clone(&calls), Arc::clone(&started));
            tokio::spawn(async move {
                let (_, call) = calls.start();
                started.wait().await;
                timeout(LIMIT, call).await
            })
        })
        .collect();
    started.wait().await;
    assert_eq!(calls.pending(), 129);
    calls.fail_all();
    for joined in join_all(tasks).await {
        assert_eq!(joined.expect("no panic"), Ok(Err(Lost)));
    }
    let (number, call) = calls.start();
    assert_eq!(calls.reply(number, "late".into()), Err("late".to_owned()));
    assert_eq!(timeout(LIMIT, call).await, Ok(Err(Lost)));
}

#[tokio::test]
async fn a_call_is_forgotten_when_it_is_dropped_and_a_reply_is_given_once() {
    let calls = Arc::new(Calls::default());
    let (number, call) = calls.start();
    assert_eq!(calls.pending(), 1);
    drop(call);
    assert_eq!(calls.pending(), 0, "its entry is removed");
    assert_eq!(calls.reply(number, "late"), Err("late"));
    let (number, call) = calls.start();
    assert_eq!(calls.reply(number, "first"), Ok(()));
    assert_eq!(calls.reply(number, "second"), Err("second"));
    assert_eq!(call.await, Ok("first"));
    assert_eq!(calls.pending(), 0);
}

/// A waker that asks the calls, as that of some other runtime may.
struct Asks(Arc<Calls<u64>>);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        let _ = self.0.pending();
    }
}

/// In a separate thread, as it would block forever on a lock that it holds.
#[test]
fn nobody_is_woken_under_the_lock() {
    for fails_all in [true, false] {
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let calls = Arc::new(Calls::default());
            let (_, mut call) = calls.start();
            let waker = Arc::new(Asks(Arc::clone(&calls))).into();
            let mut context = Context::from_waker(&waker);
            assert!(call.poll_unpin(&mut context).is_pending());
            if fails_all {
                calls.fail_all();
            }
            drop(call);
            done.send(()).expect("it is waited for");
        });
        assert!(ended.recv_timeout(LIMIT).is_ok(), "blocked");
    }
}

/// In a struct, with `?` into an error of any type.
struct Client {
    calls: Arc<Calls<Vec<u8>>>,
}

impl Client {
    async fn call(&self) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let (number, call) = self.calls.start();
        self.calls.reply(number, vec![1]).expect("it waits");
        Ok(call.await?)
    }
}

#[tokio::test]
async fn in_a_struct_in_a_task() {
    let client = Client {
        calls: Arc::default(),
    };
    let task = tokio::spawn(async move { client.call().await });
    let reply = task.await.expect("no panic").expect("a reply");
    assert_eq!(reply, [1]);
}

/// The trap: an `async fn call()` registers when it is first polled.
#[tokio::test(start_paused = true)]
async fn a_reply_that_comes_before_its_call_is_registered_is_thrown_away() {
    let calls = Arc::new(Calls::default());
    let call = async { calls.start().1.await };
    // The request is sent, and the server is quick.
    assert_eq!(calls.reply(1, "sooner"), Err("sooner"));
    assert!(timeout(LIMIT, call).await.is_err());
    assert_eq!(calls.pending(), 0);
}
