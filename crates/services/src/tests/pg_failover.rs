use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use servers::{Kind, Server};
use tokio::join;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::support::{poll_and_drop, private, soon};
use crate::pg_failover::{FailoverError, Limits, Primary};

const TENTH: Duration = Duration::from_millis(100);

const LIMITS: Limits = Limits {
    answer: Duration::from_secs(30),
    pause: Duration::from_millis(20),
    failover: Duration::from_secs(60),
};

/// A server of its own for each host. Nothing is copied from one to the other.
struct Hosts {
    servers: [Server; 2],
}

impl Hosts {
    async fn new() -> Self {
        let servers = join!(private(Kind::Postgres), private(Kind::Postgres));
        let hosts = Self {
            servers: servers.into(),
        };
        for host in 0..2 {
            let sql = "CREATE TABLE notes (note TEXT)";
            hosts.execute(host, sql).await;
        }
        hosts.demote(1).await;
        hosts
    }

    fn configs(&self) -> Vec<Config> {
        let urls = self.servers.iter().map(Server::url);
        urls.map(|url| url.parse().expect("a URL")).collect()
    }

    async fn connect(&self, host: usize) -> Client {
        let connected = self.configs()[host].connect(NoTls).await;
        let (client, connection) = connected.expect("it runs");
        tokio::spawn(connection);
        client
    }

    async fn execute(&self, host: usize, sql: &str) {
        let client = self.connect(host).await;
        client.batch_execute(sql).await.expect("it runs");
    }

    /// Makes it read-only. Its connections stay open.
    async fn demote(&self, host: usize) {
        let sql = "ALTER SYSTEM SET default_transaction_read_only = on";
        self.execute(host, sql).await;
        self.reload(host, "on").await;
    }

    async fn promote(&self, host: usize) {
        let sql = "ALTER SYSTEM RESET default_transaction_read_only";
        self.execute(host, sql).await;
        self.reload(host, "off").await;
    }

    async fn reload(&self, host: usize, state: &str) {
        let client = self.connect(host).await;
        let reload = "SELECT pg_reload_conf()";
        client.batch_execute(reload).await.expect("it runs");
        let sql = "SHOW transaction_read_only";
        let reloaded = async {
            while client
                .query_one(sql, &[])
                .await
                .expect("it runs")
                .get::<_, &str>(0)
                != state
            {
                sleep(TENTH / 10).await;
            }
        };
        soon(reloaded).await;
    }

    async fn notes(&self, host: usize) -> i64 {
        let sql = "SELECT count(*) FROM notes";
        let client = self.connect(host).await;
        client.query_one(sql, &[]).await.expect("it runs").get(0)
    }
}

/// Writes two rows, all or none.
async fn write(primary: &mut Primary) -> Result<(), FailoverError> {
    let work = async |client: &mut Client| {
        let transaction = client.transaction().await?;
        for note in ["a", "b"] {
            let sql = "INSERT INTO notes VALUES ($1)";
            transaction.execute(sql, &[&note]).await?;
        }
        transaction.commit().await
    };
    primary.run(work).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn the_primary_is_killed_and_another_host_is_promoted_later() {
    let mut hosts = Hosts::new().await;
    let mut primary = Primary::new(hosts.configs(), LIMITS);
    for _ in 0..3 {
        write(&mut primary).await.expect("it runs");
    }
    assert_eq!((hosts.notes(0).await, hosts.notes(1).await), (6, 0));
    hosts.servers[0].kill();
    let promoting = async {
        sleep(3 * TENTH).await;
        hosts.promote(1).await;
    };
    // In a task, as in a server.
    let start = Instant::now();
    let writing = tokio::spawn(async move {
        write(&mut primary).await.expect("it finds the other one");
        primary
    });
    let (written, ()) = soon(async { join!(writing, promoting) }).await;
    let mut primary = written.expect("it does not panic");
    assert!(start.elapsed() >= 3 * TENTH);
    println!("it writes {:?} after the kill", start.elapsed());
    write(&mut primary).await.expect("it runs");
    assert_eq!(hosts.notes(1).await, 4);
}

/// A real standby, which has what the primary had committed before the kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_standby_is_promoted_and_has_all_that_was_replicated() {
    let server = private(Kind::Postgres).await;
    let standby = spawn_blocking(move || (server.standby(), server));
    let (standby, server) = standby.await.expect("it does not panic");
    let servers = [server, standby.expect("it copies the primary")];
    let mut hosts = Hosts { servers };
    hosts.execute(0, "CREATE TABLE notes (note TEXT)").await;
    // The standby is asked first, and left.
    let mut configs = hosts.configs();
    configs.reverse();
    let mut primary = Primary::new(configs, LIMITS);
    for _ in 0..3 {
        write(&mut primary).await.expect("it runs");
    }
    let replicated = async {
        while hosts.notes(1).await < 6 {
            sleep(TENTH / 10).await;
        }
    };
    soon(replicated).await;
    let standby = hosts.connect(1).await;
    let refused = standby.execute("INSERT INTO notes VALUES ('c')", &[]).await;
    let refused = refused.expect_err("it is a standby");
    assert_eq!(
        refused.code(),
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION),
        "{refused}"
    );

    hosts.servers[0].kill();
    let start = Instant::now();
    let promoting = async {
        // Somebody has to see that the primary is gone.
        sleep(3 * TENTH).await;
        let promoted = standby.query_one("SELECT pg_promote()", &[]).await;
        assert!(promoted.expect("it answers").get::<_, bool>(0));
        start.elapsed()
    };
    let writing = async {
        write(&mut primary).await.expect("it finds the standby");
        start.elapsed()
    };
    let (written, promoted) = soon(async { join!(writing, promoting) }).await;
    println!("promoted {promoted:?} after the kill, it writes after {written:?}");
    assert!(written >= 3 * TENTH);
    // A connection that was open as the standby's may write now.
    let written = standby.execute("INSERT INTO notes VALUES ('c')", &[]).await;
    assert_eq!(written.expect("it is the primary"), 1);
    assert_eq!(hosts.notes(1).await, 9);
}

