//! Stream many rows into and out of PostgreSQL with COPY, with few rows in memory.
//!
//! The SQL statement `COPY FROM STDIN` stores many rows in one statement. It takes rows
//! as fast as the server stores them, and your stream of rows waits in the meantime.
//! `COPY TO STDOUT` sends rows as fast as you read them. The binary format, used here,
//! needs no escaping. asyncpg has `copy_records_to_table`.
//!
//! Bounds: A few buffers of rows are in memory. Unbounded: The time, and the size of a
//! row.
//!
//! Trap: If you forget to call `finish`, no row is stored, and you see no error. If the
//! server refuses one row, no row is stored either, and you hear of it only from
//! `finish`, after you have sent all rows.
//!
//! Trap: If you stop reading early, the server still sends all further rows, and the
//! next statement on the connection waits for them. Ask for fewer rows with LIMIT.
//!
//! See also: `pg_pool`, `pg_transaction`, `channel_stream`.
//!
//! asyncio: async for, yield

use std::pin::pin;

use futures::{Stream, StreamExt, TryStreamExt};
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

const COPY_IN: &str = "COPY readings (sensor, value, note) FROM STDIN BINARY";

/// A query or a table. Without the order, rows come as they lie in the table.
const COPY_OUT: &str = "
    COPY (SELECT sensor, value, note FROM readings ORDER BY sensor) TO STDOUT BINARY";

/// The types of the columns: COPY converts nothing.
const TYPES: [Type; 3] = [Type::INT8, Type::FLOAT8, Type::TEXT];

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub sensor: i64,
    pub value: f64,
    pub note: Option<String>,
}

/// Stores all rows, or none, and returns how many they are. Awaits the next row when the
/// server has room for it.
///
/// If the future is dropped, nothing is stored.
///
/// # Errors
///
/// The first error of `rows`, or that of the server, after the last row.
pub async fn store<E: From<Error>>(
    client: &Client,
    rows: impl Stream<Item = Result<Reading, E>>,
) -> Result<u64, E> {
    let sink = client.copy_in(COPY_IN).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &TYPES));
    let mut rows = pin!(rows);
    while let Some(row) = rows.try_next().await? {
        let row = [&row.sensor as _, &row.value as _, &row.note as _];
        writer.as_mut().write(&row).await?;
    }
    Ok(writer.finish().await?)
}

/// Returns all rows as a stream. While its reader is slow, the server waits, and so do
/// other statements on the connection.
pub async fn load(
    client: &Client,
) -> Result<impl Stream<Item = Result<Reading, Error>> + Send + use<>, Error> {
    let rows = BinaryCopyOutStream::new(client.copy_out(COPY_OUT).await?, &TYPES);
    Ok(rows.map(|row| {
        let row = row?;
        Ok(Reading {
            sensor: row.try_get(0)?,
            value: row.try_get(1)?,
            note: row.try_get(2)?,
        })
    }))
}

/// Stores three rows in a table that only this connection has, and prints them.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    type Failure = Box<dyn std::error::Error + Send + Sync>;
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let (client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    // Ends when the client is dropped. The client reports the errors.
    tokio::spawn(connection);
    let table = "CREATE TEMP TABLE readings
                     (sensor BIGINT PRIMARY KEY, value DOUBLE PRECISION, note TEXT)";
    client.batch_execute(table).await?;
    let rows = futures::stream::iter(1..=3).map(|sensor| {
        Ok::<_, Failure>(Reading {
            sensor,
            value: 20.0 * sensor as f64,
            note: None,
        })
    });
    println!("rows stored: {}", store(&client, rows).await?);
    let mut rows = pin!(load(&client).await?);
    while let Some(row) = rows.try_next().await? {
        println!("sensor {}: {}", row.sensor, row.value);
    }
    Ok(())
}

//@ clock: real
//@ try: -> sensor 2: 40
