//~ E0382 use of moved value: `settings`
//! One value is moved into two tasks.
//!
//! example: once_cell

#[tokio::main]
async fn main() {
    let settings = String::from("eu-north");
    let first = tokio::spawn(async move {
        println!("A in {settings}");
    });
    let second = tokio::spawn(async move {
        println!("B in {settings}");
    });
    first.await.expect("the task does not fail");
    second.await.expect("the task does not fail");
}
