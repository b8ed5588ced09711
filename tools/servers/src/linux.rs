use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getuid};
use socket2::{Domain, Socket, Type};

use crate::{Kind, PGBOUNCER};

mod process;

use process::Running;

/// How long a server may take until it answers. On a busy machine, MariaDB takes its time.
const STARTING: Duration = Duration::from_secs(60);

/// Removes the folder `$0` when its input ends: also when we are killed. A server that is
/// ending may still write.
const JANITOR: &str = "cat; for i in 1 2 3 4 5; do rm -rf \"$0\" && exit; sleep 1; done";

/// A private server. It ends when this is dropped, and its data goes.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    program: PathBuf,
    address: SocketAddr,
    /// Bound and never listening, so that nobody else gets the port, also while the server
    /// is down. The server sets `SO_REUSEADDR` as well, and may listen.
    _reserved: Socket,
    dir: PathBuf,
    /// As whom the server runs: some refuse to run as root.
    user: Option<&'static str>,
    running: Option<Running>,
    janitor: Child,
}

impl Server {
    /// Starts a PostgreSQL for `postgres` and without `fsync`, a Redis that logs each write, a
    /// NATS with JetStream, or a MariaDB for `root`. None of them asks for a password.
    ///
    /// # Errors
    ///
    /// When it is not installed, or does not answer within a minute, with what it says.
    pub fn start(kind: Kind) -> io::Result<Self> {
        let mut server = Self::new(kind)?;
        server.make_data()?;
        server.restart()?;
        Ok(server)
    }

    /// Starts a hot standby of this PostgreSQL: it has the same data, takes over each change,
    /// and accepts no write before `SELECT pg_promote()`.
    ///
    /// # Errors
    ///
    /// When this is no PostgreSQL that runs, or as [`start`](Self::start).
    pub fn standby(&self) -> io::Result<Self> {
        let mut server = Self::new(self.kind)?;
        // Next to the server itself, and not next to a link to it.
        let program = self.program.canonicalize()?;
        let mut copy = server.command(&program.with_file_name("pg_basebackup"));
        copy.args([
            "--write-recovery-conf",
            "--no-sync",
            "--checkpoint=fast",
            "-D",
        ]);
        copy.arg(server.data()).arg("-d").arg(self.url());
        if !copy.status()?.success() {
            return Err(server.failed("cannot copy the primary"));
        }
        server.restart()?;
        Ok(server)
    }

