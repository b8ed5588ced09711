use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use crate::queue_workers::worker;

/// The jobs run side by side, each once, and the workers end after the last.
#[tokio::test(start_paused = true)]
async fn so_many_workers_take_so_much_less_time() {
    for jobs in [0, 1, 31, 129, 1000] {
        for workers in [1, 3, 31] {
            let (queue, receiver) = mpsc::channel(jobs.max(1));
            let receiver = Arc::new(Mutex::new(receiver));
            for _ in 0..jobs {
                queue.try_send(100).expect("there is room");
            }
            drop(queue);
            let start = Instant::now();
            join_all((0..workers).map(|_| worker(Arc::clone(&receiver)))).await;
            let rounds = jobs.div_ceil(workers) as u32;
            assert_eq!(start.elapsed(), rounds * Duration::from_millis(100));
        }
    }
}
