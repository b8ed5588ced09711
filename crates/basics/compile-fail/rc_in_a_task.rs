//~ error future cannot be sent between threads safely
//! A task keeps an `Rc` while it awaits.
//!
//! example: send_and_local

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

#[tokio::main]
async fn main() {
    let task = tokio::spawn(async {
        let words = Rc::new(vec!["one", "two"]);
        sleep(Duration::from_millis(100)).await;
        println!("{words:?}");
    });
    task.await.expect("the task does not fail");
}
