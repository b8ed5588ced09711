//! Behind PgBouncer: which examples work, and how the others fail, as chapter 11 says.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use deadpool_postgres::{Manager, Pool, Transaction};
use futures::stream;
use servers::Kind;
use tokio::sync::mpsc::{UnboundedSender, channel, unbounded_channel};
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::support::{private, soon};
use crate::pg_worker::{Failure, Handler, Job, Worker, causes};
use crate::{
    pg_copy, pg_cron_once, pg_failover, pg_idempotency_key, pg_job_queue, pg_leader,
    pg_listen, pg_migrations, pg_optimistic_update, pg_outbox, pg_pool, pg_trace_context,
    pg_transaction,
};

const MINUTE: Duration = Duration::from_secs(60);
const OPTIONS: Option<&str> = Some("unsupported startup parameter: options");
const PREPARED: Option<&str> = Some("prepared statement \"");

/// How each example fails with `pool_mode = session`, and with `transaction`.
const EXAMPLES: [(&str, Option<&str>, Option<&str>); 14] = [
    ("pg_copy", None, PREPARED),
    ("pg_cron_once", None, PREPARED),
    ("pg_failover", None, None),
    ("pg_idempotency_key", None, None),
    ("pg_job_queue", None, PREPARED),
    ("pg_leader", OPTIONS, OPTIONS),
    ("pg_listen", None, Some("it hears nothing")),
    ("pg_migrations", None, PREPARED),
    ("pg_optimistic_update", None, PREPARED),
    ("pg_outbox", None, None),
    ("pg_pool", None, PREPARED),
    ("pg_trace_context", None, None),
    ("pg_transaction", None, None),
    ("pg_worker", None, PREPARED),
];

const TABLES: &str = "
    CREATE TABLE readings (sensor BIGINT, value DOUBLE PRECISION, note TEXT);
    CREATE TABLE documents (id BIGINT, text TEXT, version BIGINT);
    INSERT INTO documents VALUES (1, '', 1);
    INSERT INTO jobs (payload, due) SELECT '', now() FROM generate_series(1, 100);
    INSERT INTO traced_jobs (payload, traceparent) VALUES ('', ''), ('', '')";

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
#[cfg_attr(any(no_postgres, no_pgbouncer), ignore = "pgbouncer is not installed")]
async fn each_example_works_behind_it_or_fails_as_the_chapter_says() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let files = fs::read_dir(source).expect("it is there");
    let names = files.map(|file| file.expect("it is there").file_name());
    let names = names.map(|name| name.to_string_lossy().replace(".rs", ""));
    // `pg_tls` would need a certificate of PgBouncer.
    let mut missing = names.filter(|name| name.starts_with("pg_") && name != "pg_tls");
    assert_eq!(
        missing.find(|it| EXAMPLES.iter().all(|row| row.0 != it)),
        None
    );

    let server = private(Kind::Postgres).await;
    let client = connect(&server.url()).await.expect("it runs");
    pg_cron_once::create_table(&client).await.expect("a table");
    pg_idempotency_key::create_table(&client)
        .await
        .expect("a table");
    pg_job_queue::create_table(&client).await.expect("a table");
    pg_leader::create_table(&client).await.expect("a table");
    pg_outbox::create_tables(&client).await.expect("tables");
    pg_trace_context::create_table(&client)
        .await
        .expect("a table");
    client.batch_execute(TABLES).await.expect("tables");
    for mode in ["session", "transaction"] {
        let bouncer = server.pgbouncer(mode).expect("it starts");
        let url = bouncer.url();
        // Three connections to the server: no two statements of a call on the same.
        let clients = [(); 3].map(|()| connect(&url));
        let clients = futures::future::try_join_all(clients)
            .await
            .expect("it runs");
        for sql in ["BEGIN", "COMMIT"] {
            for client in &clients {
                client.batch_execute(sql).await.expect("it runs");
            }
        }
        drop(clients);
        for (example, in_session, in_transaction) in EXAMPLES {
            let expected = if mode == "session" {
                in_session
            } else {
                in_transaction
            };
            let ended = soon(call(example, &url, mode)).await;
            let ended = ended.map_err(|error| causes(&*error));
            println!("{mode}: {example}: {ended:?}");
            match expected {
                None => assert_eq!(ended, Ok(()), "{mode}: {example}"),
                Some(text) => {
                    let error = ended.expect_err(example);
                    assert!(error.contains(text), "{mode}: {example}: {error}");
                }
            }
        }
    }
}

