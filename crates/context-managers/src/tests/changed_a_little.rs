//! The changes that readers make first, tried on the public items: into a struct that is
//! shared and printed, into a spawned task, an error type of one's own, generic, and one
//! item more. Nothing runs here: the check is that it compiles.
#![expect(dead_code, reason = "it only has to compile")]

use std::error::Error;
use std::fmt::{Debug, Display};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::task::JoinError;
use tokio_util::task::TaskTracker;

use crate::async_drop::{AsyncClose, CloseError, CloseOnDrop, CloseTasks};
use crate::async_files::{append_line, find_line, read_if_there, write_lines};
use crate::cleanup_on_cancel::with_clean_up;
use crate::connection_pool::{Pool, PoolError, Pooled};
use crate::database_connection::{self, DatabaseError};
use crate::exit_stack::{Entered, ExitErrors, ExitStack};
use crate::lease::{Expired, Lease, LeaseLock};
use crate::nested_scopes::{self, Refused, with_connection};
use crate::savepoints::{self, nested};
use crate::scoped_resource::{ScopeError, scoped};
use crate::structured_scope::{Scope, scope};
use crate::temporary_directory::with_temporary_directory;
use crate::transaction::{self, Transaction, TransactionError};
use crate::unclosed_resources::Registry;

const SECOND: Duration = Duration::from_secs(1);

static LOCK: LazyLock<LeaseLock> = LazyLock::new(|| LeaseLock::new(SECOND));
static POOL: LazyLock<Pool<Session>> = LazyLock::new(sessions);

#[derive(Debug)]
struct Session(u32);

impl AsyncClose for Session {
    type Error = AppError;

    async fn close(self) -> Result<(), AppError> {
        Ok(())
    }
}

#[derive(Debug)]
struct App {
    close_tasks: CloseTasks,
    session: CloseOnDrop<Session>,
    pool: Pool<Session>,
    database: database_connection::Database,
    accounts: transaction::Database,
    orders: savepoints::Database,
    lock: LeaseLock,
    lease: Option<Lease>,
    registry: Registry,
    folder: PathBuf,
}

