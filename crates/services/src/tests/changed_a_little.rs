//! What readers do with a pasted example: its types in a struct of their own, its
//! functions in a task, with their own error type, and in a generic function.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, Pool};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Mutex;
use tokio::sync::mpsc::channel;
use tokio_postgres::{Client, Config, NoTls};

use super::support::{connect, postgres, soon, unique};
use crate::grpc_calls::Deadline;
use crate::pg_job_queue::{JobQueue, QueueError, create_table};
use crate::pg_leader::{self, LeaderError, Term, lead};
use crate::pg_listen::{self, Event, ListenError, listen};
use crate::pg_outbox::{self, Relay, add_event, is_new};
use crate::pg_pool::{Limits, PgError, PgPool};
use crate::pg_tls::{ConnectError, Failure, PgTls, trust};
use crate::pg_transaction::{Retry, is_conflict, serializable};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const LIMITS: Limits = Limits {
    connections: 2,
    acquire: MINUTE,
    connect: MINUTE,
    statement: MINUTE,
    work: MINUTE,
};

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error(transparent)]
    Pool(#[from] PgError),
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("no such user: {0}")]
    NoUser(String),
}

#[derive(Clone, Debug)]
struct App {
    pool: PgPool,
    jobs: JobQueue,
    schema: String,
}

impl App {
    /// An own error type, a transaction on a pooled connection, and borrowed values.
    async fn register(&self, user: &str) -> Result<i64, AppError> {
        if user.is_empty() {
            return Err(AppError::NoUser(user.to_owned()));
        }
        self.pool
            .run(async |client| {
                let transaction = client.transaction().await?;
                let id = self
                    .jobs
                    .enqueue(&transaction, user, Duration::ZERO)
                    .await?;
                transaction.commit().await?;
                Ok(id)
            })
            .await
    }
}

/// The error of a library that is used in an app with any other.
async fn answer<E: From<PgError> + From<tokio_postgres::Error>>(
    pool: &PgPool,
) -> Result<i32, E> {
    pool.run(async |client| Ok(client.query_one("SELECT 42", &[]).await?.get(0)))
        .await
}

