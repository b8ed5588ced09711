//! An API that logs its callers in, revokes a token, and is busy now and then.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::future::try_join_all;
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::api_client::{ApiClient, Credentials, Limits};

/// What the server knows: how many tokens it has given, and how often it was busy.
#[derive(Default)]
struct Server {
    tokens: AtomicUsize,
    busy: AtomicUsize,
}

impl Server {
    fn check(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let valid = format!("Bearer token {}", self.tokens.load(SeqCst));
        match headers.get(header::AUTHORIZATION) {
            Some(token) if token.as_bytes() == valid.as_bytes() => Ok(()),
            _ => Err(StatusCode::UNAUTHORIZED),
        }
    }
}

type Shared = State<Arc<Server>>;

async fn log_in(State(server): Shared, form: String) -> Result<Json<Value>, StatusCode> {
    if form != "client_id=me&client_secret=secret" {
        return Err(StatusCode::FORBIDDEN);
    }
    let number = server.tokens.fetch_add(1, SeqCst) + 1;
    println!("server: token {number}");
    // Long enough for other calls to find out that they need one as well.
    sleep(Duration::from_millis(100)).await;
    Ok(Json(json!({ "access_token": format!("token {number}") })))
}

#[derive(Deserialize)]
struct Options {
    greeting: String,
}

async fn user(
    State(server): Shared,
    Path(id): Path<u32>,
    Query(Options { greeting }): Query<Options>,
    headers: HeaderMap,
) -> Result<Json<Value>, (StatusCode, String)> {
    server
        .check(&headers)
        .map_err(|status| (status, String::new()))?;
    match id {
        1..10 => Ok(Json(json!(format!("{greeting}, user {id}")))),
        _ => Err((StatusCode::NOT_FOUND, format!("no user {id}"))),
    }
}

async fn order(
    State(server): Shared,
    headers: HeaderMap,
    Json(order): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    server.check(&headers)?;
    Ok(Json(json!({ "ordered": order["item"] })))
}

/// Is busy twice, and then not.
async fn report(
    State(server): Shared,
    headers: HeaderMap,
) -> Result<Json<Value>, (StatusCode, &'static str)> {
    server.check(&headers).map_err(|status| (status, ""))?;
    match server.busy.fetch_add(1, SeqCst) % 3 {
        2 => Ok(Json(json!("all is well"))),
        _ => Err((StatusCode::SERVICE_UNAVAILABLE, "busy")),
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    // The server and the client take time to start.
    let start = Instant::now() + Duration::from_millis(500);
    let part = |number| sleep_until(start + number * Duration::from_millis(500));
    let server = Arc::new(Server::default());
    let routes = Router::new()
        .route("/v1/token", post(log_in))
        .route("/v1/users/{id}", get(user))
        .route("/v1/orders", post(order))
        .route("/v1/report", get(report).post(report))
        .with_state(Arc::clone(&server));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}/v1", listener.local_addr()?);
    let serving = tokio::spawn(async { axum::serve(listener, routes).await });
    let _serving = AbortOnDropHandle::new(serving);
    let [client_id, client_secret] = ["me", "secret"].map(str::to_owned);
    let credentials = Credentials {
        client_id,
        client_secret,
    };
    let limits = Limits {
        attempts: 3,
        backoff: Duration::from_millis(100),
        max_pause: Duration::from_secs(1),
        jitter: false,
        body: 1_000,
    };
    let http = Client::builder().no_proxy();
    let http = http.timeout(Duration::from_secs(30));
    let api = ApiClient::new(http, &base, credentials, limits)?;
    let greet = async |id: u32| {
        let path = format!("users/{id}");
        let query = [("greeting", "hello")];
        let answer: Result<String, _> =
            api.send(Method::GET, &path, |it| it.query(&query)).await;
        answer
    };

    part(0).await;
    println!("The first call logs in:");
    println!("{}", greet(1).await?);

    part(1).await;
    println!("A query, JSON, and an error of the server:");
    println!("{}", greet(2).await?);
    let order = json!({ "item": "tea" });
    let ordered: Value = api
        .send(Method::POST, "orders", |it| it.json(&order))
        .await?;
    println!("{ordered}");
    if let Err(error) = greet(10).await {
        println!("{error}");
    }

    part(2).await;
    println!("The token is revoked, and three calls find that out at once:");
    server.tokens.fetch_add(1, SeqCst);
    for answer in try_join_all([3, 4, 5].map(greet)).await? {
        println!("{answer}");
    }

    part(3).await;
    println!("The server is busy twice:");
    let report: String = api.send(Method::GET, "report", |it| it).await?;
    println!("{report}");

    part(4).await;
    println!("A call that is not idempotent is sent once:");
    let report = api.send::<String>(Method::POST, "report", |it| it).await;
    if let Err(error) = report {
        println!("{error}");
    }
    Ok(())
}
