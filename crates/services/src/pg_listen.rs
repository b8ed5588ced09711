//! Hear of changes with LISTEN and NOTIFY, even after the connection was lost.
//!
//! `NOTIFY` sends a text to all connections that have called `LISTEN`, when its
//! transaction is committed. PostgreSQL keeps nothing for a listener that is away. So
//! the receiver gets the event `Resync` after each connect: read the table then, and
//! after each notification. A receiver that is too slow gets one `Resync` in place of
//! all notifications that did not fit into its channel.
//!
//! Bounds: The capacity of the receiver's channel (then notifications are dropped, and
//! a `Resync` comes), and `timeout` for each answer. Unbounded: Attempts to connect. A
//! notification channel's name has at most 63 bytes, its text 7,999.
//!
//! Trap: If the server's machine vanishes, your listener waits forever without an
//! error, because it only reads. Send a query now and then, with a timeout, as here.
//!
//! Trap: If you count notifications, you may count too few: PostgreSQL sends equal
//! notifications of one transaction only once. Read the table instead.
//!
//! See also: `pg_job_queue`, `pg_pool`.
//!
//! asyncio: asyncio.Queue.put_nowait, asyncio.Event

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc::Sender;
use tokio::time::{error::Elapsed, sleep, timeout};
use tokio_postgres::{AsyncMessage, Config, NoTls, Notification};

/// What a listener hears.
#[derive(Debug)]
pub enum Event {
    /// Notifications may have been missed: read the table.
    Resync,
    Notified(Notification),
    /// The connection is lost, or could not be made. The next one will be tried.
    Lost(ListenError),
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("the server does not answer")]
    Timeout(#[from] Elapsed),
    #[error("{}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
    Postgres(#[from] tokio_postgres::Error),
    #[error("the connection was closed")]
    Closed,
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long it may take to connect, and the server to answer.
    pub timeout: Duration,
    /// The time between two checks that the server answers.
    pub check_interval: Duration,
    /// The pause before the next connect.
    pub reconnect_delay: Duration,
}

/// Listens on the channel until the receiver of the events is dropped.
///
/// Dropping the future closes the connection.
///
/// # Panics
///
/// If the name of the channel is empty or has a NUL, or more than 63 bytes: LISTEN would
/// cut it, and hear nothing.
pub async fn listen(
    config: Config,
    channel: String,
    limits: Limits,
    events: Sender<Event>,
) {
    let is_name = (1..=63).contains(&channel.len()) && !channel.contains('\0');
    assert!(is_name, "no name of a channel: {channel:?}");
    let listening = async {
        loop {
            let Err(error) = session(&config, &channel, limits, &events).await;
            if events.send(Event::Lost(error)).await.is_err() {
                return;
            }
            sleep(limits.reconnect_delay).await;
        }
    };
    select! {
        () = listening => {}
        () = events.closed() => {}
    }
}

/// Listens on one connection until that is lost.
async fn session(
    config: &Config,
    channel: &str,
    limits: Limits,
    events: &Sender<Event>,
) -> Result<Infallible, ListenError> {
    let (client, mut connection) =
        timeout(limits.timeout, config.connect(NoTls)).await??;
    // Keeps reading also while the receiver is slow: answers come the same way.
    let read = async {
        let mut missed = false;
        loop {
            select! {
                message = poll_fn(|context| connection.poll_message(context)) => {
                    let message = message.ok_or(ListenError::Closed)??;
                    if let AsyncMessage::Notification(notification) = message {
                        let event = Event::Notified(notification);
                        missed = missed || events.try_send(event).is_err();
                    }
                }
                Ok(permit) = events.reserve(), if missed => {
                    permit.send(Event::Resync);
                    missed = false;
                }
            }
        }
    };
    let ask = async {
        let listen = format!("LISTEN \"{}\"", channel.replace('"', "\"\""));
        timeout(limits.timeout, client.batch_execute(&listen)).await??;
        let _ = events.send(Event::Resync).await;
        loop {
            sleep(limits.check_interval).await;
            timeout(limits.timeout, client.batch_execute("")).await??;
        }
    };
    select! {
        lost = read => lost,
        lost = ask => lost,
    }
}

/// Prints what it hears: `cargo run`. Says something and hears it: `cargo run -- hello`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let config: Config = url.parse()?;
    let limits = Limits {
        timeout: Duration::from_secs(5),
        check_interval: Duration::from_secs(30),
        reconnect_delay: Duration::from_secs(1),
    };
    let (sender, mut events) = tokio::sync::mpsc::channel(100);
    tokio::spawn(listen(config.clone(), "talk".to_owned(), limits, sender));
    let text = std::env::args().nth(1);
    while let Some(event) = events.recv().await {
        match event {
            Event::Resync => {
                println!("listening");
                if let Some(text) = &text {
                    let (client, connection) = config.connect(NoTls).await?;
                    tokio::spawn(connection);
                    client
                        .execute("SELECT pg_notify('talk', $1)", &[text])
                        .await?;
                }
            }
            Event::Notified(heard) => {
                println!("heard {}", heard.payload());
                if text.is_some() {
                    break;
                }
            }
            Event::Lost(error) => eprintln!("lost: {error}"),
        }
    }
    Ok(())
}

//@ clock: real
//@ try: hello -> heard hello
