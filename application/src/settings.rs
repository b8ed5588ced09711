//! The settings, from arguments and the environment: read once, checked before the start.

use std::{net::SocketAddr, num::NonZeroU16, path::PathBuf};

use clap::Parser;

/// A service that appends notes to a file.
#[derive(Debug, Clone, Parser)]
pub struct Settings {
    /// The address to listen on. For port 0 the system chooses a port.
    #[arg(long, env = "APP_ADDRESS", default_value = "127.0.0.1:8080")]
    pub address: SocketAddr,
    /// The file that notes are appended to.
    #[arg(long, env = "APP_JOURNAL", default_value = "notes.txt")]
    pub journal: PathBuf,
    /// How many notes may wait to be written. Further notes are refused with 503.
    #[arg(long, env = "APP_QUEUE", default_value = "1000")]
    pub queue: NonZeroU16,
    /// The seconds that running requests have to end after a signal.
    #[arg(long, env = "APP_DRAIN", default_value = "25")]
    pub drain: NonZeroU16,
}
