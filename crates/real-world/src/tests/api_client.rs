use std::error::Error;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use reqwest::{Client, Method};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::support::soon;
use crate::api_client::{ApiClient, ApiError, Credentials, Limits};

type Failure = Box<dyn Error + Send + Sync>;

const TICK: Duration = Duration::from_millis(10);

const LIMITS: Limits = Limits {
    attempts: 3,
    backoff: TICK,
    max_pause: TICK,
    jitter: true,
    body: 1_000,
};

/// Gives tokens, of which only the last is valid, and answers as the path says.
#[derive(Default)]
struct Server {
    logins: AtomicUsize,
    calls: AtomicUsize,
    rejects_all: bool,
    address: OnceLock<SocketAddr>,
}

async fn log_in(State(server): State<Arc<Server>>) -> Json<Value> {
    let number = server.logins.fetch_add(1, SeqCst) + 1;
    sleep(TICK).await;
    Json(json!({ "access_token": number.to_string() }))
}

async fn answer(
    State(server): State<Arc<Server>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let valid = format!("Bearer {}", server.logins.load(SeqCst));
    let token = headers.get(header::AUTHORIZATION).map(|it| it.as_bytes());
    if server.rejects_all || token != Some(valid.as_bytes()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let call = server.calls.fetch_add(1, SeqCst);
    // `busy/503/2`: two responses with this status, and then one that is well.
    let parts: Vec<&str> = uri.path().split('/').collect();
    if let ["", "v1", kind @ ("busy" | "date"), status, times] = parts[..]
        && call < times.parse().expect("a number")
    {
        let status = StatusCode::from_bytes(status.as_bytes()).expect("a status");
        let after = match kind {
            "busy" => "86400",
            _ => "Wed, 21 Oct 2099 07:28:00 GMT",
        };
        return (status, [(header::RETRY_AFTER, after)], "busy").into_response();
    }
    match parts[..] {
        ["", "v1", "large", size] => "1".repeat(size.parse().expect("a number")),
        ["", "v1", "text"] => "no JSON".to_owned(),
        ["", "v1", "empty"] => return StatusCode::NO_CONTENT.into_response(),
        _ => json!(uri.to_string()).to_string(),
    }
    .into_response()
}

/// A server and a client of it.
async fn start(
    server: Server,
    base: &str,
) -> Result<(Arc<Server>, ApiClient, AbortOnDropHandle<()>), Failure> {
    let server = Arc::new(server);
    let routes = Router::new()
        .route("/v1/token", post(log_in))
        .route("/v1/a%20b/token", post(log_in))
        .fallback(answer)
        .with_state(Arc::clone(&server));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = server
        .address
        .get_or_init(|| listener.local_addr().expect("bound"));
    let base = format!("http://{address}{base}");
    let serving =
        tokio::spawn(async { axum::serve(listener, routes).await.expect("it") });
    let api = client(&base, LIMITS)?;
    Ok((server, api, AbortOnDropHandle::new(serving)))
}

fn client(base: &str, limits: Limits) -> Result<ApiClient, ApiError> {
    let [client_id, client_secret] = ["me", "secret"].map(str::to_owned);
    let http = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60));
    let credentials = Credentials {
        client_id,
        client_secret,
    };
    ApiClient::new(http, base, credentials, limits)
}