fn is_shared<T: Debug + Send + Sync + 'static>(_: &T) {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_pool_and_a_queue_in_an_app() {
    let schema = unique("app");
    let mut config: Config = postgres().await.parse().expect("a URL");
    config.options(format!("-c search_path={schema}"));
    let pool = PgPool::new(config, LIMITS);
    let jobs = JobQueue {
        lease: MINUTE,
        max_attempts: 3,
        initial_backoff: SECOND,
        max_backoff: MINUTE,
    };
    let app = Arc::new(App { pool, jobs, schema });
    is_shared(&app);
    let prepare = app.pool.run::<_, AppError>(async |client| {
        client
            .batch_execute(&format!("CREATE SCHEMA {}", app.schema))
            .await?;
        Ok(create_table(client).await?)
    });
    prepare.await.expect("it runs");
    let task = {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let user = String::from("Ada");
            app.register(&user).await
        })
    };
    assert_eq!(
        soon(task)
            .await
            .expect("it does not panic")
            .expect("it runs"),
        1
    );
    let error = app.register("").await.expect_err("no name");
    assert_eq!(error.to_string(), "no such user: ");
    let pool = app.pool.clone();
    let tasks = tokio::spawn(async move {
        let boxed = answer::<Box<dyn std::error::Error + Send + Sync>>(&pool).await;
        let any = answer::<anyhow::Error>(&pool).await;
        (boxed.ok(), any.ok())
    });
    assert_eq!(
        soon(tasks).await.expect("it does not panic"),
        (Some(42), Some(42))
    );
    let end = app.pool.run::<_, AppError>(async |client| {
        let job = app.jobs.claim(client).await?.expect("one is due");
        app.jobs.complete(client, &job).await?;
        let drop = format!("DROP SCHEMA {} CASCADE", app.schema);
        Ok(client.batch_execute(&drop).await?)
    });
    end.await.expect("it runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_transaction_in_a_task_with_any_error() {
    struct Shop {
        pool: Pool,
        retry: Retry,
    }
    impl Shop {
        async fn order(&self, items: &[String]) -> anyhow::Result<i64> {
            let again = |error: &anyhow::Error| is_conflict(error.as_ref());
            let transact = || async {
                let mut client = self.pool.get().await?;
                let transaction = serializable(&mut client).await?;
                let sql = "SELECT count(*) FROM unnest($1::TEXT[])";
                let row = transaction.query_one(sql, &[&items]).await?;
                transaction.commit().await?;
                Ok(row.get(0))
            };
            self.retry.run(again, transact).await
        }
    }
    let config = postgres().await.parse().expect("a URL");
    let pool = Pool::builder(Manager::new(config, NoTls))
        .build()
        .expect("a pool");
    let retry = Retry {
        attempts: 3,
        initial_backoff: SECOND,
        max_backoff: MINUTE,
    };
    let shop = Arc::new(Shop { pool, retry });
    let items = vec!["tea".to_owned(), "cake".to_owned()];
    let task = tokio::spawn(async move { shop.order(&items).await });
    let count = soon(task).await.expect("it does not panic");
    assert_eq!(count.expect("it runs"), 2);
    // On a connection that somebody has lent.
    async fn order(client: &mut Client, retry: Retry) -> anyhow::Result<i64> {
        let again = |error: &anyhow::Error| is_conflict(error.as_ref());
        let client = Mutex::new(client);
        let transact = || async {
            let mut client = client.lock().await;
            let transaction = serializable(&mut client).await?;
            let row = transaction.query_one("SELECT 2::BIGINT", &[]).await?;
            transaction.commit().await?;
            Ok(row.get(0))
        };
        retry.run(again, transact).await
    }
    let url = postgres().await;
    let mut client = connect(&url).await;
    let task = tokio::spawn(async move { order(&mut client, retry).await });
    let count = soon(task).await.expect("it does not panic");
    assert_eq!(count.expect("it runs"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_listener_and_a_leader_in_tasks() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    is_error::<ListenError>();
    is_error::<LeaderError>();
    is_error::<QueueError>();
    is_error::<AppError>();
    let name = unique("leader");
    let mut config: Config = postgres().await.parse().expect("a URL");
    config.options(format!("-c search_path={name}"));
    let (client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    let sql = format!("CREATE SCHEMA {name}");
    client.batch_execute(&sql).await.expect("it runs");
    pg_leader::create_table(&client).await.expect("it runs");
    let limits = pg_listen::Limits {
        timeout: MINUTE,
        check_interval: MINUTE,
        reconnect_delay: SECOND,
    };
    let (sender, mut events) = channel(10);
    let listening = tokio::spawn(listen(config.clone(), name.clone(), limits, sender));
    assert!(matches!(soon(events.recv()).await, Some(Event::Resync)));
    let client = Arc::new(client);
    let leading = {
        let (client, name, config) = (Arc::clone(&client), name.clone(), config.clone());
        tokio::spawn(async move {
            // A result of the caller's own, and values that are borrowed.
            let work = async |term: Term| -> Result<i64, AppError> {
                let sql = "SELECT pg_notify($1, $2)";
                client
                    .execute(sql, &[&name, &term.number.to_string()])
                    .await?;
                Ok(term.number)
            };
            lead(config, &name, MINUTE, work).await
        })
    };
    let led = soon(leading).await.expect("it does not panic");
    assert_eq!(led.expect("it leads").expect("it runs"), 1);
    let heard = soon(events.recv()).await;
    assert!(matches!(heard, Some(Event::Notified(heard)) if heard.payload() == "1"));
    drop(events);
    soon(listening).await.expect("it does not panic");
    let sql = format!("DROP SCHEMA {name} CASCADE");
    client.batch_execute(&sql).await.expect("it runs");
}

/// A server behind TLS in an app, and its error in those of an app.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn tls_in_tasks() {
    #[derive(Clone, Debug)]
    struct App {
        server: PgTls,
    }
    async fn answer<E: From<ConnectError> + From<tokio_postgres::Error>>(
        app: &App,
    ) -> Result<i32, E> {
        let client = app.server.connect().await?;
        Ok(client.query_one("SELECT 42", &[]).await?.get(0))
    }
    let key = rcgen::KeyPair::generate().expect("a key");
    let authority = rcgen::CertificateParams::default();
    let authority = authority.self_signed(&key).expect("it signs").pem();
    let tls = trust(authority.as_bytes()).expect("it is a certificate");
    let config = postgres().await.parse().expect("a URL");
    let server = PgTls::new(config, tls, MINUTE);
    let app = Arc::new(App { server });
    is_shared(&app);
    let task = {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let boxed = answer::<Failure>(&app).await.expect_err("it has no TLS");
            let any = answer::<anyhow::Error>(&app).await;
            (boxed.to_string(), any.expect_err("it has no TLS"))
        })
    };
    let (boxed, any) = soon(task).await.expect("it does not panic");
    assert_eq!(boxed, any.to_string());
    assert!(any.downcast_ref::<ConnectError>().is_some(), "{any:?}");
}

