use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Config, NoTls, Transaction};

use super::support::{
    CuttingProxy, poll_and_drop, postgres, role_without_create, soon, unique,
};
use crate::pg_idempotency_key::{KeyError, Reply, Request, create_table, once};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);

async fn connect_to(url: &str, schema: &str) -> Client {
    let mut config: Config = url.parse().expect("a URL");
    config.options(format!("-c search_path={schema}"));
    let (client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    client
}

/// A table of effects in a schema of its own.
struct Shop {
    schema: String,
    url: String,
    client: Client,
}

impl Shop {
    async fn new() -> Self {
        let (url, schema) = (postgres().await, unique("keys"));
        let client = connect_to(&url, &schema).await;
        let sql =
            format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.effects (key TEXT)");
        client.batch_execute(&sql).await.expect("it runs");
        create_table(&client).await.expect("it runs");
        Self {
            schema,
            url,
            client,
        }
    }

    async fn connect(&self) -> Client {
        connect_to(&self.url, &self.schema).await
    }

    async fn effects(&self) -> i64 {
        let sql = "SELECT count(*) FROM effects";
        let row = self.client.query_one(sql, &[]).await.expect("it runs");
        row.get(0)
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.client.batch_execute(&sql).await.expect("it runs");
    }
}

fn request(key: &str) -> Request<'_> {
    Request {
        account: "Ada",
        key,
        body: "tea",
    }
}

async fn order(
    client: &mut Client,
    key: &str,
    pause: Duration,
) -> Result<Reply, KeyError> {
    let work = async |db: &Transaction<'_>| {
        let sql = "INSERT INTO effects VALUES ($1)";
        db.execute(sql, &[&key]).await?;
        sleep(pause).await;
        let sql = "SELECT clock_timestamp()::TEXT";
        Ok(db.query_one(sql, &[]).await?.get(0))
    };
    once(client, request(key), MINUTE, work).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn of_many_at_the_same_time_one_works_and_all_have_its_reply() {
    let shop = Shop::new().await;
    for round in 0..5 {
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let mut client = shop.connect().await;
            let key = format!("key {round}");
            calls.spawn(async move { order(&mut client, &key, TENTH / 10).await });
        }
        let replies = soon(calls.join_all()).await;
        let replies: Vec<Reply> =
            replies.into_iter().map(|it| it.expect("it runs")).collect();
        assert_eq!(replies.iter().filter(|it| !it.is_repeat).count(), 1);
        assert!(replies.iter().all(|it| it.text == replies[0].text));
        assert_eq!(shop.effects().await, round + 1);
    }
    shop.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_it_is_done_once_or_not_at_all() {
    let shop = Shop::new().await;
    for polls in 0..40 {
        let key = format!("key {polls}");
        let mut client = shop.connect().await;
        drop(poll_and_drop(order(&mut client, &key, Duration::ZERO), polls).await);
        let mut client = shop.connect().await;
        let reply = soon(order(&mut client, &key, Duration::ZERO)).await;
        reply.expect("it runs");
        assert_eq!(shop.effects().await, polls as i64 + 1, "{polls} polls");
    }
    shop.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_failed_request_leaves_its_key_free() {
    let mut shop = Shop::new().await;
    let fails = async |db: &Transaction<'_>| {
        let sql = "INSERT INTO effects VALUES ('x')";
        db.execute(sql, &[]).await.expect("it runs");
        db.execute("SELECT 1 / 0", &[]).await?;
        Ok::<String, KeyError>(String::new())
    };
    let failed = once(&mut shop.client, request("x"), MINUTE, fails).await;
    let failed = failed.expect_err("it divides by zero").to_string();
    assert!(failed.contains("division by zero"), "{failed}");
    assert_eq!(shop.effects().await, 0);
    let again = order(&mut shop.client, "x", Duration::ZERO).await;
    assert!(!again.expect("it runs").is_repeat);
    shop.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_key_belongs_to_one_account_and_one_request() {
    let mut shop = Shop::new().await;
    let work = async |_: &Transaction<'_>| Ok::<_, KeyError>("done".to_owned());
    for (account, body, expected) in [
        ("Ada", "tea", Ok(false)),
        ("Ada", "tea", Ok(true)),
        (
            "Ada",
            "cake",
            Err("this key belongs to another request".to_owned()),
        ),
        ("Bob", "cake", Ok(false)),
    ] {
        let request = Request {
            account,
            key: "'); DROP TABLE effects; --",
            body,
        };
        let reply = once(&mut shop.client, request, MINUTE, work).await;
        let reply = reply.map(|reply| reply.is_repeat);
        assert_eq!(reply.map_err(|error| error.to_string()), expected);
    }
    shop.end().await;
}

/// Its first call goes silent, and the server ends that transaction.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_repeat_waits_for_its_limit_and_a_silent_call_ends() {
    let shop = Shop::new().await;
    let proxy = CuttingProxy::start(&shop.url).await;
    let mut silent = connect_to(proxy.url(), &shop.schema).await;
    let (begins, begun) = tokio::sync::oneshot::channel();
    let first = tokio::spawn(async move {
        let work = async |_: &Transaction<'_>| {
            let _ = begins.send(());
            std::future::pending::<Result<String, KeyError>>().await
        };
        once(&mut silent, request("x"), 20 * TENTH, work).await
    });
    soon(begun).await.expect("it works");
    proxy.silence();
    let mut client = shop.connect().await;
    let work = async |_: &Transaction<'_>| Ok::<_, KeyError>("done".to_owned());
    let start = Instant::now();
    let running = once(&mut client, request("x"), TENTH, work).await;
    assert!(matches!(running, Err(KeyError::Running)), "{running:?}");
    assert!(start.elapsed() >= TENTH);
    let reply = soon(once(&mut client, request("x"), MINUTE, work)).await;
    assert!(!reply.expect("it runs").is_repeat);
    first.abort();
    shop.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_role_that_may_not_create_tables_works() {
    let shop = Shop::new().await;
    let role = role_without_create(&shop.client, &shop.schema).await;
    let mut client = shop.connect().await;
    let sql = format!("SET ROLE {role}");
    client.batch_execute(&sql).await.expect("it runs");
    create_table(&client).await.expect("it is there");
    let reply = order(&mut client, "x", Duration::ZERO).await;
    reply.expect("it may write");
    let sql = format!("DROP SCHEMA {} CASCADE; DROP ROLE {role}", shop.schema);
    shop.client.batch_execute(&sql).await.expect("it runs");
}
