//! Two programs of which one leads: until it is killed, or loses its connection.

use std::env;
use std::error::Error;
use std::future::pending;
use std::process;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};
use tokio_postgres::{Config, NoTls};

use crate::pg_leader::{LeaderError, Term, create_table, lead};

const LEASE: Duration = Duration::from_millis(1200);

/// Leads until it is killed, or the connection is lost.
async fn program(
    who: &'static str,
    config: Config,
    name: String,
    terms: UnboundedSender<(&'static str, Term)>,
) {
    let work = |term: Term| async move {
        let _ = terms.send((who, term));
        pending::<()>().await;
    };
    if lead(config, &name, LEASE, work).await.is_err() {
        println!("{who} has lost its connection");
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let name = format!("leader_{}", process::id());
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path={name}"));
    let (mut client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute(&format!("CREATE SCHEMA {name}"))
        .await?;
    create_table(&client).await?;
    config.application_name(&name);
    let (sender, mut terms) = unbounded_channel();
    let program = |who| {
        let (config, name, sender) = (config.clone(), name.clone(), sender.clone());
        tokio::spawn(program(who, config, name, sender))
    };

    at(400).await;
    println!("Two programs want to lead:");
    let first = program("Ada");
    let (who, late) = terms.recv().await.ok_or("no leader")?;
    println!("{who} leads in term {}", late.number);
    let second = program("Bob");

    at(850).await;
    println!("The leader is killed:");
    first.abort();
    // When it next tries to lead depends on its start.
    let (who, now) = terms.recv().await.ok_or("no leader")?;
    at(1400).await;
    println!("{who} leads in term {}", now.number);
    println!("Both write in the transaction that checks their term:");
    for term in [late, now] {
        let transaction = client.transaction().await?;
        match term.check(&transaction).await {
            Ok(()) => println!("term {}: written", term.number),
            Err(error @ LeaderError::TermOver) => {
                println!("term {}: {error}", term.number)
            }
            Err(error) => return Err(error.into()),
        }
        transaction.commit().await?;
    }

    at(1600).await;
    println!("The server closes the connection:");
    let close = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = $1";
    client.execute(close, &[&name]).await?;
    second.await?;
    let drop = format!("DROP SCHEMA {name} CASCADE");
    Ok(client.batch_execute(&drop).await?)
}
