//! Requests of two connections to a server, each of which can be stopped.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cancellation_tree::Stop;

type Why = &'static str;

/// Works for so many milliseconds. If it is stopped, its clean-up takes some, too.
async fn request(name: &'static str, work: u64, clean_up: u64, stop: Stop<Why>) {
    match stop.run(sleep(Duration::from_millis(work))).await {
        Ok(()) => println!("{name}: done"),
        Err(stopped) => {
            sleep(Duration::from_millis(clean_up)).await;
            println!("{name}: {stopped}");
        }
    }
}

pub async fn run() {
    let pause = Duration::from_millis(200);
    let server = Stop::default();
    let mut requests = JoinSet::new();

    println!("Two connections with three requests each:");
    let first = server.child();
    let client = first.child();
    requests.spawn(request("1a", 900, 50, client.clone()));
    requests.spawn(request("1b", 900, 100, first.child()));
    requests.spawn(request("1c", 900, 150, first.child()));
    let second = server.child();
    requests.spawn(request("2a", 100, 50, second.child()));
    requests.spawn(request("2b", 900, 50, second.child()));
    requests.spawn(request("2c", 900, 100, second.child()));
    let guard = second.drop_guard("the connection is lost");
    sleep(pause).await;

    println!("One request is stopped:");
    client.cancel("the client left");
    sleep(pause).await;

    println!("The owner of a connection is dropped:");
    drop(guard);
    sleep(pause).await;

    println!("A clone of the first connection's token stops all its requests:");
    let no_child = first.clone();
    no_child.cancel("too many errors");
    sleep(pause).await;

    println!("The server is stopped; another connection opens after that:");
    requests.spawn(request("3a", 900, 50, server.child()));
    sleep(pause).await;
    server.cancel("shutting down");
    sleep(pause).await;
    requests.spawn(request("4a", 900, 50, server.child()));
    requests.join_all().await;

    println!("The first reason stays:");
    for stop in [client, first, server] {
        stop.cancel("later");
        println!("{}", stop.reason().unwrap_or("none"));
    }
}
