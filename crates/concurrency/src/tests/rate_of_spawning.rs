use std::time::Duration;

use tokio::runtime::Handle;
use tokio::select;
use tokio::time::sleep;

use crate::rate_of_spawning::{permit_before, permit_inside};

/// The result of the future, and the most tasks that were alive at any millisecond.
async fn most_tasks<F: Future>(future: F) -> (F::Output, usize) {
    let metrics = Handle::current().metrics();
    let mut most = 0;
    let watching = async {
        loop {
            sleep(Duration::from_millis(1)).await;
            most = most.max(metrics.num_alive_tasks());
        }
    };
    let output = select! {
        output = future => output,
        () = watching => unreachable!("it goes on for ever"),
    };
    (output, most)
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand() {
    let (sum, most) = most_tasks(permit_before(100_000, 1_000)).await;
    assert_eq!((sum.ok(), most), (Some(4_999_950_000), 1_000));
    let (sum, most) = most_tasks(permit_inside(100_000, 50_000)).await;
    assert_eq!((sum.ok(), most), (Some(4_999_950_000), 100_000));
}