/// A resource in use, in a separate struct.
#[derive(Debug)]
struct InUse<'a> {
    session: Pooled<Session>,
    entered: Entered<'a, Session>,
    stack: &'a ExitStack<AppError>,
    scope: Scope<u32, AppError>,
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("a task has ended")]
    Task(#[from] JoinError),
    #[error("a file")]
    File(#[from] io::Error),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    #[error("the lease has expired")]
    Expired(#[from] Expired),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("no connection")]
    Refused(#[from] Refused),
    #[error("the account has only {0}")]
    Funds(u32),
    #[error("the session was not closed")]
    Close(#[from] Box<CloseError<AppError>>),
    #[error("at the end")]
    Exit(#[from] ExitErrors<Box<dyn Error + Send + Sync>>),
}

async fn open() -> anyhow::Result<Session> {
    Ok(Session(1))
}

/// What connects has another error, and what is broken is asked of a second one.
fn sessions() -> Pool<Session> {
    Pool::new(
        2,
        SECOND,
        async || Ok(open().await?),
        |session| session.0 > 9,
    )
}

impl App {
    async fn work(&self) -> Result<u32, AppError> {
        let session = self.pool.acquire().await?;
        let other = POOL.acquire().await?;
        let lease = LOCK.acquire().await;
        let number = session.0 + other.0;
        let add = move |db: &mut rusqlite::Connection| {
            db.execute("INSERT INTO sums VALUES (?1)", [number])
        };
        self.database.call(add).await?;
        lease.renew()?;
        Ok(number)
    }

    async fn pay(&self, from: &str, amount: u32) -> Result<u32, AppError> {
        let pay = async |transaction: &mut Transaction| {
            let name = from.to_owned();
            let sql = "SELECT balance FROM accounts WHERE name = ?1";
            let find = move |db: &rusqlite::Connection| {
                db.query_row(sql, [name], |row| row.get(0))
            };
            let balance: u32 = transaction.call(find).await?;
            balance.checked_sub(amount).ok_or(AppError::Funds(balance))
        };
        self.accounts.transaction(pay).await
    }

    async fn order(&self, items: Vec<String>) -> Result<usize, AppError> {
        let order = move |db: &rusqlite::Connection| {
            let mut booked = 0;
            for item in &items {
                let book = |db: &rusqlite::Connection| {
                    db.execute("INSERT INTO orders VALUES (?1)", [item])?;
                    // One more, within it, and an error of one's own.
                    nested(db, |_| Err(AppError::Funds(0)))?
                };
                booked += nested(db, book)?.unwrap_or(0);
            }
            Ok::<_, AppError>(booked)
        };
        self.orders.transaction(order).await
    }

    async fn pay_with_anyhow(&self, from: &str) -> anyhow::Result<u32> {
        let paid = self.accounts.transaction(async |transaction| {
            transaction
                .call(|db| db.execute("DELETE FROM accounts", []))
                .await?;
            anyhow::Ok(self.pay(from, 1).await?)
        });
        let files = with_temporary_directory(&self.folder, async |folder| {
            let path = folder.join("paid");
            write_lines(&path, &[from]).await?;
            append_line(&path, from).await?;
            anyhow::Ok((find_line(&path, from).await?, read_if_there(&path).await?))
        });
        files.await?;
        self.lock.acquire().await.renew()?;
        self.registry.connect(from).close().await;
        paid.await
    }
}

fn spawn_methods(app: Arc<App>, from: String) {
    let (works, pays) = (Arc::clone(&app), Arc::clone(&app));
    tokio::spawn(async move { works.work().await });
    let orders = Arc::clone(&app);
    tokio::spawn(async move { orders.order(Vec::new()).await });
    tokio::spawn(async move { pays.pay_with_anyhow(&from).await });
    tokio::spawn(async move { app.registry.close_all().await });
}

fn spawn_scopes(server: Arc<nested_scopes::Server>, name: String) {
    let tracker = TaskTracker::new();
    tokio::spawn(async move {
        with_connection(&server, "a", async |_| {
            with_connection(&server, "b", async |_| Ok::<_, AppError>(name.len())).await
        })
        .await?;
        let close = async |_| Err(AppError::Funds(0));
        let body = async |session: &mut Session| {
            session.0 += 1;
            Ok(name.len())
        };
        let length = scoped(Session(1), body, close).await;
        with_clean_up(&tracker, async { 1 }, async {}).await?;
        length.map_err(ScopeError::into_first)
    });
}

fn spawn_a_stack(tracker: TaskTracker) {
    tokio::spawn(async move {
        let stack = ExitStack::new(&tracker);
        let body = async {
            let mut first = stack.enter(open().await?, async |_| Ok(()));
            // One more, of another type.
            let file = tokio::fs::File::create("log").await?;
            let second = stack.enter(file, async |file| Ok(file.sync_all().await?));
            stack.push(async { Ok(()) });
            first.0 += u32::from(second.metadata().await?.is_file());
            Ok::<_, Box<dyn Error + Send + Sync>>(first.0)
        };
        let body = body.await;
        Ok::<_, AppError>(stack.close(body).await?)
    });
}

fn spawn_a_scope(names: Vec<String>) {
    tokio::spawn(scope(async |scope| {
        for name in names {
            let inner = scope.clone();
            scope.spawn(async move {
                inner.spawn(async { Ok(()) });
                inner.end(name.len());
                Ok(())
            });
        }
        Err(anyhow::anyhow!("no name"))
    }));
}

fn spawn_a_close(close_tasks: CloseTasks) {
    tokio::spawn(async move {
        let session = close_tasks.guard(Session(1));
        session.close().await.map_err(Box::new)?;
        close_tasks.wait().await;
        Ok::<_, AppError>(())
    });
}

async fn with_session<C, T, E, Fut>(
    pool: &Pool<C>,
    body: impl FnOnce(Pooled<C>) -> Fut,
) -> Result<T, E>
where
    C: Send + 'static,
    E: From<PoolError>,
    Fut: Future<Output = Result<T, E>>,
{
    body(pool.acquire().await?).await
}

async fn closing<R: AsyncClose, T>(
    tasks: &CloseTasks,
    resource: R,
    body: impl AsyncFnOnce(&mut R) -> T,
) -> Result<T, CloseError<R::Error>> {
    let mut guard = tasks.guard(resource);
    let value = body(&mut guard).await;
    guard.close().await?;
    Ok(value)
}

async fn stacked<T, E, Fut>(
    tracker: &TaskTracker,
    body: impl FnOnce(&ExitStack<E>) -> Fut,
) -> Result<T, ExitErrors<E>>
where
    E: Debug + Display + Send + 'static,
    Fut: Future<Output = Result<T, E>>,
{
    let stack = ExitStack::new(tracker);
    let body = body(&stack).await;
    stack.close(body).await
}

async fn committed<T, E: From<TransactionError>>(
    database: &transaction::Database,
    body: impl AsyncFnOnce(&mut Transaction) -> Result<T, E>,
) -> Result<T, E> {
    database.transaction(body).await
}

async fn first<T, E, Fut>(calls: Vec<Fut>, default: T) -> Result<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    scope(async |scope| {
        for call in calls {
            let winner = scope.clone();
            scope.spawn(async move {
                winner.end(call.await?);
                Ok(())
            });
        }
        Ok(default)
    })
    .await
}
