//~ error await occurs here on type `LocalSet`, which is not `Send`
//! A `LocalSet` inside a spawned task, which may change its thread.
//!
//! example: send_and_local

use tokio::task::LocalSet;

#[tokio::main]
async fn main() {
    let task = tokio::spawn(async {
        let set = LocalSet::new();
        set.spawn_local(async { println!("here") });
        set.await;
    });
    task.await.expect("no panic");
}
