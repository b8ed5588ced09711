//~ E0277 `(dyn std::error::Error + 'static)` cannot be sent between threads safely
//! A task returns a boxed error that may not move to another thread.
//!
//! example: propagate_with_question_mark

use std::error::Error;
use std::time::Duration;

use tokio::time::sleep;

async fn port() -> Result<u16, Box<dyn Error>> {
    sleep(Duration::from_millis(100)).await;
    Ok("many".parse()?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = tokio::spawn(port()).await??;
    println!("{port}");
    Ok(())
}
