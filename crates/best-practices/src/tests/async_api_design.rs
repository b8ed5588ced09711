use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::poll;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use crate::async_api_design::{Batches, DynStore, Store, prefetch};

struct Doubled;

impl Store for Doubled {
    async fn get(&self, id: u32) -> Option<String> {
        yield_now().await;
        assert!(id != 13, "scheduled");
        Some((2 * id).to_string())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_lookups_by_either_trait() {
    let store = Arc::new(Doubled);
    let boxed: Arc<dyn DynStore> = Arc::clone(&store) as Arc<dyn DynStore>;
    let mut tasks = JoinSet::new();
    for id in 100..1100 {
        let (store, boxed) = (Arc::clone(&store), Arc::clone(&boxed));
        tasks.spawn(async move {
            let expected = Some((2 * id).to_string());
            assert_eq!(prefetch(store, id).await.ok(), Some(expected.clone()));
            assert_eq!(boxed.get_boxed(id).await, expected);
        });
    }
    assert_eq!(tasks.join_all().await.len(), 1000);
}

#[tokio::test]
async fn a_panic_stays_in_its_task() {
    let panicked = prefetch(Arc::new(Doubled), 13).await;
    assert!(panicked.is_err_and(|error| error.is_panic()));
}

/// Each call is dropped after one poll, and no event is lost.
#[tokio::test]
async fn dropped_at_each_await() {
    for (events, size) in [(0, 1), (1, 3), (31, 1), (31, 0), (129, 7), (1000, 129)] {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            for event in 0..events {
                yield_now().await;
                sender.send(event).await.expect("it is received");
            }
        });
        let mut batches = Batches::new(receiver, size);
        let mut received = Vec::new();
        loop {
            match poll!(pin!(batches.next())) {
                std::task::Poll::Pending => yield_now().await,
                std::task::Poll::Ready(None) => break,
                std::task::Poll::Ready(Some(batch)) => {
                    assert!(batch.len() <= size.max(1) && !batch.is_empty());
                    received.extend(batch);
                }
            }
        }
        assert!(received.into_iter().eq(0..events), "{events} by {size}");
    }
}

/// The trap: the array lies in the future, and in the future around it.
#[test]
fn the_size_of_a_future() {
    async fn with_array() -> u8 {
        let buffer = [0; 16 * 1024];
        sleep(Duration::ZERO).await;
        buffer[7]
    }
    async fn with_vec() -> u8 {
        let buffer = vec![0; 16 * 1024];
        sleep(Duration::ZERO).await;
        buffer[7]
    }
    let around = async { with_array().await };
    assert!(size_of_val(&around) >= 16 * 1024);
    let around = async { with_vec().await };
    assert!(size_of_val(&around) < 1024);
}
