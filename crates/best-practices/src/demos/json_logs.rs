//! A service whose level changes while requests run.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{Instrument, info_span};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::json_logs::{handle, json_logs, request};

/// The clock of the demonstration stands still.
struct Noon;

impl FormatTime for Noon {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str("2026-01-01T12:00:00Z")
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (subscriber, filter) = json_logs("", Noon, io::stdout)?;
    tracing::subscriber::set_global_default(subscriber)?;

    println!("At the level INFO:");
    handle("/items").instrument(request(1)).await;

    println!("The level becomes DEBUG during a request:");
    let running = tokio::spawn(handle("/items").instrument(request(2)));
    sleep(Duration::from_millis(100)).await;
    filter.set("debug")?;
    running.await?;

    println!("A filter that is invalid changes nothing:");
    if let Err(error) = filter.set("shop=loud") {
        println!("{error}");
    }

    println!("A request that begins at the level WARN, and ends at INFO:");
    filter.set("warn")?;
    let spans = [info_span!("request", id = 3), request(4)];
    filter.set("info")?;
    for span in spans {
        handle("/items").instrument(span).await;
    }
    Ok(())
}
