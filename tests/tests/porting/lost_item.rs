//! Port `Pairs.next`, which its callers give a time limit. An item that was taken from the
//! queue before the limit is part of the next pair.
//!
//!     class Pairs:
//!         def __init__(self, queue):
//!             self.queue, self.items = queue, []
//!
//!         async def next(self):
//!             while len(self.items) < 2:
//!                 self.items.append(await self.queue.get())
//!             pair, self.items = self.items, []
//!             return pair
//!
//! `pub struct Pairs` with `pub fn new(receiver: mpsc::Receiver<u32>) -> Self` and
//! `pub async fn next(&mut self) -> Option<(u32, u32)>`: `None` when the queue has ended.

use super::prelude::*;

mod naive {
    use super::mpsc;

    pub struct Pairs(mpsc::Receiver<u32>);

    impl Pairs {
        pub fn new(receiver: mpsc::Receiver<u32>) -> Self {
            Self(receiver)
        }

        pub async fn next(&mut self) -> Option<(u32, u32)> {
            Some((self.0.recv().await?, self.0.recv().await?))
        }
    }
}

mod right {
    use super::mpsc;

    pub struct Pairs {
        receiver: mpsc::Receiver<u32>,
        first: Option<u32>,
    }

    impl Pairs {
        pub fn new(receiver: mpsc::Receiver<u32>) -> Self {
            Self {
                receiver,
                first: None,
            }
        }

        pub async fn next(&mut self) -> Option<(u32, u32)> {
            if self.first.is_none() {
                self.first = Some(self.receiver.recv().await?);
            }
            let second = self.receiver.recv().await?;
            Some((self.first.take()?, second))
        }
    }
}

judge!("lost_item" refuses "an item is lost" {
    let (sender, receiver) = mpsc::channel(8);
    let mut pairs = answer::Pairs::new(receiver);
    sender.send(1).await.expect("open");
    let limited = timeout(Duration::from_secs(1), pairs.next()).await;
    assert!(limited.is_err(), "one item is no pair");
    for item in [2, 3, 4] {
        sender.send(item).await.expect("open");
    }
    drop(sender);
    assert_eq!(pairs.next().await, Some((1, 2)), "an item is lost");
    assert_eq!(pairs.next().await, Some((3, 4)));
    assert_eq!(pairs.next().await, None);
});
