use std::sync::Arc;
use std::sync::Mutex;

use tokio::task::yield_now;

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "this is the mistake")]
async fn a_guard_across_an_await_locks_out_the_other_half_of_a_join() {
    let total = Mutex::new(0);
    let first = async {
        let _guard = total.lock().unwrap();
        yield_now().await;
    };
    // `lock` would wait here for a guard that only its own thread can drop.
    let second = async { assert!(total.try_lock().is_err()) };
    tokio::join!(biased; first, second);
}

#[test]
fn a_panic_under_the_lock_poisons_it() {
    let total = Arc::new(Mutex::new(0));
    let shared = Arc::clone(&total);
    let thread = std::thread::spawn(move || {
        let _guard = shared.lock().unwrap();
        panic!("in the middle of a change");
    });
    assert!(thread.join().is_err());
    assert!(total.lock().is_err());
}
