use std::panic::catch_unwind;
use std::time::Duration;

use tokio::time::timeout;

use crate::semaphore_pool::Pool;

#[tokio::test(start_paused = true)]
async fn limits() {
    assert!(catch_unwind(|| Pool::new(0)).is_err(), "it would hang");
    let pool = Pool::new(1);
    for _ in 0..3 {
        let permit = pool.acquire().await;
        assert_eq!(pool.available_permits(), 0);
        let second = timeout(Duration::from_secs(3600), pool.acquire()).await;
        assert!(second.is_err(), "one at a time");
        drop(permit);
        assert_eq!(pool.available_permits(), 1, "released once");
    }
}
