//~ E0716 temporary value dropped while borrowed
//! A call in a `join!` borrows a value that is made in its arguments: make it before.
//!
//! example: gather_results

use tokio::join;

async fn greet(name: &str) -> String {
    format!("Hello, {name}")
}

#[tokio::main]
async fn main() {
    let (ada, bob) = join!(greet(&String::from("Ada")), greet(&format!("Bob")));
    println!("{ada} {bob}");
}