/// A deadline in an app, and its error in those of an app.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_in_tasks() {
    #[derive(Debug)]
    struct App {
        deadline: Deadline,
    }
    async fn last<E: From<tonic::Status>>(app: &App) -> Result<u32, E> {
        let call = async { Ok(app.deadline.call(async { Ok(1) }).await?) };
        let number: Result<u32, E> = call.await;
        let numbers = futures::stream::iter([number?]);
        let numbers = app.deadline.stream(numbers.map(Ok));
        Ok(numbers
            .try_fold(0, async |sum, number| Ok(sum + number))
            .await?)
    }
    let app = Arc::new(App {
        deadline: Deadline::after(Duration::ZERO),
    });
    is_shared(&app);
    let task = tokio::spawn(async move {
        let any = last::<anyhow::Error>(&app).await.expect_err("it is over");
        let boxed = last::<Box<dyn std::error::Error + Send + Sync>>(&app).await;
        (any.to_string(), boxed.expect_err("it is over").to_string())
    });
    let (any, boxed) = soon(task).await.expect("it does not panic");
    assert_eq!(any, boxed);
}

/// A relay in a task with any error, and a consumer that borrows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn an_outbox_in_tasks() {
    #[derive(Clone, Debug)]
    struct App {
        relay: Relay,
        schema: String,
    }
    let schema = unique("outbox_app");
    let relay = Relay {
        batch: 10,
        limit: MINUTE,
    };
    let app = Arc::new(App { relay, schema });
    is_shared(&app);
    let mut config: Config = postgres().await.parse().expect("a URL");
    config.options(format!("-c search_path={}", app.schema));
    let (mut client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    let sql = format!("CREATE SCHEMA {}", app.schema);
    client.batch_execute(&sql).await.expect("it runs");
    pg_outbox::create_tables(&client).await.expect("it runs");
    let (sender, mut events) = channel(10);
    let relaying = tokio::spawn(async move {
        let user = String::from("Ada");
        let transaction = client.transaction().await?;
        add_event(&transaction, &user).await?;
        transaction.commit().await?;
        let publish =
            |event| async { Ok::<(), anyhow::Error>(sender.send(event).await?) };
        let count = app.relay.publish_batch(&mut client, publish).await?;
        let transaction = client.transaction().await?;
        let is_new = is_new(&transaction, &app.schema, 1).await?;
        transaction.commit().await?;
        let sql = format!("DROP SCHEMA {} CASCADE", app.schema);
        client.batch_execute(&sql).await?;
        anyhow::Ok((count, is_new))
    });
    let ended = soon(relaying).await.expect("it does not panic");
    assert_eq!(ended.expect("it runs"), (1, true));
    let event = events.recv().await.expect("it was published");
    assert_eq!(event.payload, "Ada");
}

