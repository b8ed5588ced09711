//~ E0507 cannot move out of `*user` which is behind a shared reference
//! A task local holds a `String`, and `with` would move it out: use `get`, which clones.
//!
//! example: task_locals

use tokio::task_local;

task_local! {
    static USER: String;
}

async fn greet() {
    let user = USER.with(|user| *user);
    println!("Hello, {user}");
}

#[tokio::main]
async fn main() {
    USER.scope(String::from("Ada"), greet()).await;
}
