//~ E0004 non-exhaustive patterns: `Err(ServiceError::Unavailable)` not covered
//! A match that leaves out a kind of error.
//!
//! example: try_except

use std::time::Duration;

use tokio::time::sleep;

enum ServiceError {
    NotFound,
    Unavailable,
}

async fn name_of(user: u32) -> Result<String, ServiceError> {
    sleep(Duration::from_millis(100)).await;
    match user {
        1 => Ok(String::from("Ada")),
        2 => Err(ServiceError::NotFound),
        _ => Err(ServiceError::Unavailable),
    }
}

#[tokio::main]
async fn main() {
    match name_of(3).await {
        Ok(name) => println!("{name}"),
        Err(ServiceError::NotFound) => println!("nobody"),
    }
}