/// As after a switch by hand: the old one still answers.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_primary_that_becomes_a_standby_is_left() {
    let hosts = Hosts::new().await;
    let mut primary = Primary::new(hosts.configs(), LIMITS);
    write(&mut primary).await.expect("it runs");
    for (old, new) in [(0, 1), (1, 0)] {
        hosts.demote(old).await;
        hosts.promote(new).await;
        let before = hosts.notes(new).await;
        soon(write(&mut primary))
            .await
            .expect("it finds the other one");
        assert_eq!(hosts.notes(new).await, before + 2);
    }
}

/// And a URL with both hosts finds none, as `connect_timeout` is only for TCP.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_host_that_hangs_is_left_after_answer() {
    let hosts = Hosts::new().await;
    let answer = 3 * TENTH;
    let mut primary = Primary::new(hosts.configs(), Limits { answer, ..LIMITS });
    soon(write(&mut primary)).await.expect("it runs");
    hosts.promote(1).await;
    hosts.servers[0].pause();
    let start = Instant::now();
    soon(write(&mut primary))
        .await
        .expect("it finds the other one");
    // The work, and then the connect.
    assert!(start.elapsed() >= 2 * answer);
    assert_eq!(hosts.notes(1).await, 2);
    let address = |host: usize| {
        let url = hosts.servers[host].url();
        url.rsplit(['@', '/']).nth(1).expect("a URL").to_owned()
    };
    let (one, two) = (address(0), address(1));
    let options = "connect_timeout=1&target_session_attrs=read-write";
    let both = |hosts: String| {
        let url = format!("postgres://postgres@{hosts}/postgres?{options}");
        let config = url.parse::<Config>().expect("a URL");
        async move { timeout(20 * TENTH, config.connect(NoTls)).await }
    };
    let found = soon(both(format!("{two},{one}")))
        .await
        .expect("it answers");
    assert!(found.is_ok(), "the first one is the primary");
    let hangs = both(format!("{one},{two}")).await;
    assert!(hangs.is_err(), "connect_timeout is for all of the connect");
    hosts.servers[0].resume();
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn other_errors_come_immediately_and_no_primary_after_the_limit() {
    let hosts = Hosts::new().await;
    let mut primary = Primary::new(hosts.configs(), LIMITS);
    let calls = AtomicU32::new(0);
    let refused = primary.run(async |client| {
        calls.fetch_add(1, Relaxed);
        client.execute("INSERT INTO nowhere VALUES (1)", &[]).await
    });
    let refused = soon(refused).await.expect_err("there is no such table");
    let text = "ERROR: relation \"nowhere\" does not exist";
    assert_eq!(
        (refused.to_string().as_str(), calls.into_inner()),
        (text, 1)
    );
    // Of a wrong type no server knows.
    let wrong =
        primary.run(async |client| client.execute("SELECT $1::INT", &[&"x"]).await);
    let wrong = soon(wrong).await.expect_err("it is no number");
    assert!(matches!(wrong, FailoverError::Postgres(_)), "{wrong:?}");
    write(&mut primary).await.expect("it still works");
    hosts.demote(0).await;
    let failover = 3 * TENTH;
    let mut primary = Primary::new(hosts.configs(), Limits { failover, ..LIMITS });
    let start = Instant::now();
    let none = soon(write(&mut primary))
        .await
        .expect_err("all are standbys");
    assert!(start.elapsed() >= failover);
    let text = "no host accepts writes: database does not allow writes";
    assert_eq!(none.to_string(), text);
    let nobody = "postgres://x@127.0.0.1:1/x".parse().expect("a URL");
    let mut primary = Primary::new(vec![nobody], Limits { failover, ..LIMITS });
    let none = soon(write(&mut primary))
        .await
        .expect_err("nobody is there");
    assert!(none.to_string().contains("refused"), "{none}");
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_it_writes_all_or_nothing() {
    let hosts = Hosts::new().await;
    let mut primary = Primary::new(hosts.configs(), LIMITS);
    for polls in 0..30 {
        drop(poll_and_drop(write(&mut primary), polls).await);
        let before = hosts.notes(0).await;
        assert_eq!(before % 2, 0, "{polls} polls");
        let mut primary = Primary::new(hosts.configs(), LIMITS);
        soon(write(&mut primary)).await.expect("it runs");
        let after = hosts.notes(0).await;
        assert!(
            after >= before + 2 && after % 2 == 0,
            "{polls} polls: {after}"
        );
    }
}

/// A work with one's own borrowed values, in a function that is generic over none.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn in_a_task_with_borrowed_values() {
    let hosts = Hosts::new().await;
    let mut primary = Primary::new(hosts.configs(), LIMITS);
    let task = tokio::spawn(async move {
        let notes = vec!["tea".to_owned(), "cake".to_owned()];
        let add = async |client: &mut Client| {
            let sql = "INSERT INTO notes SELECT unnest($1::TEXT[])";
            client.execute(sql, &[&notes]).await
        };
        primary.run(add).await
    });
    let added = soon(task).await.expect("it does not panic");
    assert_eq!(added.expect("it runs"), 2);
}
