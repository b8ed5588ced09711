//! Two requests, whose jobs a worker handles in their traces; a job that fails first; and
//! a spawned task.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_postgres::{Client, Config, NoTls};

use crate::pg_trace_context::{Job, TraceParent, add, create_table, log, work};

type Failure = Box<dyn Error + Send + Sync>;

/// Handles all jobs.
async fn work_on_all(client: &mut Client) -> Result<(), Failure> {
    let handler = async |job: Job| {
        log(&format!("the job {}", job.payload));
        Ok::<_, Failure>(())
    };
    while work(client, handler).await? {}
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let name = format!("trace_{}", process::id());
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path={name}"));
    let (mut client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute(&format!("CREATE SCHEMA {name}"))
        .await?;
    create_table(&client).await?;

    at(300).await;
    println!("Two requests, with the headers of their clients:");
    let first = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let second = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (header, item) in [(first, "tea"), (second, "cake")] {
        let request = async {
            log(&format!("the request {item}"));
            add(&client, item).await
        };
        let trace: TraceParent = header.parse()?;
        trace.scope(request).await?;
    }
    work_on_all(&mut client).await?;

    at(500).await;
    println!("A job that fails first:");
    let trace: TraceParent = first.parse()?;
    trace.scope(add(&client, "pie")).await?;
    let mut spans = Vec::new();
    for attempt in 1..=2 {
        let handler = async |_job| {
            spans.push(TraceParent::current());
            log(&format!("attempt {attempt}"));
            if attempt == 1 {
                Err("no oven".into())
            } else {
                Ok(())
            }
        };
        match work::<Failure>(&mut client, handler).await {
            Ok(_) => println!("done"),
            Err(error) => println!("{error}"),
        }
    }
    println!(
        "each has its own span: {}",
        spans[0].span_id != spans[1].span_id
    );

    at(700).await;
    println!("A task within a request:");
    let request = async {
        // Unlike `create_task`, `spawn` takes no task-local along.
        let span = TraceParent::current().child();
        tokio::spawn(span.scope(async { log("in the task") })).await
    };
    trace.scope(request).await?;
    println!("A header that is none:");
    let begins = "00-0-0-01".parse::<TraceParent>().is_err();
    println!("begins a new trace: {begins}");
    client
        .batch_execute(&format!("DROP SCHEMA {name} CASCADE"))
        .await?;
    Ok(())
}
