//~ E0382 use of moved value: `task`
//! A task is awaited a second time.
//!
//! example: shared_future

async fn answer() -> u32 {
    42
}

#[tokio::main]
async fn main() {
    let task = tokio::spawn(answer());
    let first = task.await.expect("the task does not fail");
    let second = task.await.expect("the task does not fail");
    println!("{first} {second}");
}
