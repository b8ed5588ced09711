//! Private servers for examples and tests: PostgreSQL, Redis, NATS and MariaDB.
//!
//! A server is started from what is installed, on a free port of 127.0.0.1, with its data in
//! a temporary folder. It ends with its [`Server`], and with the program that started it,
//! even if that is killed. A test can kill, restart and pause it.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub use linux::Server;
#[cfg(not(target_os = "linux"))]
pub use other::Server;

/// Where Debian's package `pgbouncer` has its program.
pub const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// Redis, with a log of all writes.
    Redis,
    /// NATS, with JetStream.
    Nats,
    /// MariaDB.
    Mariadb,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Postgres, Self::Redis, Self::Nats, Self::Mariadb];

    /// Returns the name for the command line.
    pub fn name(self) -> &'static str {
        ["postgres", "redis", "nats", "mariadb"][self as usize]
    }

    /// Returns the variable of the environment with the address that examples use.
    pub fn variable(self) -> &'static str {
        ["DATABASE_URL", "REDIS_URL", "NATS_URL", "MYSQL_URL"][self as usize]
    }

    /// Returns how the names of examples begin that need this server.
    fn prefix(self) -> &'static str {
        ["pg_", "redis_", "nats_", "mysql_"][self as usize]
    }

    /// Finds the program of the server.
    ///
    /// # Errors
    ///
    /// `NotFound`, with the package to install.
    pub fn program(self) -> io::Result<PathBuf> {
        let name = ["postgres", "redis-server", "nats-server", "mariadbd"][self as usize];
        let package = [
            "postgresql",
            "redis-server",
            "nats-server",
            "mariadb-server",
        ];
        let paths = env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = env::split_paths(&paths).collect();
        folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
        // Debian has a folder for each version. We take the newest.
        let versions = Path::new("/usr/lib/postgresql").read_dir();
        let versions = versions.into_iter().flatten().flatten().map(|it| it.path());
        let mut versions: Vec<PathBuf> = versions.collect();
        let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
        folders.extend(versions.into_iter().map(|version| version.join("bin")));
        let mut files = folders.into_iter().map(|folder| folder.join(name));
        files.find(|file| file.is_file()).ok_or_else(|| {
            let package = package[self as usize];
            let says = format!(
                "{name} is not installed; on Debian: apt-get install --no-install-recommends \
                 {package}; or set {} to the address of a server",
                self.variable()
            );
            io::Error::new(io::ErrorKind::NotFound, says)
        })
    }
}

/// Runs the command with servers of these kinds, with their addresses in its environment.
/// If the environment already has one, that server is not started. Returns the command's
/// exit code, after the servers have ended.
///
/// # Errors
///
/// When a server cannot be started, or the command.
pub fn with_servers(kinds: &[Kind], mut command: Command) -> io::Result<ExitCode> {
    let missing = kinds
        .iter()
        .copied()
        .filter(|kind| env::var_os(kind.variable()).is_none());
    let starting: Vec<_> = missing
        .map(|kind| (kind, thread::spawn(move || Server::start(kind))))
        .collect();
    let mut servers = Vec::new();
    for (kind, thread) in starting {
        let server = thread.join().expect("it does not panic")?;
        command.env(kind.variable(), server.url());
        servers.push(server);
    }
    let status = command.status();
    drop(servers);
    let status = status.map_err(|error| {
        let program = command.get_program().display();
        io::Error::new(error.kind(), format!("cannot run {program}: {error}"))
    })?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Runs this program again, with the same arguments, with the servers that examples of
/// these names need. Returns nothing if the environment has all addresses already.
///
/// # Errors
///
/// The text to print, when a server cannot be started.
pub fn provide(names: &[&str]) -> Result<Option<ExitCode>, String> {
    let mut needed = Kind::ALL.to_vec();
    needed.retain(|kind| names.iter().any(|name| name.starts_with(kind.prefix())));
    needed.retain(|kind| env::var_os(kind.variable()).is_none());
    if needed.is_empty() {
        return Ok(None);
    }
    let run = || {
        let mut again = Command::new(env::current_exe()?);
        again.args(env::args_os().skip(1));
        with_servers(&needed, again)
    };
    run().map(Some).map_err(|error| error.to_string())
}

/// Reads the command line of `with-servers`: kinds of servers, then a command. Without a
/// kind, all of them.
///
/// # Errors
///
/// How the command is used.
pub fn parse(arguments: Vec<OsString>) -> Result<(Vec<Kind>, Command), String> {
    let named = |word: &OsString| Kind::ALL.into_iter().find(|kind| word == kind.name());
    let mut kinds: Vec<Kind> = arguments.iter().map_while(named).collect();
    let mut command = arguments.into_iter().skip(kinds.len());
    let program = command.next().ok_or_else(|| {
        let names = Kind::ALL.map(Kind::name).join(" ");
        format!("usage: with-servers [{names}] COMMAND...")
    })?;
    if kinds.is_empty() {
        kinds = Kind::ALL.to_vec();
    }
    let mut run = Command::new(program);
    run.args(command);
    Ok((kinds, run))
}
