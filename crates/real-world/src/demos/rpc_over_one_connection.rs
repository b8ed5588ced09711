//! Replies out of order, many calls, callers that give up, and a connection that breaks.

use std::error::Error;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio::{join, try_join};
use tokio_util::bytes::Bytes;

use crate::rpc_over_one_connection::{CallError, Client, Limits, answer};

const TENTH: Duration = Duration::from_millis(100);

/// Takes as many milliseconds as the request says.
async fn nap(request: Bytes) -> Bytes {
    let text = String::from_utf8_lossy(&request);
    let millis = text.parse().expect("the demonstration sends numbers");
    sleep(Duration::from_millis(millis)).await;
    format!("{millis} ms").into()
}

async fn call(client: &Client, request: &str) -> String {
    match client.call(request.to_owned().into()).await {
        Ok(reply) => format!("{request}: {}", String::from_utf8_lossy(&reply)),
        Err(CallError::TooLarge { .. }) => "the request is too large".to_owned(),
        Err(error) => format!("{request}: {error}"),
    }
}

/// Prints what the calls come to, in the order in which they end.
async fn call_all(client: &Client, requests: &[&str]) {
    let calls = requests.iter().map(|request| call(client, request));
    let mut calls: FuturesUnordered<_> = calls.collect();
    while let Some(text) = calls.next().await {
        println!("{text}");
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let limits = Limits {
        payload: 100,
        calls: 3,
        // Nothing takes as long but what shall.
        call: 10 * TENTH,
        idle: 300 * TENTH,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let connecting = TcpStream::connect(listener.local_addr()?);
    let (stream, (server, _)) = try_join!(connecting, listener.accept())?;
    let server = tokio::spawn(answer(server, limits, nap));
    let client = Client::new(stream, limits);

    println!("Replies in another order than their requests:");
    call_all(&client, &["500", "100", "300"]).await;

    println!("Five calls, three of them at the same time:");
    call_all(&client, &["100"; 5]).await;

    println!("A caller gives up, and the next call gets its own reply:");
    if timeout(TENTH, call(&client, "500")).await.is_err() {
        println!("500: the caller has given up");
    }
    call_all(&client, &["150"]).await;

    println!("A reply that is late, and a request that is too large:");
    call_all(&client, &["9000", &"9".repeat(101)]).await;

    println!("The connection breaks:");
    join!(call_all(&client, &["900", "900"]), async {
        sleep(TENTH).await;
        server.abort();
    });
    call_all(&client, &["100"]).await;
    Ok(())
}
