//! Notifications of transactions, a connection that is lost, and a slow receiver.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::{Client, Config, NoTls};

use crate::pg_listen::{Event, Limits, listen};

/// Prints what is heard within 0.3 s.
async fn hear(events: &mut Receiver<Event>) {
    let hear = async {
        while let Some(event) = events.recv().await {
            match event {
                Event::Resync => println!("resync: read the table"),
                Event::Notified(heard) => println!("heard {}", heard.payload()),
                Event::Lost(_) => println!("the connection is lost"),
            }
        }
    };
    let _ = timeout(Duration::from_millis(300), hear).await;
}

async fn notify(
    client: &Client,
    channel: &str,
    text: &str,
) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT pg_notify($1, $2)";
    client.execute(sql, &[&channel, &text]).await?;
    Ok(())
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let name = format!("listen_{}", process::id());
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    let mut config: Config = url.parse()?;
    config.application_name(&name);
    let limits = Limits {
        timeout: Duration::from_secs(1),
        check_interval: Duration::from_millis(100),
        reconnect_delay: Duration::from_millis(200),
    };
    let (sender, mut events) = channel(2);
    tokio::spawn(listen(config, name.clone(), limits, sender));

    at(400).await;
    println!("After the connect:");
    hear(&mut events).await;

    at(800).await;
    println!("One transaction is rolled back, one says the same twice:");
    let transaction = client.transaction().await?;
    let sql = "SELECT pg_notify($1, 'tea')";
    transaction.execute(sql, &[&name]).await?;
    transaction.rollback().await?;
    let transaction = client.transaction().await?;
    for text in ["cake", "jam", "cake"] {
        let sql = "SELECT pg_notify($1, $2)";
        transaction.execute(sql, &[&name, &text]).await?;
    }
    transaction.commit().await?;
    hear(&mut events).await;

    at(1200).await;
    println!("The connection is lost for 0.2 s:");
    let close = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = $1";
    client.execute(close, &[&name]).await?;
    notify(&client, &name, "while nobody listens").await?;
    hear(&mut events).await;

    at(1600).await;
    println!("Five come, and the receiver has room for two:");
    for number in 1..=5 {
        notify(&client, &name, &number.to_string()).await?;
    }
    at(1800).await;
    hear(&mut events).await;
    Ok(())
}
