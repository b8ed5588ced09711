use std::sync::Arc;
use std::time::Duration;

use tokio::join;
use tokio::sync::{RwLock, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn if_let_has_freed_its_guard_in_else() {
    let lock = RwLock::new(None::<u32>);
    if let Some(value) = lock.read().await.as_ref() {
        panic!("there is no {value}");
    } else {
        assert!(lock.try_write().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_twice_waits_for_the_writer_in_between() {
    let lock = RwLock::new(7);
    let read_twice = async {
        let first = lock.read().await;
        sleep(SECOND * 2).await;
        let again = timeout(SECOND, lock.read()).await;
        assert!(again.is_err());
        *first
    };
    let write = async {
        sleep(SECOND).await;
        *lock.write().await += 1;
    };
    assert_eq!(join!(read_twice, write).0, 7);
    assert_eq!(*lock.read().await, 8);
}

#[tokio::test(start_paused = true)]
async fn who_writes_while_it_reads_waits_for_ever() {
    let lock = RwLock::new(7);
    let guard = lock.read().await;
    assert!(timeout(3600 * SECOND, lock.write()).await.is_err());
    drop(guard);
    // The guard lives to the end of the `match`, which needs only a number.
    match *lock.read().await {
        7 => assert!(timeout(3600 * SECOND, lock.write()).await.is_err()),
        other => panic!("{other}"),
    }
    assert!(timeout(SECOND, lock.write()).await.is_ok());
}

#[tokio::test]
async fn an_owned_guard_moves_into_a_thread_and_keeps_the_lock() {
    let lock = Arc::new(RwLock::new(7));
    let mut guard = Arc::clone(&lock).write_owned().await;
    let (sender, receiver) = oneshot::channel::<()>();
    let call = spawn_blocking(move || {
        receiver.blocking_recv().expect("the test sends");
        *guard += 1;
    });
    assert!(lock.try_read().is_err());
    sender.send(()).expect("the call waits");
    call.await.expect("no panic");
    assert_eq!(*lock.read().await, 8);
}
