use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::gather::{Failure, gather};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_tasks_run_on_when_it_is_dropped() {
    let (sender, receiver) = oneshot::channel();
    let work = async {
        sleep(SECOND * 2).await;
        sender.send(7).map_err(|_| Failure::from("nobody listens"))
    };
    assert!(timeout(SECOND, gather([work])).await.is_err());
    assert_eq!(timeout(SECOND * 2, receiver).await, Ok(Ok(7)));
}

#[tokio::test]
async fn a_panic_is_an_error() {
    let results = gather([async {
        assert_eq!(1, 2, "a bug");
        Ok::<u32, Failure>(1)
    }]);
    assert!(results.await.is_err());
}
