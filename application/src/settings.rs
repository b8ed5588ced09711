//! The settings, from arguments and the environment: read once, checked before the start.

use std::{env, net::SocketAddr, num::NonZeroU16, path::PathBuf};

use clap::{Arg, CommandFactory as _, Parser, error::ErrorKind};

/// A service that keeps notes.
#[derive(Debug, Clone, Parser)]
pub struct Settings {
    /// The address to listen on. For port 0 the system chooses a port.
    #[arg(long, env = "APP_ADDRESS", default_value = "127.0.0.1:8080")]
    pub address: SocketAddr,
    /// The database. It is created if it does not exist.
    #[arg(long, env = "APP_DATABASE", default_value = "notes.db")]
    pub database: PathBuf,
    /// How many calls may wait for the database. Further ones are refused with 503.
    #[arg(long, env = "APP_QUEUE", default_value = "1000")]
    pub queue: NonZeroU16,
    /// The seconds between a signal and the end of accepting. Meanwhile `/ready` fails,
    /// so that a load balancer stops sending.
    #[arg(long, env = "APP_NOTICE", default_value = "0")]
    pub notice: u16,
    /// The seconds that running requests have to end then.
    #[arg(long, env = "APP_DRAIN", default_value = "25")]
    pub drain: NonZeroU16,
    /// What to log, such as `debug` or `warn,app=debug`.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log: String,
}

impl Settings {
    /// Reads the settings. A wrong one ends the program with a message that names it, and
    /// so does a variable `APP_...` that no setting has.
    pub fn read() -> Self {
        let settings = Self::parse();
        let mut command = Self::command();
        let known: Vec<_> = command.get_arguments().filter_map(Arg::get_env).collect();
        let is_wrong = |name: &std::ffi::OsString| {
            name.as_encoded_bytes().starts_with(b"APP_")
                && !known.contains(&name.as_os_str())
        };
        if let Some(name) = env::vars_os().map(|(name, _)| name).find(is_wrong) {
            let message = format!("there is no setting '{}'", name.display());
            command.error(ErrorKind::UnknownArgument, message).exit();
        }
        settings
    }
}
