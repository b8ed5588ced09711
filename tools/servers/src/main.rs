//! `with-servers [postgres redis nats mariadb] COMMAND...`: runs a command with private
//! servers, with their addresses in DATABASE_URL, REDIS_URL, NATS_URL and MYSQL_URL. Without
//! a name, all of them. An address that is set already is left as it is.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let ended =
        servers::parse(env::args_os().skip(1).collect()).and_then(|(kinds, run)| {
            servers::with_servers(&kinds, run).map_err(|error| error.to_string())
        });
    ended.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::from(2)
    })
}
