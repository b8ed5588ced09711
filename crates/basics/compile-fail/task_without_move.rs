//~ E0373 async block may outlive the current function
//! A task's block uses a local variable, and `move` is missing.
//!
//! example: spawn_tasks

#[tokio::main]
async fn main() {
    let name = String::from("Ada");
    let task = tokio::spawn(async {
        println!("Hello, {name}");
    });
    task.await.expect("the task does not fail");
}
