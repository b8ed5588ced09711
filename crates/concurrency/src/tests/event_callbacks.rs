//! Which callbacks are called, and in which order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;

use crate::event_callbacks::{EventEmitter, Failure};

/// Notes its number after a while, and then fails if the data says so.
async fn note(
    number: u64,
    called: Arc<Mutex<Vec<u64>>>,
    data: String,
) -> Result<(), Failure> {
    // The later ones are quicker.
    sleep(Duration::from_millis(100 / number)).await;
    called.lock().unwrap().push(number);
    match data == format!("{number} fails") {
        true => Err(data.into()),
        false => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn in_order_up_to_the_first_error() {
    let called = Arc::<Mutex<Vec<u64>>>::default();
    let mut emitter = EventEmitter::default();
    for number in 1..=3 {
        let called = Arc::clone(&called);
        emitter.on("data", move |data| note(number, Arc::clone(&called), data));
    }
    // A shared emitter may emit within a task.
    let emitter = Arc::new(emitter);
    let emit = async |event: &'static str, data: &'static str| {
        let emitter = Arc::clone(&emitter);
        let task = tokio::spawn(async move { emitter.emit(event, data).await });
        let result = task.await.expect("no panic");
        (result, std::mem::take(&mut *called.lock().unwrap()))
    };

    let (result, called) = emit("data", "all succeed").await;
    assert!(result.is_ok());
    assert_eq!(called, [1, 2, 3]);
    let (result, called) = emit("data", "2 fails").await;
    assert_eq!(result.expect_err("the second fails").to_string(), "2 fails");
    assert_eq!(called, [1, 2]);
    let (result, called) = emit("nobody listens", "").await;
    assert!(result.is_ok() && called.is_empty());
}
