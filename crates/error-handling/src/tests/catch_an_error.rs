//! What a `match` on a `Result` catches.

use crate::catch_an_error::risky_operation;

#[tokio::test(start_paused = true)]
async fn an_error_is_a_value() {
    assert_eq!(risky_operation("7").await, Ok(7));
    let error = risky_operation("seven").await.expect_err("no number");
    assert_eq!(error.to_string(), "invalid digit found in string");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_not_caught() {
    let task = tokio::spawn(async {
        let bug = async { Ok::<u32, String>(risky_operation("seven").await.unwrap()) };
        match bug.await {
            Ok(_) | Err(_) => (),
        }
    });
    assert!(task.await.is_err_and(|error| error.is_panic()));
}
