//! Share PostgreSQL connections in a pool: a limit for each wait, clean connections.
//!
//! You pass a closure, and `PgPool::run` runs it on one connection, where Python has
//! `async with pool.acquire()`. If the closure takes too long, panics or is dropped,
//! the server is asked to cancel its statement, and the connection is closed.
//!
//! `asyncpg.create_pool` also resets a connection that comes back; the crate
//! `deadpool-postgres` does not. So this pool runs its own SQL, the constant `RESET`,
//! before the next call: no call finds the settings or locks of an earlier one.
//!
//! `prepare_cached` keeps a prepared statement as long as its connection. Pass values as
//! parameters, or a new statement is kept for each value. Behind PgBouncer, a proxy that
//! shares connections, `prepare_cached` may fail.
//!
//! Bounds: In `Limits` you set the number of connections, and how long a wait for one, a
//! connect, a statement and a whole call may take. A call fails after at most `acquire`,
//! `connect` and `work` together. Unbounded: The calls that wait for a connection.
//!
//! Trap: If you use deadpool's `RecyclingMethod::Verified`, it only checks that a
//! connection still answers. If one call forgets to commit, the next call runs inside
//! that open transaction: its insert succeeds, and is lost when the connection closes.
//! Here `RESET` fails on purpose inside an open transaction, and the pool then closes the
//! connection.
//!
//! Trap: If you print a `tokio_postgres::Error` with `{}`, you see only "db error". Call
//! its method `as_db_error`, which returns the server's message.
//!
//! See also: `pg_tls`, `sqlite_pool`, `connection_pool`.
//!
//! asyncio: asyncio.Semaphore, contextlib.asynccontextmanager

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod,
    Runtime, TimeoutType,
};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};

/// Divides by zero in an open transaction. Then the pool closes the connection, which
/// rolls back. Otherwise it ends what earlier calls have left on the connection.
const RESET: &str = "
    SELECT 1 / (now() = statement_timestamp())::INT;
    SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;";

/// How many connections, and how long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections of this pool; not 0. A server allows about 100 for all
    /// programs.
    pub connections: usize,
    /// How long a call waits until a connection is free.
    pub acquire: Duration,
    /// How long it may take to connect, to check an idle connection, and to cancel.
    pub connect: Duration,
    /// How long the server works on a statement, in whole milliseconds.
    pub statement: Duration,
    /// How long the work of a call takes: for a server that no longer answers. After the
    /// same time the server ends a transaction whose client is silent.
    pub work: Duration,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    #[error("no connection is free")]
    Busy,
    #[error("cannot connect: {}", cause(.0))]
    Connect(#[source] PoolError),
    #[error("the work takes too long")]
    Timeout,
    /// A statement failed. The text is the server's, if it has sent one.
    #[error("{}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
    Postgres(#[from] tokio_postgres::Error),
}

impl From<PoolError> for PgError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Busy,
            PoolError::Backend(error) if error.as_db_error().is_some() => error.into(),
            error => Self::Connect(error),
        }
    }
}

/// Returns the last of the causes, as in "Connection refused".
fn cause(error: &PoolError) -> String {
    let errors = successors(Some(error as &dyn Error), |&error| error.source());
    errors.last().map(ToString::to_string).unwrap_or_default()
}

/// Connections to one database, made when they are needed. Clones share them.
#[derive(Clone, Debug)]
pub struct PgPool {
    pool: Pool,
    limits: Limits,
}

impl PgPool {
    /// Returns a pool without connections. Over a network, require TLS as `pg_tls` does,
    /// and put its connector in place of `NoTls`, here and in `Lease`.
    ///
    /// # Panics
    ///
    /// If `limits.connections` is 0.
    pub fn new(config: Config, limits: Limits) -> Self {
        assert!(
            limits.connections > 0,
            "without connections nobody could work"
        );
        // For the server, 0 is no limit.
        let millis = |limit: Duration| limit.as_millis().clamp(1, i32::MAX as u128);
        let (statement, idle) = (millis(limits.statement), millis(limits.work));
        // A cancellation that comes before its statement does nothing. Then the server
        // ends the statement when it sees that the connection is closed. It looks each
        // second.
        let prepare = format!(
            "{RESET} SET statement_timeout = {statement};
             SET idle_in_transaction_session_timeout = {idle};
             SET client_connection_check_interval = 1000"
        );
        let recycling_method = RecyclingMethod::Custom(prepare.clone());
        let manager = ManagerConfig { recycling_method };
        let prepare = Hook::async_fn(move |client, _| {
            let prepare = prepare.clone();
            Box::pin(async move {
                let prepared = client.batch_execute(&prepare).await;
                prepared.map_err(HookError::Backend)
            })
        });
        let manager = Manager::from_config(config, NoTls, manager);
        let pool = Pool::builder(manager)
            .max_size(limits.connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(limits.acquire))
            .create_timeout(Some(limits.connect))
            .recycle_timeout(Some(limits.connect))
            .post_create(prepare)
            .build()
            .expect("it has a runtime for its timeouts");
        Self { pool, limits }
    }

    /// Runs `work` with a connection. Waiting calls are served first come, first served.
    ///
    /// If the future is dropped, or `work` takes too long or panics, its statement is
    /// cancelled, an open transaction is rolled back, and the connection is closed. A
    /// statement that had just ended has taken effect. A transaction that `work` leaves
    /// open is rolled back, too.
    ///
    /// # Errors
    ///
    /// What `work` returns. The other variants come converted to the caller's error.
    pub async fn run<T, E: From<PgError>>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
    ) -> Result<T, E> {
        let limit = self.limits.connect;
        let getting = timeout(self.limits.acquire.saturating_add(limit), self.pool.get());
        let got = getting.await.unwrap_or_else(|_| {
            // Several connections were silent. The other idle ones may be, too.
            self.pool.retain(|_, _| false);
            Err(PoolError::Timeout(TimeoutType::Recycle))
        });
        let client = got.map_err(PgError::from)?;
        let mut lease = Lease {
            client: Some(client),
            limit,
        };
        let client = lease.client.as_mut().expect("only the end takes it");
        let ended = timeout(self.limits.work, work(client)).await;
        let result = ended.map_err(|_| PgError::Timeout)?;
        // The work has ended, so the connection is free for the next call.
        drop(lease.client.take());
        result
    }

    /// Fails all waiting and further calls. Closes each connection when its call ends.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// Cancels what runs on the connection, unless the connection has been taken out.
struct Lease {
    client: Option<Client>,
    limit: Duration,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(client), Ok(runtime)) = (self.client.take(), Handle::try_current()) {
            let (token, limit) = (client.cancel_token(), self.limit);
            runtime.spawn(async move {
                // If that fails, the server ends the statement soon after the connection.
                let _ = timeout(limit, token.cancel_query(NoTls)).await;
                // Until here it counts. A late cancellation meets no other statement.
                drop(Client::take(client));
            });
        }
    }
}

/// Asks the server of DATABASE_URL for the name of its database.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let limits = Limits {
        connections: 10,
        acquire: Duration::from_secs(5),
        connect: Duration::from_secs(5),
        statement: Duration::from_secs(20),
        work: Duration::from_secs(30),
    };
    let pool = PgPool::new(url.parse()?, limits);
    let name = pool.run::<String, PgError>(async |client| {
        let row = client.query_one("SELECT current_database()", &[]).await?;
        Ok(row.get(0))
    });
    println!("connected to {}", name.await?);
    Ok(())
}

//@ clock: real
//@ try: -> connected to