async fn call(example: &str, url: &str, mode: &str) -> Result<(), Failure> {
    let config: Config = url.parse()?;
    let mut client = connect(url).await?;
    match example {
        "pg_copy" => {
            let (sensor, value, note) = (1, 1.0, None);
            let row = pg_copy::Reading {
                sensor,
                value,
                note,
            };
            let rows = stream::iter([Ok::<_, Failure>(row)]);
            pg_copy::store(&client, rows).await?;
        }
        "pg_cron_once" => {
            let schedule = pg_cron_once::Schedule {
                name: "report".to_owned(),
                first: UNIX_EPOCH,
                interval: MINUTE,
                lease: MINUTE,
                max_attempts: 1,
            };
            schedule.turn(&client).await?;
        }
        "pg_failover" => {
            let limits = pg_failover::Limits {
                answer: MINUTE,
                pause: Duration::ZERO,
                failover: Duration::ZERO,
            };
            let mut primary = pg_failover::Primary::new(vec![config], limits);
            primary
                .run(async |client: &mut Client| client.batch_execute("").await)
                .await?;
        }
        "pg_idempotency_key" => {
            let request = pg_idempotency_key::Request {
                account: "Ada",
                key: "1",
                body: "tea",
            };
            let work = async |_: &tokio_postgres::Transaction<'_>| {
                Ok::<_, Failure>(String::new())
            };
            pg_idempotency_key::once(&mut client, request, MINUTE, work).await?;
        }
        "pg_job_queue" => {
            let jobs = pg_job_queue::JobQueue {
                lease: MINUTE,
                max_attempts: 2,
                initial_backoff: MINUTE,
                max_backoff: MINUTE,
            };
            let pool = Pool::builder(Manager::new(config, NoTls)).build()?;
            jobs.claim(&pool.get().await?).await?.ok_or("no job")?;
        }
        "pg_leader" => pg_leader::lead(config, "reports", MINUTE, async |_| ()).await?,
        "pg_listen" => hear(config, &client, mode).await?,
        "pg_migrations" => {
            let migrations = pg_migrations::Migrations {
                statements: &["CREATE TABLE notes (text TEXT)"],
                lock_timeout: MINUTE,
                pause: Duration::ZERO,
                attempts: 1,
            };
            migrations.run(&mut client).await?;
        }
        "pg_optimistic_update" => {
            pg_optimistic_update::change_locked(&mut client, 1, |text| text).await?;
            pg_optimistic_update::change(&client, 1, 1, |text| text).await?;
        }
        "pg_outbox" => {
            let transaction = client.transaction().await?;
            pg_outbox::add_event(&transaction, "tea").await?;
            transaction.commit().await?;
            let (batch, limit) = (10, MINUTE);
            let relay = pg_outbox::Relay { batch, limit };
            let publish = async |_| Ok::<_, Failure>(());
            assert_eq!(relay.publish_batch(&mut client, publish).await?, 1);
        }
        "pg_pool" => {
            let limits = pg_pool::Limits {
                connections: 1,
                acquire: MINUTE,
                connect: MINUTE,
                statement: MINUTE,
                work: MINUTE,
            };
            let work = async |client: &mut deadpool_postgres::Client| {
                client.query_one("SELECT 1", &[]).await?;
                Ok::<_, pg_pool::PgError>(())
            };
            pg_pool::PgPool::new(config, limits).run(work).await?;
        }
        "pg_trace_context" => {
            let work = async |_| Ok::<_, Failure>(());
            assert!(pg_trace_context::work(&mut client, work).await?);
        }
        "pg_transaction" => {
            let transaction = pg_transaction::serializable(&mut client).await?;
            transaction.query_one("SELECT 1", &[]).await?;
            transaction.commit().await?;
        }
        "pg_worker" => work(config).await?,
        other => panic!("call {other}"),
    }
    Ok(())
}

async fn hear(config: Config, client: &Client, mode: &str) -> Result<(), Failure> {
    let limits = pg_listen::Limits {
        timeout: MINUTE,
        check_interval: 60 * MINUTE,
        reconnect_delay: MINUTE,
    };
    let (sender, mut events) = channel(10);
    let listening = pg_listen::listen(config, "news".to_owned(), limits, sender);
    let _listening = AbortOnDropHandle::new(tokio::spawn(listening));
    let Some(pg_listen::Event::Resync) = events.recv().await else {
        return Err("it does not listen".into());
    };
    client.batch_execute("NOTIFY news").await?;
    let limit = if mode == "session" {
        MINUTE
    } else {
        Duration::from_secs(1)
    };
    match timeout(limit, events.recv()).await {
        Ok(Some(pg_listen::Event::Notified(_))) => Ok(()),
        Ok(other) => Err(format!("{other:?}").into()),
        Err(_) => Err("it hears nothing".into()),
    }
}

/// Tells how each job ends.
struct Tells(UnboundedSender<Result<(), Failure>>);

impl Handler for Tells {
    type Output = ();

    async fn work(&self, _job: &Job) -> Result<(), Failure> {
        Ok(())
    }

    async fn store(
        &self,
        _db: &Transaction<'_>,
        _job: &Job,
        (): (),
    ) -> Result<(), Failure> {
        Ok(self.0.send(Ok(()))?)
    }

    fn report(&self, error: Failure) {
        let _ = self.0.send(Err(error));
    }
}

async fn work(config: Config) -> Result<(), Failure> {
    let (sender, mut ended) = unbounded_channel();
    let worker = Worker {
        config,
        handler: Arc::new(Tells(sender)),
        concurrency: 1,
        lease: MINUTE,
        max_runtime: MINUTE,
        max_attempts: 2,
        backoff: MINUTE,
        poll: MINUTE,
    };
    let stop = CancellationToken::new();
    let _working =
        AbortOnDropHandle::new(tokio::spawn(async move { worker.run(&stop).await }));
    for _ in 0..5 {
        ended.recv().await.ok_or("it has ended")??;
    }
    Ok(())
}
