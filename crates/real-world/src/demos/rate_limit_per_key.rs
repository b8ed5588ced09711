//! Requests of several addresses, without a network.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::time::sleep;
use tower::ServiceExt;

use crate::rate_limit_per_key::{KeyedLimiter, limit};

/// Sends a request as from this address, and prints the response.
async fn send(app: &Router, address: &str) {
    let address: IpAddr = address.parse().expect("an address");
    let mut request = Request::new(Body::empty());
    let client = std::net::SocketAddr::from((address, 50_000));
    request.extensions_mut().insert(ConnectInfo(client));
    let response = app.clone().oneshot(request).await.expect("it cannot fail");
    let status = response.status().as_u16();
    match response.headers().get(header::RETRY_AFTER) {
        Some(seconds) => {
            let seconds = String::from_utf8_lossy(seconds.as_bytes());
            println!("{address}: {status}, retry after {seconds} s");
        }
        None => println!("{address}: {status}"),
    }
}

pub async fn run() {
    let limiter = Arc::new(KeyedLimiter::new(2, Duration::from_millis(1_500), 3));
    let app = &Router::new()
        .route("/", get(async || "hello"))
        .layer(from_fn_with_state(Arc::clone(&limiter), limit));

    println!("Two at once, and then one each 1.5 s:");
    for _ in 0..3 {
        send(app, "10.0.0.1").await;
    }
    sleep(Duration::from_millis(1_500)).await;
    send(app, "10.0.0.1").await;
    send(app, "10.0.0.1").await;

    println!("Another client, and a network of one client:");
    send(app, "10.0.0.2").await;
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        send(app, address).await;
    }

    println!("A fourth client, and the one that was seen first is forgotten:");
    send(app, "10.0.0.3").await;
    println!("{} keys", limiter.keys());
    send(app, "10.0.0.1").await;
    println!("{} keys", limiter.keys());
}
