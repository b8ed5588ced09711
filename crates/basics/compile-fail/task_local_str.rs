//~ error implementation of `Send` is not general enough
//! A task local holds a reference, and two of its scopes run side by side in a task.
//!
//! example: task_locals

use tokio::{join, task_local};

task_local! {
    static USER: &'static str;
}

async fn greet() {
    println!("Hello, {}", USER.get());
}

#[tokio::main]
async fn main() {
    let task = tokio::spawn(async {
        join!(USER.scope("Ada", greet()), USER.scope("Bob", greet()));
    });
    task.await.expect("the task does not fail");
}
