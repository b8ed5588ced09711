//! Reload a config file on SIGHUP: all tasks see the new values, a wrong file is refused.
//!
//! A `tokio::sync::watch` channel holds the latest values. For each piece of work, a
//! task takes the values once, as an `Arc`, so it never mixes old and new ones.
//! `changed` waits for new values. If the new file is wrong, the old values stay.
//! asyncio has `loop.add_signal_handler` for the signal. The file is JSON; for TOML,
//! call `toml::from_slice` instead. `#[serde(default)]` fills what the file omits.
//!
//! Bounds: Signals during a reload cause one more reload. Unbounded: The size of the
//! file.
//!
//! Trap: If SIGHUP arrives before your program listens for it, it ends the program.
//! Call `signal` first of all, before you read the file.
//!
//! Trap: If a user closes the terminal, your program gets SIGHUP as well. It then reloads
//! and keeps running, unseen. Listen for SIGHUP only if the program runs as a service,
//! without a terminal.
//!
//! Platforms: Windows has no SIGHUP. There the program listens for Ctrl-Break.
//!
//! See also: `watch_a_value`, `graceful_shutdown`, `write_whole_file`, `json_logs`.
//!
//! asyncio: loop.add_signal_handler, asyncio.Condition

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// Why a file was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the file: {}", .0.kind())]
    Read(#[from] io::Error),
    /// It is not JSON, or a field is missing, unknown or of another type.
    #[error("{0}")]
    Parse(#[from] serde_json::Error),
    /// What the caller's check returned.
    #[error("{0}")]
    Invalid(String),
}

/// Values from a JSON file that can be loaded again.
#[derive(Debug)]
pub struct ConfigFile<T> {
    path: PathBuf,
    check: fn(&T) -> Result<(), String>,
    values: watch::Sender<Arc<T>>,
}

impl<T: DeserializeOwned> ConfigFile<T> {
    /// Loads the file. `check` looks at values that have the right types, and says what
    /// is wrong with them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: without a right file there are no values.
    pub async fn load(
        path: impl Into<PathBuf>,
        check: fn(&T) -> Result<(), String>,
    ) -> Result<Self, ConfigError> {
        let path = path.into();
        let values = watch::Sender::new(Arc::new(read(&path, check).await?));
        Ok(Self {
            path,
            check,
            values,
        })
    }

    /// Returns a receiver, which always has the latest values. When the `ConfigFile` is
    /// dropped, `changed` fails, and the last values stay.
    pub fn subscribe(&self) -> watch::Receiver<Arc<T>> {
        self.values.subscribe()
    }

    /// Loads the file again, and sends the values to all receivers.
    ///
    /// Cancel safety: if the future is dropped, the old values stay.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]; the old values stay.
    pub async fn reload(&mut self) -> Result<(), ConfigError> {
        let values = read(&self.path, self.check).await?;
        self.values.send_replace(Arc::new(values));
        Ok(())
    }
}

async fn read<T: DeserializeOwned>(
    path: &Path,
    check: fn(&T) -> Result<(), String>,
) -> Result<T, ConfigError> {
    let values = serde_json::from_slice(&tokio::fs::read(path).await?)?;
    check(&values).map_err(ConfigError::Invalid)?;
    Ok(values)
}

/// The values of this program.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub greeting: String,
    pub every_ms: u64,
}

/// Returns what is wrong with values of the right types.
pub fn check(config: &Config) -> Result<(), String> {
    match config.every_ms {
        10..=60_000 => Ok(()),
        other => Err(format!("every_ms: {other} is not between 10 and 60000")),
    }
}

/// Greets until its values can change no more.
pub async fn greet(mut config: watch::Receiver<Arc<Config>>) {
    loop {
        let now = Arc::clone(&config.borrow_and_update());
        println!("{}", now.greeting);
        let pause = std::time::Duration::from_millis(now.every_ms);
        // New values end the pause.
        if let Ok(Err(_)) = tokio::time::timeout(pause, config.changed()).await {
            return;
        }
    }
}

/// Greets as the file says, `{"greeting": "hello", "every_ms": 1000}`, until Ctrl-C:
/// `cargo run -- config.json`, and elsewhere `pkill -HUP` with the program's name.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    #[cfg(unix)]
    let hangup = tokio::signal::unix::SignalKind::hangup();
    #[cfg(unix)]
    let mut hangups = tokio::signal::unix::signal(hangup)?;
    // Windows has no SIGHUP.
    #[cfg(windows)]
    let mut hangups = tokio::signal::windows::ctrl_break()?;
    let path = std::env::args().nth(1).ok_or("usage: FILE")?;
    let mut config = ConfigFile::load(path, check).await?;
    tokio::spawn(greet(config.subscribe()));
    let reloading = async {
        while hangups.recv().await.is_some() {
            match config.reload().await {
                Ok(()) => println!("reloaded"),
                Err(error) => eprintln!("the old values stay: {error}"),
            }
        }
    };
    tokio::select! {
        () = reloading => Ok(()),
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}

//@ clock: real
//@ order: limit
//@ try: nowhere.json -> No such file
