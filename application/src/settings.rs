//! The settings, from arguments, the environment and a file: read once, checked before the
//! start.

use std::{env, fs, net::SocketAddr, num::NonZeroU16, path::Path, path::PathBuf};

use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _, Parser};
use clap::{Error, error::ErrorKind};

/// A service that keeps notes.
#[derive(Debug, Clone, Parser)]
pub struct Settings {
    /// A TOML file of settings, such as `queue = 100`. Arguments and the environment win.
    #[arg(long, env = "APP_CONFIG")]
    pub config: Option<PathBuf>,
    /// The address to listen on. For port 0 the system chooses a port.
    #[arg(long, env = "APP_ADDRESS", default_value = "127.0.0.1:8080")]
    pub address: SocketAddr,
    /// The database: a file, which is created if it does not exist, or with the feature
    /// `postgres` also `postgres://user@host/database`.
    #[arg(
        long,
        env = "APP_DATABASE",
        hide_env_values = true,
        default_value = "notes.db"
    )]
    pub database: String,
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
    /// so does a variable `APP_...` or a line of the file that no setting has.
    pub fn read() -> Self {
        let mut command = Self::command();
        let given = command.get_matches_mut();
        let known: Vec<_> = command.get_arguments().filter_map(Arg::get_env).collect();
        let is_wrong = |name: &std::ffi::OsString| {
            name.as_encoded_bytes().starts_with(b"APP_")
                && !known.contains(&name.as_os_str())
        };
        if let Some(name) = env::vars_os().map(|(name, _)| name).find(is_wrong) {
            no_setting(&mut command, &name.display().to_string()).exit();
        }
        let Some(path) = given.get_one::<PathBuf>("config") else {
            return Self::parse();
        };
        let read = with_file(path);
        let read =
            read.and_then(|command| Self::from_arg_matches(&command.try_get_matches()?));
        read.unwrap_or_else(|error| {
            // All else was checked before, so the file is wrong.
            eprintln!("in {}:", path.display());
            error.exit()
        })
    }
}

/// Makes the lines of the file the defaults. So clap checks them as it checks arguments.
fn with_file(path: &Path) -> Result<Command, Error> {
    // A new one: clap does not find its arguments if one changes after it has parsed.
    let mut command = Settings::command();
    let text =
        fs::read_to_string(path).map_err(|error| command.error(ErrorKind::Io, error))?;
    let file: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        command.error(ErrorKind::InvalidValue, error)
    })?;
    for (name, value) in file {
        // Not the file of another file.
        let is_known = |arg: &Arg| arg.get_id() == &*name && name != "config";
        if !command.get_arguments().any(is_known) {
            return Err(no_setting(&mut command, &name));
        }
        let value = match value {
            toml::Value::String(value) => value,
            toml::Value::Integer(value) => value.to_string(),
            _ => {
                let message = format!("'{name}' must be a text or a whole number");
                return Err(command.error(ErrorKind::InvalidValue, message));
            }
        };
        // Read once, so it may stay for the rest of the program.
        let value: &'static str = value.leak();
        command = command.mut_arg(name, |arg| arg.default_value(value));
    }
    Ok(command)
}

fn no_setting(command: &mut Command, name: &str) -> Error {
    let message = format!("there is no setting '{name}'");
    command.error(ErrorKind::UnknownArgument, message)
}