/// Nothing runs here: the check is that it compiles.
#[expect(dead_code, reason = "it only has to compile")]
mod on_redis {
    use std::error::Error;
    use std::fmt::Display;
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use redis::{Client, RedisError};
    use tokio::sync::mpsc::Receiver;
    use tokio::task::JoinHandle;

    use crate::redis_cache::{LoadError, RedisCache};
    use crate::redis_lock::{Lease, Lost, RedisLock};
    use crate::redis_pub_sub::{Event, Limits, subscribe};
    use crate::redis_rate_limit::{RateLimiter, Refused};
    use crate::redis_reconnect::Redis;
    use crate::redis_streams::{Job, Queue, Worker};

    #[derive(Debug, thiserror::Error)]
    enum MyError {
        #[error("too many calls")]
        Refused(#[from] Refused),
        #[error("another process works")]
        Lost(#[from] Lost),
        #[error("no value")]
        Load(#[from] LoadError<io::Error>),
        #[error("no connection")]
        Redis(#[from] RedisError),
    }

    /// Shared by all requests.
    #[derive(Clone, Debug)]
    struct State {
        limiter: RateLimiter<Redis>,
        lock: RedisLock<Redis>,
        cache: RedisCache<Redis>,
        queue: Queue,
        limits: Limits,
    }

    #[derive(Debug)]
    struct Held {
        lease: Lease<Redis>,
        worker: Worker<Redis>,
        events: Receiver<Event>,
        job: Option<Job>,
    }

    /// In a task, with one's own error type, and borrowing locals.
    fn handle(state: Arc<State>, user: String) -> JoinHandle<Result<String, MyError>> {
        tokio::spawn(async move {
            state.limiter.try_acquire(&user).await?;
            let mut steps = Vec::new();
            let lease = state.lock.acquire(Duration::from_millis(50)).await?;
            let work = async |token| {
                steps.push(token);
                user.len()
            };
            let length = lease.hold(work).await?;
            let load = async move { Ok::<_, io::Error>(length.to_string()) };
            Ok(state.cache.get_or_load(&user, load).await?)
        })
    }

    /// Any error of a load, and any work that returns a result.
    async fn both<E, T>(
        state: &State,
        load: impl Future<Output = Result<String, E>> + Send + 'static,
        work: impl AsyncFnOnce(u64) -> Result<T, E>,
    ) -> Result<T, Box<dyn Error + Send + Sync>>
    where
        E: Error + Send + Sync + 'static,
    {
        state.cache.get_or_load("key", load).await?;
        let lease = state.lock.try_acquire().await?;
        let Some(lease) = lease else {
            return Err("it is held".into());
        };
        Ok(lease.hold(work).await??)
    }

    /// A worker in a task, with a handler of one's own.
    fn work<F, E>(
        mut worker: Worker<Redis>,
        handle: impl Fn(Job) -> F + Send + 'static,
    ) -> JoinHandle<Result<(), RedisError>>
    where
        F: Future<Output = Result<(), E>> + Send,
        E: Display + Send,
    {
        tokio::spawn(async move {
            while let Some(job) = worker.next().await? {
                match handle(job.clone()).await {
                    Ok(()) => drop(worker.complete(&job).await?),
                    Err(error) => eprintln!("{}: {error}", job.id),
                }
            }
            Ok(())
        })
    }

    fn listen(client: Client, limits: Limits) -> JoinHandle<Result<usize, RedisError>> {
        tokio::spawn(async move {
            let mut events = subscribe(client, "news", limits).await?;
            let mut gaps = 0;
            while let Some(event) = events.recv().await {
                gaps += usize::from(event == Event::Gap);
            }
            Ok(gaps)
        })
    }

    /// One connection for all.
    async fn shared(
        url: &str,
    ) -> Result<(RateLimiter<Redis>, RedisLock<Redis>), MyError> {
        let second = Duration::from_secs(1);
        let redis = Redis::connect(url, second).await?;
        let limiter = RateLimiter::new(redis.clone(), "calls:", 5, second, second);
        Ok((limiter, RedisLock::new(redis, "lock", 10 * second)))
    }
}
