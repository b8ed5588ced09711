//~ E0277 the `?` operator can only be used on `Result`s, not `Option`s
//! `?` on a value that may be missing, in a function that returns a `Result`.
//!
//! example: propagate_with_question_mark

use std::time::Duration;

use tokio::time::sleep;

async fn setting(key: &str) -> Option<&'static str> {
    sleep(Duration::from_millis(100)).await;
    (key == "port").then_some("80")
}

async fn port() -> Result<String, String> {
    let port = setting("port").await?;
    Ok(format!("port {port}"))
}

#[tokio::main]
async fn main() -> Result<(), String> {
    println!("{}", port().await?);
    Ok(())
}
