//! Find the primary PostgreSQL among several hosts, and survive a failover.
//!
//! One host, the primary, accepts writes, and the others are standbys. When the primary
//! dies, its open connections break or go silent. When it becomes a standby, it answers
//! "cannot execute INSERT in a read-only transaction". After each of these failures, the
//! method `Primary::run` below asks the hosts until one of them accepts writes, and
//! repeats your work there.
//!
//! Bounds: The time `answer` limits each connect, and also each run of your work. Make it
//! short, because each round of connects waits that long for each host that hangs. After
//! the time `failover`, `run` returns the last error.
//!
//! Trap: If you list several hosts in one URL and one of them hangs, the hosts behind it
//! are never tried. A hanging host accepts the TCP connection and sends nothing, and
//! `connect_timeout` limits only the TCP connect. Make a `Config` per host and limit the
//! whole connect, as `answer` does here.
//!
//! Trap: If the answer to a commit is lost, the commit may have been done, and `run`
//! repeats your work: make it idempotent. Without synchronous replication, a failover
//! may even lose a commit that returned Ok.
//!
//! In production: After a failover, a pool still has connections to the old primary. When
//! a call fails because of the failover, close all of them, for example with
//! `Pool::retain` of `deadpool-postgres`.
//!
//! See also: `pg_pool`, `pg_transaction`, `pg_idempotency_key`.
//!
//! asyncio: asyncio.timeout, asyncio.sleep

use std::error::Error as _;
use std::time::Duration;

use tokio::time::{Instant, error::Elapsed, sleep, timeout};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};

/// The most time for each step.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a connect to one host, and for the work.
    pub answer: Duration,
    /// The pause before the hosts are asked again.
    pub pause: Duration,
    /// How long a failover may take. After that, `run` returns the last error.
    pub failover: Duration,
}

/// Why the work is not done.
#[derive(Debug, thiserror::Error)]
pub enum FailoverError {
    /// The last error of the last host.
    #[error("no host accepts writes: {}", text(.0))]
    NoPrimary(Error),
    /// The work may have been done.
    #[error("no answer in time")]
    Timeout(#[from] Elapsed),
    /// If the connection broke, the work may have been done.
    #[error("{}", text(.0))]
    Postgres(#[from] Error),
}

fn text(error: &Error) -> String {
    // Without the cause, it is "db error", or "error connecting to server".
    let cause = error.source();
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

impl FailoverError {
    /// Returns whether a failover may be the reason.
    fn may_pass(&self) -> bool {
        let states = [
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
        ];
        match self {
            Self::NoPrimary(_) | Self::Timeout(_) => true,
            Self::Postgres(error) => {
                let state = error.code();
                error.is_closed() || state.is_some_and(|it| states.contains(it))
            }
        }
    }
}

/// A connection to the host that accepts writes.
#[derive(Debug)]
pub struct Primary {
    hosts: Vec<Config>,
    limits: Limits,
    client: Option<Client>,
}

impl Primary {
    /// Takes a `Config` per host. The first call of [`run`](Self::run) connects.
    ///
    /// # Panics
    ///
    /// If there is no host.
    pub fn new(mut hosts: Vec<Config>, limits: Limits) -> Self {
        assert!(!hosts.is_empty(), "there is no host");
        for host in &mut hosts {
            host.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let client = None;
        Self {
            hosts,
            limits,
            client,
        }
    }

    /// Runs `work` on the primary. After a failover, finds the new one and runs a clone
    /// of `work` there.
    ///
    /// If the future is dropped, the connection is closed.
    ///
    /// # Errors
    ///
    /// An error of `work` that is no failover, immediately. Otherwise the last error
    /// when `failover` is over.
    pub async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error> + Clone,
    ) -> Result<T, FailoverError> {
        let start = Instant::now();
        loop {
            match self.attempt(work.clone()).await {
                Err(error)
                    if error.may_pass() && start.elapsed() < self.limits.failover =>
                {
                    sleep(self.limits.pause).await;
                }
                ended => return ended,
            }
        }
    }

    async fn attempt<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, FailoverError> {
        // After an error, or if this future is dropped, nobody uses the connection again.
        let mut client = match self.client.take() {
            Some(client) if !client.is_closed() => client,
            _ => self.connect().await?,
        };
        let done = timeout(self.limits.answer, work(&mut client)).await??;
        self.client = Some(client);
        Ok(done)
    }

    /// Returns a connection to the first host that accepts writes.
    async fn connect(&self) -> Result<Client, FailoverError> {
        let mut last = None;
        for host in &self.hosts {
            last = match timeout(self.limits.answer, host.connect(NoTls)).await {
                Ok(Ok((client, connection))) => {
                    // Ends when the client is dropped. The client tells the errors.
                    tokio::spawn(connection);
                    return Ok(client);
                }
                Ok(Err(error)) => Some(FailoverError::NoPrimary(error)),
                Err(elapsed) => Some(elapsed.into()),
            };
        }
        Err(last.expect("there is a host"))
    }
}

/// Prints which host accepts writes. DATABASE_URL may have several:
/// `postgres://user@one:5432,two:5432/database`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
    let (user, rest) = rest.split_once('@').ok_or("no user in the URL")?;
    let (hosts, database) = rest.split_once('/').ok_or("no database in the URL")?;
    let hosts = hosts.split(',');
    let configs =
        hosts.map(|host| format!("{scheme}://{user}@{host}/{database}").parse());
    let limits = Limits {
        answer: Duration::from_secs(5),
        pause: Duration::from_secs(1),
        failover: Duration::from_secs(60),
    };
    let mut primary = Primary::new(configs.collect::<Result<_, _>>()?, limits);
    let port = primary.run(async |client| {
        let row = client.query_one("SELECT inet_server_port()", &[]).await?;
        Ok(row.get::<_, Option<i32>>(0))
    });
    println!("the primary is at port {}", port.await?.unwrap_or_default());
    Ok(())
}

//@ clock: real
//@ try: -> the primary is at port
