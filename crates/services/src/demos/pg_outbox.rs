//! An order that fails, a broker that fails, a relay that is dropped, and two relays.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::{Client, Config, NoTls};

use crate::pg_outbox::{Event, Relay, add_event, create_tables, is_new};

type Failure = Box<dyn Error + Send + Sync>;

const RELAY: Relay = Relay {
    batch: 100,
    limit: Duration::from_secs(30),
};

/// Connects to a schema that only this process uses.
async fn connect() -> Result<Client, Failure> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path=outbox_{}", process::id()));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Stores an order and its event.
async fn order(client: &mut Client, item: &str) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    let insert = "INSERT INTO orders VALUES ($1)";
    transaction.execute(insert, &[&item]).await?;
    let id = add_event(&transaction, item).await?;
    if item == "cake" {
        return Err(format!("event {id}, {item}: sold out").into());
    }
    Ok(transaction.commit().await?)
}

async fn publish(event: Event) -> Result<(), Failure> {
    println!("published event {}: {}", event.id, event.payload);
    Ok(())
}

/// Ships what was ordered, once.
async fn handle(client: &mut Client, event: &Event) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    if is_new(&transaction, "shipping", event.id).await? {
        let insert = "INSERT INTO shipments VALUES ($1)";
        transaction.execute(insert, &[&event.payload]).await?;
        println!("event {}: handled", event.id);
    } else {
        println!("event {}: a repeat", event.id);
    }
    Ok(transaction.commit().await?)
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let mut client = connect().await?;
    let mut second = connect().await?;
    let schema = format!("outbox_{}", process::id());
    let tables = format!(
        "CREATE SCHEMA {schema};
         CREATE TABLE {schema}.orders (item TEXT);
         CREATE TABLE {schema}.shipments (item TEXT)"
    );
    client.batch_execute(&tables).await?;
    create_tables(&client).await?;

    at(400).await;
    println!("An order and its event are stored together:");
    for item in ["tea", "cake", "jam"] {
        if let Err(error) = order(&mut client, item).await {
            println!("{error}");
        }
    }
    RELAY.publish_batch(&mut client, publish).await?;

    at(800).await;
    println!("The broker fails at the second event:");
    for item in ["milk", "salt", "rice"] {
        order(&mut client, item).await?;
    }
    let fails = |event: Event| async move {
        if event.payload == "salt" {
            return Err("the broker is down".into());
        }
        publish(event).await
    };
    if let Err(error) = RELAY.publish_batch(&mut client, fails).await {
        println!("{error}");
    }
    RELAY.publish_batch(&mut client, publish).await?;

    at(1200).await;
    println!("A relay is dropped before its commit:");
    order(&mut client, "oats").await?;
    let mut delivered = Vec::new();
    let hangs = |event: Event| {
        delivered.push(event.clone());
        async move {
            publish(event).await?;
            std::future::pending::<Result<(), Failure>>().await
        }
    };
    let relaying = RELAY.publish_batch(&mut client, hangs);
    let dropped = timeout(Duration::from_millis(100), relaying).await;
    if dropped.is_err() {
        println!("dropped");
    }
    let delivers = |event: Event| {
        delivered.push(event.clone());
        publish(event)
    };
    RELAY.publish_batch(&mut client, delivers).await?;
    for event in &delivered {
        handle(&mut client, event).await?;
    }

    at(1600).await;
    println!("Two relays at once:");
    order(&mut client, "figs").await?;
    let slow = |event| async {
        sleep(Duration::from_millis(100)).await;
        publish(event).await
    };
    let first = async {
        let count = RELAY.publish_batch(&mut client, slow).await?;
        println!("the first relay published {count}");
        Ok::<(), Failure>(())
    };
    let other = async {
        at(1650).await;
        let count = RELAY.publish_batch(&mut second, publish).await?;
        println!("the second relay published {count}");
        Ok(())
    };
    tokio::try_join!(first, other)?;
    let drop = format!("DROP SCHEMA {schema} CASCADE");
    Ok(client.batch_execute(&drop).await?)
}
