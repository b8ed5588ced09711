use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::support::{poll_and_drop, soon, tasks};
use crate::client_disconnects::{Unfinished, stop_with_client};

#[tokio::test(start_paused = true)]
async fn the_work_ends_whenever_its_waiter_is_dropped() {
    // Not polled at all, it never starts: no code of the handler has run then.
    for polls in 1..5 {
        let (unfinished, done) = (Unfinished::default(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&done);
        let work = unfinished.finish(async move {
            sleep(Duration::from_millis(100)).await;
            count.fetch_add(1, SeqCst);
        });
        assert!(poll_and_drop(work, polls).await.is_none());
        assert_eq!(done.load(SeqCst), 0);
        unfinished.drain().await;
        assert_eq!(done.load(SeqCst), 1, "dropped after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn results_and_panics_reach_the_waiter() {
    let unfinished = Unfinished::default();
    assert_eq!(unfinished.finish(async { 7 }).await.expect("no panic"), 7);
    let panicked = unfinished.finish(async { panic!("scheduled") }).await;
    assert!(panicked.is_err_and(|error: tokio::task::JoinError| error.is_panic()));
    let start = Instant::now();
    unfinished.drain().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_waiters_are_aborted_and_all_work_is_done() {
    for size in [0, 1, 31, 129, 1_000] {
        let (unfinished, done) = (Unfinished::default(), Arc::new(AtomicUsize::new(0)));
        let open = Arc::new(Semaphore::new(0));
        let mut waiters = JoinSet::new();
        let (begun, mut begins) = mpsc::unbounded_channel();
        for _ in 0..size {
            let (unfinished, done) = (unfinished.clone(), Arc::clone(&done));
            let (open, begun) = (Arc::clone(&open), begun.clone());
            waiters.spawn(async move {
                let work = async move {
                    begun.send(()).expect("it is open");
                    let _permit = open.acquire().await.expect("it is open");
                    done.fetch_add(1, SeqCst);
                };
                unfinished.finish(work).await
            });
        }
        for _ in 0..size {
            soon(begins.recv()).await;
        }
        waiters.shutdown().await;
        assert_eq!(done.load(SeqCst), 0);
        open.add_permits(1);
        soon(unfinished.drain()).await;
        assert_eq!(done.load(SeqCst), size);
    }
}

#[tokio::test]
async fn blocking_work_learns_that_nobody_waits() {
    let (told, mut is_told) = mpsc::unbounded_channel();
    let work = stop_with_client(move |token| {
        while !token.is_cancelled() {
            thread::sleep(Duration::from_millis(1));
        }
        told.send(()).expect("it is open");
    });
    assert!(poll_and_drop(work, 3).await.is_none());
    soon(is_told.recv()).await.expect("it was told");
    assert_eq!(stop_with_client(|_| 7).await.expect("no panic"), 7);
    let unneeded = stop_with_client(|token| token.is_cancelled()).await;
    assert!(!unneeded.expect("no panic"), "somebody waits");
    let panicked = stop_with_client(|_| panic!("scheduled")).await;
    assert!(panicked.is_err_and(|error: tokio::task::JoinError| error.is_panic()));
}

/// What the page says of axum: a handler is dropped, and its task is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn axum_drops_a_handler_whose_client_leaves_and_not_its_task() -> io::Result<()> {
    struct Tell(mpsc::UnboundedSender<&'static str>, &'static str);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.send(self.1);
        }
    }
    let (told, mut is_told) = mpsc::unbounded_channel();
    let unfinished = Unfinished::default();
    let (plain, in_task, tasks_of) = (told.clone(), told.clone(), unfinished.clone());
    let plain = move || async move {
        let _tell = Tell(plain.clone(), "plain: dropped");
        let _ = plain.send("begun");
        sleep(Duration::from_secs(3_600)).await;
    };
    let in_task = move || async move {
        let work = async move {
            let _ = in_task.send("begun");
            sleep(Duration::from_millis(200)).await;
            let _ = in_task.send("task: done");
        };
        let _ = tasks_of.finish(work).await;
    };
    let routes = Router::new()
        .route("/plain", get(plain))
        .route("/task", get(in_task));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let before = tasks();
    let serving = tokio::spawn(async { axum::serve(listener, routes).await });
    let _serving = AbortOnDropHandle::new(serving);
    for (path, expected) in [("plain", "plain: dropped"), ("task", "task: done")] {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        assert_eq!(soon(is_told.recv()).await, Some("begun"));
        drop(stream);
        assert_eq!(soon(is_told.recv()).await, Some(expected));
    }
    soon(unfinished.drain()).await;
    soon(async {
        // The server itself is left.
        while tasks() > before + 1 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    Ok(())
}
