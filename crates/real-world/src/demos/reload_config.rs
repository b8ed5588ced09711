//! A file that is changed, rightly and wrongly, under two tasks, and a SIGHUP after each
//! change.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use crate::reload_config::{Config, ConfigError, ConfigFile, check, greet};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prints the limit, and each change of the file.
async fn limit(mut config: watch::Receiver<Arc<Config>>) {
    loop {
        println!("the limit is {} ms", config.borrow_and_update().every_ms);
        if config.changed().await.is_err() {
            return;
        }
    }
}

/// Returns what both languages can say.
fn reason(error: &ConfigError) -> String {
    match error {
        ConfigError::Parse(error) if error.is_data() => {
            "a field is missing or unknown".to_owned()
        }
        ConfigError::Parse(error) => format!("line {}: no JSON", error.line()),
        error => error.to_string(),
    }
}

/// Sends this process SIGHUP.
#[cfg(unix)]
fn hang_up() -> Result<(), Failure> {
    use rustix::process::{Signal, getpid, kill_process};

    Ok(kill_process(getpid(), Signal::HUP)?)
}

#[cfg(not(unix))]
fn hang_up() -> Result<(), Failure> {
    Err("this demonstration needs SIGHUP, a signal of Unix".into())
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("config.json");
    #[cfg(unix)]
    let hangup = tokio::signal::unix::SignalKind::hangup();
    #[cfg(unix)]
    let mut hangups = tokio::signal::unix::signal(hangup)?;
    #[cfg(windows)]
    let mut hangups = tokio::signal::windows::ctrl_break()?;
    std::fs::write(&path, r#"{"greeting": "hello", "every_ms": 10000}"#)?;
    let mut config = ConfigFile::load(&path, check).await?;

    at(200).await;
    println!("Two tasks with the values of a file:");
    tokio::spawn(greet(config.subscribe()));
    tokio::spawn(limit(config.subscribe()));
    let answered = Notify::new();
    let reloading = async {
        while hangups.recv().await.is_some() {
            match config.reload().await {
                Ok(()) => println!("reloaded"),
                Err(error) => println!("the old values stay: {}", reason(&error)),
            }
            answered.notify_one();
        }
    };
    let changing = async {
        let change = async |millis, what: &str, text: &str| -> Result<(), Failure> {
            at(millis).await;
            println!("{what}:");
            std::fs::write(&path, text)?;
            hang_up()?;
            answered.notified().await;
            Ok(())
        };
        let text = r#"{"greeting": "hi", "every_ms": 20000}"#;
        change(1_000, "Other values", text).await?;
        change(2_000, "Half a file", "{\n\"greeting\": \"h").await?;
        let text = r#"{"greeting": "hi", "every": 10000}"#;
        change(2_500, "A wrong name", text).await?;
        let text = r#"{"greeting": "hi", "every_ms": 0}"#;
        change(3_000, "A value out of range", text).await?;
        at(3_500).await;
        println!("No file:");
        std::fs::remove_file(&path)?;
        hang_up()?;
        answered.notified().await;
        let text = r#"{"greeting": "good evening", "every_ms": 30000}"#;
        change(4_000, "Right again", text).await?;
        at(5_000).await;
        Ok(())
    };
    tokio::select! {
        () = reloading => Ok(()),
        changed = changing => changed,
    }
}
