//! Words that come one by one, as from a language model, to a client that reads them.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::time::Duration;

use async_stream::try_stream;
use axum::Router;
use axum::routing::get;
use futures::{Stream, TryStreamExt};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::streaming_responses::{events, json_lines, read_events, read_json_lines};

#[derive(Debug, Deserialize, Serialize)]
struct Word {
    word: String,
}

/// Tells when the stream ends, whatever ends it.
struct Tell;

impl Drop for Tell {
    fn drop(&mut self) {
        println!("server: the stream has ended");
    }
}

/// Makes words, a tenth of a second each.
fn words(text: &'static str) -> impl Stream<Item = io::Result<Word>> + Send {
    try_stream! {
        let _tell = Tell;
        for word in text.split(' ') {
            if word == "FAILURE" {
                Err(io::Error::other("scheduled"))?;
            }
            yield Word { word: word.to_owned() };
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Reads the words of a response until it ends, and at most so many.
async fn read(client: &Client, url: String, most: usize) -> reqwest::Result<()> {
    let response = client.get(url).send().await?.error_for_status()?;
    let mut words = pin!(read_json_lines::<Word>(response));
    for _ in 0..most {
        match words.try_next().await {
            Ok(Some(Word { word })) => println!("client: {word}"),
            Ok(None) => return Ok(()),
            Err(error) => {
                println!("client: {error}");
                return Ok(());
            }
        }
    }
    println!("client: that is enough");
    Ok(())
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    // The server and the client take time to start.
    let start = Instant::now() + Duration::from_millis(500);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = format!("http://{}", listener.local_addr()?);
    let routes = Router::new()
        .route("/events", get(async || events(words("one by one"))))
        .route("/lines", get(async || json_lines(words("line by line"))))
        .route("/long", get(async || json_lines(words("a b c d e f g h"))))
        .route("/fails", get(async || json_lines(words("so far FAILURE"))));
    let serving = tokio::spawn(async { axum::serve(listener, routes).await });
    let _serving = AbortOnDropHandle::new(serving);
    let builder = Client::builder().no_proxy();
    let client = builder.read_timeout(Duration::from_secs(10)).build()?;
    let part = |number| sleep_until(start + number * Duration::from_millis(500));

    part(0).await;
    println!("Server-sent events:");
    let response = client.get(format!("{root}/events")).send().await?;
    let mut received = pin!(read_events(response.error_for_status()?));
    while let Some(event) = received.try_next().await? {
        let Word { word } = serde_json::from_str(&event.data)?;
        println!("client: {word}");
    }

    part(1).await;
    println!("JSON lines:");
    read(&client, format!("{root}/lines"), 10).await?;

    part(2).await;
    println!("The client leaves after two words of eight:");
    read(&client, format!("{root}/long"), 2).await?;

    part(3).await;
    println!("The server fails in the middle:");
    read(&client, format!("{root}/fails"), 10).await?;
    part(4).await;
    Ok(())
}
