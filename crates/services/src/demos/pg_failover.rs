//! Two hosts that change their places, and a time without a primary. Each host is a role
//! of one server here: a role may be read-only, as a standby is.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use tokio::join;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{Client, Config, NoTls};

use crate::pg_failover::{FailoverError, Limits, Primary};

type Failure = Box<dyn Error + Send + Sync>;

const LIMITS: Limits = Limits {
    answer: Duration::from_secs(30),
    pause: Duration::from_millis(50),
    failover: Duration::from_secs(30),
};

/// The server, and what happens to its hosts.
struct Hosts {
    admin: Client,
    names: [String; 2],
}

impl Hosts {
    /// Makes one host the primary, or none. The connections of both end.
    async fn promote(&self, primary: Option<usize>) -> Result<(), Failure> {
        for (number, host) in self.names.iter().enumerate() {
            let state = if primary == Some(number) { "off" } else { "on" };
            let sql = format!(
                "ALTER ROLE {host} SET default_transaction_read_only = {state};
                 SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                 WHERE usename = '{host}'"
            );
            self.admin.batch_execute(&sql).await?;
        }
        Ok(())
    }
}

/// Writes, and returns where: on host 1 or 2.
async fn write(primary: &mut Primary) -> Result<String, FailoverError> {
    let sql = "INSERT INTO notes VALUES (1) RETURNING right(current_user, 1)";
    let written = primary.run(async |client| client.query_one(sql, &[]).await);
    Ok(written.await?.get(0))
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    let name = format!("failover_{}", process::id());
    config.options(format!("-c search_path={name}"));
    let (admin, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    let names = [1, 2].map(|number| format!("{name}_{number}"));
    let [one, two] = &names;
    let sql = format!(
        "CREATE ROLE {one} LOGIN; CREATE ROLE {two} LOGIN; CREATE SCHEMA {name};
         CREATE TABLE {name}.notes (n INT); GRANT USAGE ON SCHEMA {name} TO {one}, {two};
         GRANT SELECT, INSERT ON {name}.notes TO {one}, {two}"
    );
    admin.batch_execute(&sql).await?;
    let configs = names.clone().map(|name| {
        let mut config = config.clone();
        config.user(name);
        config
    });
    let hosts = Hosts { admin, names };
    hosts.promote(Some(0)).await?;
    let mut primary = Primary::new(configs.to_vec(), LIMITS);

    at(400).await;
    println!("The first host is the primary:");
    println!("written on host {}", write(&mut primary).await?);

    at(600).await;
    println!("The hosts change their places:");
    hosts.promote(Some(1)).await?;
    println!("written on host {}", write(&mut primary).await?);

    at(1000).await;
    println!("For a while no host accepts writes:");
    hosts.promote(None).await?;
    let promoting = async {
        sleep(Duration::from_millis(200)).await;
        hosts.promote(Some(0)).await
    };
    let (written, promoted) = join!(write(&mut primary), promoting);
    promoted?;
    at(1600).await;
    println!("written on host {}", written?);

    println!("There is none for longer than the failover may take:");
    hosts.promote(None).await?;
    let failover = Duration::from_millis(100);
    let mut primary = Primary::new(configs.to_vec(), Limits { failover, ..LIMITS });
    let refused = write(&mut primary).await;
    at(2000).await;
    match refused {
        Ok(host) => println!("written on host {host}"),
        Err(FailoverError::NoPrimary(_)) => println!("no host accepts writes"),
        Err(error) => return Err(error.into()),
    }
    let rows = hosts
        .admin
        .query_one("SELECT count(*) FROM notes", &[])
        .await?;
    println!("written: {}", rows.get::<_, i64>(0));
    let [one, two] = &hosts.names;
    let sql = format!("DROP SCHEMA {name} CASCADE; DROP ROLE {one}, {two}");
    Ok(hosts.admin.batch_execute(&sql).await?)
}
