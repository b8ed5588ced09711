//! Port `collect`: the workers run at the same time, each puts one number into a queue, and
//! all numbers are returned when the last worker has ended.
//!
//!     async def collect(workers):
//!         queue = asyncio.Queue()
//!         await asyncio.gather(*(worker(queue) for worker in workers))
//!         queue.shutdown()
//!         ...
//!
//! `pub async fn collect<W, F>(workers: Vec<W>) -> Vec<u32>` where
//! `W: FnOnce(mpsc::Sender<u32>) -> F` and `F: Future<Output = ()> + Send + 'static`.

use super::prelude::*;

mod naive {
    use super::mpsc;

    pub async fn collect<W, F>(workers: Vec<W>) -> Vec<u32>
    where
        W: FnOnce(mpsc::Sender<u32>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::channel(8);
        for worker in workers {
            tokio::spawn(worker(sender.clone()));
        }
        let mut numbers = Vec::new();
        while let Some(number) = receiver.recv().await {
            numbers.push(number);
        }
        numbers
    }
}

mod right {
    use super::mpsc;

    pub async fn collect<W, F>(workers: Vec<W>) -> Vec<u32>
    where
        W: FnOnce(mpsc::Sender<u32>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::channel(8);
        for worker in workers {
            tokio::spawn(worker(sender.clone()));
        }
        drop(sender);
        let mut numbers = Vec::new();
        while let Some(number) = receiver.recv().await {
            numbers.push(number);
        }
        numbers
    }
}

judge!("never_ends" refuses "the receiver never ends" {
    let worker = |number: u32| async move |sender: mpsc::Sender<u32>| {
        sleep(Duration::from_secs(number.into())).await;
        sender.send(number).await.expect("it is received");
    };
    let workers = (1..=20).rev().map(worker).collect();
    let limit = Duration::from_secs(21);
    let numbers = timeout(limit, answer::collect(workers)).await;
    let numbers = numbers.expect("the receiver never ends");
    assert_eq!(numbers, (1..=20).collect::<Vec<u32>>());
});
