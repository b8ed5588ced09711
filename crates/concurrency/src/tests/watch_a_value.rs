//! What the page says of a `watch` channel.

use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::support::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_it_misses_a_receiver_gets_the_last_value() {
    const LAST: u32 = 200;
    for _ in 0..200 {
        let (sender, receiver) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let mut receiver = receiver.clone();
            tasks.spawn(async move {
                let mut seen = Vec::new();
                while receiver.changed().await.is_ok() {
                    seen.push(*receiver.borrow_and_update());
                }
                seen
            });
        }
        drop(receiver);
        for value in 1..=LAST {
            sender.send(value).expect("they wait for the end");
        }
        drop(sender);
        for seen in soon(tasks.join_all()).await {
            assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
            assert_eq!(seen.last(), Some(&LAST));
        }
    }
}

#[tokio::test]
async fn wait_for_misses_what_holds_only_briefly() {
    let (sender, mut receiver) = watch::channel(0);
    let mut waiting = Box::pin(receiver.wait_for(|value| *value == 5));
    assert!(futures::poll!(&mut waiting).is_pending());
    sender.send_replace(5);
    sender.send_replace(0);
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(sender);
    assert!(soon(waiting).await.is_err());
}

/// The trap of a clone in each turn.
#[tokio::test]
async fn a_clone_has_seen_what_its_original_has_seen() {
    let (sender, mut receiver) = watch::channel(0);
    sender.send_replace(1);
    for _ in 0..3 {
        let changed = receiver.clone().changed().now_or_never();
        assert!(changed.is_some(), "it returns immediately each time");
    }
    receiver.mark_unchanged();
    let changed = receiver.clone().changed().now_or_never();
    assert!(changed.is_none());
}

/// The trap of two guards: a `send` waits for the first one.
#[test]
fn a_send_waits_for_a_guard() {
    let (sender, receiver) = watch::channel(0);
    let guard = receiver.borrow();
    let (sent, is_sent) = std::sync::mpsc::channel();
    let sending = std::thread::spawn(move || {
        sender.send_replace(1);
        sent.send(())
    });
    let meanwhile = is_sent.recv_timeout(std::time::Duration::from_millis(100));
    assert!(meanwhile.is_err(), "it waits");
    drop(guard);
    assert!(sending.join().is_ok_and(|sent| sent.is_ok()));
}
