//~ E0277 `?` couldn't convert the error to `SettingsError`
//! `?` between two error types, and no `From` between them.
//!
//! example: propagate_with_question_mark

use std::time::Duration;
use std::{fmt, io};

use tokio::time::sleep;

#[derive(Debug)]
struct SettingsError;

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad settings")
    }
}

impl std::error::Error for SettingsError {}

async fn read() -> io::Result<String> {
    sleep(Duration::from_millis(100)).await;
    Err(io::ErrorKind::NotFound.into())
}

async fn settings() -> Result<String, SettingsError> {
    let settings = read().await?;
    Ok(settings)
}

#[tokio::main]
async fn main() -> Result<(), SettingsError> {
    println!("{}", settings().await?);
    Ok(())
}