async fn get(api: &ApiClient, path: &str) -> Result<Value, ApiError> {
    soon(api.send(Method::GET, path, |it| it)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_callers_log_in_once() -> Result<(), Failure> {
    super::allow_files();
    let (server, api, _serving) = start(Server::default(), "/v1").await?;
    let api = Arc::new(api);
    for logins in [1, 3, 5] {
        let mut set = JoinSet::new();
        for number in 0..1_000 {
            let api = Arc::clone(&api);
            set.spawn(async move {
                let query = [("number", number)];
                let sent = api.send(Method::GET, "x", |it| it.query(&query));
                let answered: String = soon(sent).await?;
                assert_eq!(answered, format!("/v1/x?number={number}"));
                Ok::<_, ApiError>(())
            });
        }
        for result in set.join_all().await {
            result?;
        }
        assert_eq!(server.logins.load(SeqCst), logins);
        // The token that the client has is no longer valid.
        server.logins.fetch_add(1, SeqCst);
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_rejected_twice_is_an_error() -> Result<(), Failure> {
    let rejects_all = Server {
        rejects_all: true,
        ..Server::default()
    };
    let (server, api, _serving) = start(rejects_all, "/v1").await?;
    let error = get(&api, "x").await.expect_err("rejected");
    assert_eq!(error.to_string(), "status 401: ");
    assert_eq!(server.logins.load(SeqCst), 2);
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_dropped_at_any_time_leaves_a_client_that_works()
-> Result<(), Failure> {
    let (server, api, _serving) = start(Server::default(), "/v1").await?;
    for millis in 0..40 {
        server.logins.fetch_add(1, SeqCst);
        let limit = Duration::from_millis(millis);
        let _dropped = timeout(limit, api.send::<IgnoredAny>(Method::GET, "x", |it| it));
        let _dropped = _dropped.await;
        get(&api, "x").await?;
    }
    Ok(())
}

#[tokio::test]
async fn only_idempotent_calls_are_sent_again() -> Result<(), Failure> {
    for (method, status, times, expected_calls, is_ok) in [
        (Method::GET, 503, 2, 3, true),
        (Method::GET, 429, 2, 3, true),
        (Method::PUT, 502, 1, 2, true),
        (Method::DELETE, 504, 1, 2, true),
        (Method::GET, 503, 3, 3, false),
        (Method::GET, 500, 1, 1, false),
        (Method::GET, 404, 1, 1, false),
        (Method::POST, 503, 1, 1, false),
        (Method::PATCH, 503, 1, 1, false),
        (Method::POST, 503, 0, 1, true),
    ] {
        let (server, api, _serving) = start(Server::default(), "/v1").await?;
        let path = format!("busy/{status}/{times}");
        // The server asks for a day: the client waits as long as its limit says.
        let sent: Result<Value, _> = soon(api.send(method.clone(), &path, |it| it)).await;
        assert_eq!(sent.is_ok(), is_ok, "{method} {path}");
        assert_eq!(server.calls.load(SeqCst), expected_calls, "{method} {path}");
        if let Err(error) = sent {
            assert_eq!(error.to_string(), format!("status {status}: busy"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_timeout_of_the_builder_holds_for_each_attempt() -> Result<(), Failure> {
    let calls = Arc::new(AtomicUsize::new(0));
    let answer = async |State(calls): State<Arc<AtomicUsize>>| {
        if calls.fetch_add(1, SeqCst) == 0 {
            pending::<()>().await;
        }
        Json(json!("well"))
    };
    let routes = Router::new()
        .route("/token", post(Json(json!({ "access_token": "1" }))))
        .fallback(answer)
        .with_state(Arc::clone(&calls));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(async { axum::serve(listener, routes).await });
    let _serving = AbortOnDropHandle::new(serving);
    let http = Client::builder().no_proxy().timeout(50 * TICK);
    // On a busy machine a later attempt may be too slow as well.
    let limits = Limits {
        attempts: 50,
        ..LIMITS
    };
    let credentials = Credentials {
        client_id: String::new(),
        client_secret: String::new(),
    };
    let api = ApiClient::new(http, &base, credentials, limits)?;
    assert_eq!(get(&api, "x").await?, "well");
    assert!(calls.load(SeqCst) > 1);
    Ok(())
}

/// The second trap: the server may have placed the order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_times_out_or_breaks_off_is_not_sent_again() -> Result<(), Failure> {
    for (method, times_out, expected) in [
        (Method::POST, true, 1),
        (Method::POST, false, 1),
        (Method::PATCH, false, 1),
        (Method::PUT, true, 3),
        (Method::DELETE, false, 3),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let orders = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&orders);
        let serving = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = String::new();
                while !request.contains("client_secret") && !request.ends_with("{}") {
                    let mut piece = vec![0; 4096];
                    let size = stream.read(&mut piece).await.unwrap_or(0);
                    request += &String::from_utf8_lossy(&piece[..size]);
                    if size == 0 {
                        break;
                    }
                }
                if request.starts_with("POST /token") {
                    let token = r#"{"access_token": "1"}"#;
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n\
                         {token}",
                        token.len()
                    );
                    let written = stream.write_all(answer.as_bytes()).await;
                    written.expect("it reads");
                } else if request.ends_with("{}") {
                    counted.fetch_add(1, SeqCst);
                    // Carried out, and no answer comes.
                    if times_out {
                        open.push(stream);
                    }
                }
            }
        });
        let _serving = AbortOnDropHandle::new(serving);
        let http = Client::builder().no_proxy().timeout(100 * TICK);
        let credentials = Credentials {
            client_id: String::new(),
            client_secret: String::new(),
        };
        let api = ApiClient::new(http, &base, credentials, LIMITS)?;
        let sent = api.send::<Value>(method.clone(), "orders", |it| it.body("{}"));
        let error = soon(sent).await.expect_err("no answer");
        let ApiError::Http(error) = error else {
            panic!("{error:?}");
        };
        assert_eq!(error.is_timeout(), times_out, "{method} {error:?}");
        assert_eq!(orders.load(SeqCst), expected, "{method} {times_out}");
    }
    Ok(())
}

/// Of many clients, some come back long before the whole pause is over.
#[tokio::test]
async fn with_jitter_clients_spread_over_the_pause() -> Result<(), Failure> {
    let closed = TcpSocket::new_v4()?;
    closed.bind("127.0.0.1:0".parse()?)?;
    let base = format!("http://{}", closed.local_addr()?);
    let pause = Duration::from_secs(20);
    let limits = Limits {
        attempts: 2,
        backoff: pause,
        max_pause: pause,
        jitter: true,
        body: 0,
    };
    // It takes seconds to make so many clients on a busy machine.
    let clients: Vec<ApiClient> = (0..100)
        .map(|_| client(&base, limits))
        .collect::<Result<_, _>>()?;
    let start = Instant::now();
    let mut set = JoinSet::new();
    for api in clients {
        set.spawn(async move { api.send::<Value>(Method::GET, "x", |it| it).await });
    }
    let first = soon(set.join_next()).await.expect("there are many");
    assert!(first?.is_err());
    assert!(start.elapsed() < pause / 2, "{:?}", start.elapsed());
    Ok(())
}

/// It counts as none: the pause is that of the backoff.
#[tokio::test]
async fn a_retry_after_that_is_a_date_is_ignored() -> Result<(), Failure> {
    let (server, _, _serving) = start(Server::default(), "/v1").await?;
    let address = server.address.get().expect("it listens");
    let limits = Limits {
        backoff: 5 * TICK,
        max_pause: Duration::from_secs(3_600),
        jitter: false,
        ..LIMITS
    };
    let api = client(&format!("http://{address}/v1"), limits)?;
    let begun = Instant::now();
    get(&api, "date/503/2").await?;
    assert_eq!(server.calls.load(SeqCst), 3);
    assert!(begun.elapsed() >= 15 * TICK, "5 and 10 ticks");
    Ok(())
}

#[tokio::test]
async fn without_a_connection_pauses_double() -> Result<(), Failure> {
    // It has a port, which nobody else can take, but does not listen.
    let closed = TcpSocket::new_v4()?;
    closed.bind("127.0.0.1:0".parse()?)?;
    let base = format!("http://{}", closed.local_addr()?);
    let api = client(&base, LIMITS)?;
    assert!(matches!(get(&api, "x").await, Err(ApiError::Http(it)) if it.is_connect()));

    // Even a POST is retried: nothing was sent.
    let limits = Limits {
        backoff: 5 * TICK,
        max_pause: 20 * TICK,
        jitter: false,
        ..LIMITS
    };
    let api = client(&base, limits)?;
    let start = Instant::now();
    let sent: Result<Value, _> = soon(api.send(Method::POST, "x", |it| it)).await;
    assert!(sent.is_err());
    assert!(start.elapsed() >= 15 * TICK, "5 and 10 ticks");
    Ok(())
}

#[tokio::test]
async fn no_path_leaves_the_base() -> Result<(), Failure> {
    for (base, path, expected) in [
        ("/v1", "x", "/v1/x"),
        ("/v1/", "x", "/v1/x"),
        ("/v1", "/x/y", "/v1/x/y"),
        ("/v1", "//other.example/x", "/v1/other.example/x"),
        (
            "/v1",
            "http://other.example/",
            "/v1/http:%2F%2Fother.example",
        ),
        ("/v1", "../admin", "/v1/admin"),
        ("/v1", "a/%2e%2e/%2e%2e/x", "/v1/a/%252e%252e/%252e%252e/x"),
        ("/v1", "x?admin=1#y", "/v1/x%3Fadmin=1%23y"),
        ("/v1/a b", "x", "/v1/a%20b/x"),
    ] {
        let (_server, api, _serving) = start(Server::default(), base).await?;
        let answered = get(&api, path).await?;
        // The scheme stays a segment with a colon, whatever its slashes become.
        if path.starts_with("http:") {
            let answered = answered.as_str().unwrap_or_default();
            assert!(answered.starts_with("/v1/http:/"), "{answered}");
        } else {
            assert_eq!(answered, expected, "{base} {path}");
        }
    }
    for base in ["", "x", "mailto:x", "data:x", "file:///x", "/v1"] {
        let refused = client(base, LIMITS).map(|_| ());
        assert!(matches!(refused, Err(ApiError::BaseUrl(_))), "{base}");
    }
    let joined = reqwest::Url::parse("https://x/v1")?;
    assert_eq!(joined.join("users")?.as_str(), "https://x/users");
    assert_eq!(joined.join("//y/users")?.as_str(), "https://y/users");
    Ok(())
}

#[tokio::test]
async fn bodies_that_are_too_large_or_no_json() -> Result<(), Failure> {
    let (_server, api, _serving) = start(Server::default(), "/v1").await?;
    let exact = api.send::<Value>(Method::GET, "large/1000", |it| it).await;
    assert!(matches!(exact, Ok(_) | Err(ApiError::Json(_))), "{exact:?}");
    let larger = get(&api, "large/1001").await;
    assert!(
        matches!(larger, Err(ApiError::TooLarge(1_000))),
        "{larger:?}"
    );
    assert!(matches!(get(&api, "text").await, Err(ApiError::Json(_))));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn limits_of_zero_and_without_end() -> Result<(), Failure> {
    let extremes = [Duration::ZERO, Duration::MAX];
    for (attempts, backoff) in [(0, extremes[0]), (1, extremes[1]), (40, extremes[1])] {
        let limits = Limits {
            attempts,
            backoff,
            max_pause: Duration::from_secs(1),
            ..LIMITS
        };
        let api = client("http://127.0.0.1:1", limits)?;
        assert!(api.send::<Value>(Method::GET, "x", |it| it).await.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn a_control_character_in_a_path_is_refused() -> Result<(), Failure> {
    let (_server, api, _serving) = start(Server::default(), "/v1/tenants/7").await?;
    for path in [".\t./8", ".\n./", "\t../8", "a\r", "a\0b", "a\u{85}"] {
        let refused = get(&api, path).await;
        assert!(
            matches!(refused, Err(ApiError::Path(_))),
            "{path:?} {refused:?}"
        );
    }
    Ok(())
}

/// httpx follows no redirect unless it is told to.
#[tokio::test]
async fn httpx_a_login_that_is_redirected_gives_the_secret_to_nobody()
-> Result<(), Failure> {
    for status in [301, 302, 303, 307, 308] {
        let other = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/steal", other.local_addr()?);
        let moved = move || async move {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, [(header::LOCATION, url.clone())], "moved")
        };
        let routes = Router::new().fallback(moved);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let serving =
            tokio::spawn(async { axum::serve(listener, routes).await.expect("it") });
        let _serving = AbortOnDropHandle::new(serving);
        let refused = get(&client(&base, LIMITS)?, "x").await;
        assert!(
            matches!(&refused, Err(ApiError::Status { status: it, .. }) if *it == status),
            "{refused:?}"
        );
        let nobody = tokio::time::timeout(TICK, other.accept()).await;
        assert!(nobody.is_err(), "{status}: a connection to the other host");
    }
    Ok(())
}

#[tokio::test]
async fn rfc_9110_a_204_has_no_json_and_is_a_success() -> Result<(), Failure> {
    let (_server, api, _serving) = start(Server::default(), "/v1").await?;
    soon(api.send::<()>(Method::DELETE, "empty", |it| it)).await?;
    let nothing = api.send::<Option<u32>>(Method::DELETE, "empty", |it| it);
    assert_eq!(soon(nothing).await?, None);
    let number = soon(api.send::<u32>(Method::DELETE, "empty", |it| it)).await;
    assert!(matches!(number, Err(ApiError::Json(_))), "{number:?}");
    Ok(())
}
