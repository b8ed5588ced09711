//~ E0277 the trait `From<JoinError>` is not implemented for `String`
//! A task's error type is `String`, and a panic cannot be converted to a `String`.
//!
//! example: gather_errors

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;

async fn job(number: u32) -> Result<String, String> {
    sleep(Duration::from_millis(100)).await;
    Err(format!("job {number} failed"))
}

async fn join<F, T, E>(future: F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    tokio::spawn(future).await?
}

#[tokio::main]
async fn main() {
    match join(job(1)).await {
        Ok(text) => println!("{text}"),
        Err(error) => println!("error: {error}"),
    }
}
