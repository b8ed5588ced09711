//~ E0597 `name` does not live long enough
//! A reference to a local variable is moved into a task.
//!
//! example: spawn_tasks

async fn greet(name: &str) {
    println!("Hello, {name}");
}

#[tokio::main]
async fn main() {
    let name = String::from("Ada");
    let task = tokio::spawn(greet(&name));
    task.await.expect("the task does not fail");
}