    /// Starts a PgBouncer before this PostgreSQL. Its open connections take turns.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn pgbouncer(&self, pool_mode: &str) -> io::Result<Self> {
        let mut server = Self::new(self.kind)?;
        server.program = PGBOUNCER.into();
        let (to, own) = (self.address, server.address);
        let settings = format!(
            "[databases]\n* = host={} port={} user=postgres\n[pgbouncer]\n\
             listen_addr = {}\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {pool_mode}\nserver_round_robin = 1\n",
            to.ip(),
            to.port(),
            own.ip(),
            own.port()
        );
        fs::write(server.data(), settings)?;
        server.restart()?;
        Ok(server)
    }

    /// A server without data, which does not run.
    fn new(kind: Kind) -> io::Result<Self> {
        let program = kind.program()?;
        let name = match kind {
            Kind::Postgres => Some("postgres"),
            Kind::Mariadb => Some("mysql"),
            Kind::Redis | Kind::Nats => None,
        };
        let user = name.filter(|_| getuid().is_root());
        let reserved = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        reserved.set_reuse_address(true)?;
        reserved.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = reserved.local_addr()?.as_socket();
        let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let dir = tempfile::Builder::new().prefix("server-").tempdir()?;
        if let Some(user) = user {
            let mut chown = Command::new("chown");
            let owner = format!("{user}:{user}");
            let owned = chown.arg(owner).arg(dir.path()).output()?;
            if !owned.status.success() {
                let says = format!("root cannot start it, and no user is {user}");
                return Err(io::Error::other(says));
            }
        }
        let mut janitor = Command::new("sh");
        // Ctrl-C is for the program in front.
        std::os::unix::process::CommandExt::process_group(&mut janitor, 0);
        let janitor = janitor.args(["-c", JANITOR]).arg(dir.path());
        let janitor = janitor.stdin(Stdio::piped()).stdout(Stdio::null());
        let janitor = janitor.stderr(Stdio::null()).spawn()?;
        Ok(Self {
            kind,
            program,
            address,
            _reserved: reserved,
            dir: dir.keep(),
            user,
            running: None,
            janitor,
        })
    }

    /// Returns the address, as examples read it from the environment.
    pub fn url(&self) -> String {
        let address = self.address;
        match self.kind {
            Kind::Postgres => format!("postgres://postgres@{address}/postgres"),
            Kind::Redis => format!("redis://{address}"),
            Kind::Nats => format!("nats://{address}"),
            Kind::Mariadb => format!("mysql://root@{address}/test"),
        }
    }

    /// Kills the server and all its processes, and waits until they have ended.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts the server again at the same address with the same data, and waits until it
    /// answers. If it runs, kills it before.
    ///
    /// # Errors
    ///
    /// When it does not answer within a minute, with what it says.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        // The process of this number is gone. Another one may have it by now.
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
        let mut command = self.command(&self.program);
        self.options(&mut command);
        self.running = Some(Running::start(command)?);
        let end = Instant::now() + STARTING;
        while !self.answers() {
            let is_alive = self.running.as_ref().is_some_and(Running::is_alive);
            if !is_alive || Instant::now() > end {
                self.kill();
                return Err(self.failed("does not start"));
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Stops all processes of the server, as a machine does that hangs: connections stay
    /// open, and new ones are not refused.
    pub fn pause(&self) {
        self.running.iter().for_each(|it| it.signal(Signal::STOP));
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        self.running.iter().for_each(|it| it.signal(Signal::CONT));
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A program that runs as the server's user, and writes to its log. The kernel kills it
    /// when the thread ends that has started it.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = self.user {
            command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
        }
        command.arg("--").arg(program).current_dir(&self.dir);
        // At its start, MariaDB removes the temporary tables that it finds there.
        command.env("TMPDIR", &self.dir);
        if let Ok(log) = File::options().create(true).append(true).open(self.log())
            && let Ok(errors) = log.try_clone()
        {
            command.stdout(log).stderr(errors);
        }
        command.stdin(Stdio::null());
        command
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Makes the files of an empty database, where the server does not do that itself.
    fn make_data(&self) -> io::Result<()> {
        let data = self.data().display().to_string();
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = self.command(&self.program.with_file_name("initdb"));
                command.args(["--auth=trust", "--no-sync", "--username=postgres"]);
                command.args(["--encoding=UTF8", "--locale=C", "-D", &data]);
                command
            }
            Kind::Mariadb => {
                let mut command = self.command(Path::new("mariadb-install-db"));
                command
                    .args(["--no-defaults", "--auth-root-authentication-method=normal"]);
                command.arg(format!("--datadir={data}"));
                command
            }
            Kind::Redis | Kind::Nats => return fs::create_dir(self.data()),
        };
        match command.status()?.success() {
            true => Ok(()),
            false => Err(self.failed("cannot make its files")),
        }
    }

    fn options(&self, command: &mut Command) {
        let (data, port) = (self.data().display().to_string(), self.address.port());
        let (host, port) = (self.address.ip().to_string(), port.to_string());
        match self.kind {
            Kind::Postgres if self.program.ends_with("pgbouncer") => {
                command.arg(data);
            }
            Kind::Postgres => {
                command.args(["-D", &data, "-h", &host, "-p", &port]);
                // What a killed process has written is not lost, only what a dead machine has.
                let socket = "unix_socket_directories=";
                // Many tests run at the same time.
                for setting in ["fsync=off", "max_connections=400", socket] {
                    command.args(["-c", setting]);
                }
            }
            Kind::Redis => {
                command.args(["--bind", &host, "--port", &port, "--dir", &data]);
                // With `everysec`, a write waits for a sync that takes long, and a killed
                // process would lose it.
                command.args([
                    "--appendonly",
                    "yes",
                    "--appendfsync",
                    "no",
                    "--save",
                    "",
                ]);
            }
            Kind::Nats => {
                command.args(["-a", &host, "-p", &port, "-js", "-sd", &data]);
            }
            Kind::Mariadb => {
                command.args(["--no-defaults", "--skip-name-resolve"]);
                command.arg(format!("--datadir={data}"));
                command.arg(format!("--socket={}", self.dir.join("socket").display()));
                command
                    .args([format!("--bind-address={host}"), format!("--port={port}")]);
            }
        }
    }

    /// Returns whether the server has come up: each greets a client in its own words.
    fn answers(&self) -> bool {
        let (says, expected): (&[u8], &[u8]) = match self.kind {
            // The message that opens a connection, with its length and the protocol 3.0.
            Kind::Postgres => (b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0", b"R\0\0\0\x08"),
            Kind::Redis => (b"PING\r\n", b"+PONG"),
            Kind::Nats => (b"", b"INFO"),
            Kind::Mariadb => (b"", b"native_password"),
        };
        let ask = || {
            let second = Duration::from_secs(1);
            let mut stream = TcpStream::connect_timeout(&self.address, second)?;
            stream.set_read_timeout(Some(second))?;
            stream.write_all(says)?;
            let mut answer = [0; 1024];
            let length = stream.read(&mut answer)?;
            let mut parts = answer[..length].windows(expected.len());
            io::Result::Ok(parts.any(|part| part == expected))
        };
        ask().unwrap_or(false)
    }

    fn failed(&self, what: &str) -> io::Error {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let last = log.lines().rev().take(10).collect::<Vec<&str>>();
        let last = last.into_iter().rev().collect::<Vec<&str>>().join("\n");
        io::Error::other(format!("{} {what}:\n{last}", self.program.display()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // With its input, the janitor does its work.
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}
