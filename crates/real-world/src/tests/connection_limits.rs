use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures::future::{join_all, try_join_all};
use futures::poll;
use reqwest::{Client, Method, Request, Url};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Barrier;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{advance, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::connection_limits::LimitedClient;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const SECOND: Duration = Duration::from_secs(1);
/// More bytes than come in before somebody reads.
const LONG: usize = 2 << 20;

struct Server {
    url: Url,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    async fn start() -> Result<Self, Failure> {
        let slow = || sleep(SECOND / 5);
        let app = Router::new()
            .route("/slow", get(slow))
            .route("/short", get("hello"))
            .route("/long", get(|| async { "x".repeat(LONG) }));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?).parse()?;
        let serving = async { axum::serve(listener, app).await.expect("it serves") };
        let _task = AbortOnDropHandle::new(tokio::spawn(serving));
        Ok(Self { url, _task })
    }

    fn get(&self, path: &str) -> Result<Request, Failure> {
        Ok(Request::new(Method::GET, self.url.join(path)?))
    }
}

fn client() -> reqwest::Result<Client> {
    Client::builder().no_proxy().timeout(5 * SECOND).build()
}

/// The permits that are free, of each host.
fn permits(client: &LimitedClient) -> Vec<usize> {
    let hosts = client.hosts.lock().unwrap_or_else(PoisonError::into_inner);
    hosts
        .values()
        .map(|host| host.available_permits())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_no_more_are_let_through() -> Result<(), Failure> {
    super::allow_files();
    let server = Arc::new(Server::start().await?);
    for limit in [1, 3, 50] {
        let limited = LimitedClient::new(client()?, limit);
        let asks = join_all((0..3 * limit).map(|number| {
            let (limited, server) = (limited.clone(), Arc::clone(&server));
            tokio::spawn(async move {
                let ask = async {
                    let request = server.get("/slow")?;
                    limited.execute(request).await?.text().await?;
                    Ok::<(), Failure>(())
                };
                // Some give up, in line or under way.
                if number % 3 == 2 {
                    let patience = Duration::from_millis(number as u64 % 100);
                    let _ = timeout(patience, ask).await;
                    Ok(())
                } else {
                    ask.await
                }
            })
        }));
        for ended in asks.await {
            ended??;
        }
        assert_eq!(permits(&limited), [limit]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_server_there_are_no_more_than_the_limit() -> Result<(), Failure> {
    for limit in [1, 3] {
        // Answers when as many requests are there as the limit allows, not sooner.
        let (all_here, now) = (Arc::new(Barrier::new(limit)), Arc::default());
        let meet = move || async move {
            let others = AtomicUsize::fetch_add(&now, 1, SeqCst);
            all_here.wait().await;
            now.fetch_sub(1, SeqCst);
            others.to_string()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url: Url = format!("http://{}", listener.local_addr()?).parse()?;
        let app = Router::new().fallback(meet);
        let serving = async move { axum::serve(listener, app).await };
        let _server = AbortOnDropHandle::new(tokio::spawn(serving));
        let limited = LimitedClient::new(Client::builder().no_proxy().build()?, limit);
        let asks = (0..4 * limit).map(|_| async {
            let request = Request::new(Method::GET, url.clone());
            let others = limited.execute(request).await?.text().await?;
            Ok::<usize, Failure>(others.parse()?)
        });
        let others = timeout(60 * SECOND, try_join_all(asks)).await??;
        assert_eq!(others.into_iter().max(), Some(limit - 1));
    }
    Ok(())
}

#[tokio::test]
async fn a_response_keeps_its_permit_until_it_is_dropped() -> Result<(), Failure> {
    let server = Server::start().await?;
    let limited = LimitedClient::new(client()?, 2);
    let read = limited.execute(server.get("/long")?).await?;
    let unread = limited.execute(server.get("/long")?).await?;
    assert_eq!(permits(&limited), [0]);
    let read = tokio::spawn(read.text());
    assert_eq!(read.await??.len(), LONG);
    assert_eq!(permits(&limited), [1]);
    drop(unread);
    assert_eq!(permits(&limited), [2]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_response_can_be_used_in_all_ways() -> Result<(), Failure> {
    let server = Server::start().await?;
    let limited = LimitedClient::new(client()?, 1);
    let mut response = limited.execute(server.get("/long")?).await?;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len();
        assert_eq!(permits(&limited), [0], "the body is still to come");
    }
    assert_eq!(bytes, LONG);
    drop(response);

    let response = limited.execute(server.get("/missing")?).await?;
    let refused = response.error_for_status().map(|_| ());
    assert!(refused.is_err_and(|error| error.is_status()));
    assert_eq!(permits(&limited), [1]);
    let response = limited.execute(server.get("/short")?).await?;
    let response = response.error_for_status()?;
    assert_eq!(permits(&limited), [0]);
    assert!(response.json::<u32>().await.is_err(), "it is no JSON");
    assert_eq!(permits(&limited), [1]);
    let (response, permit) = limited.execute(server.get("/short")?).await?.into_parts();
    assert_eq!(response.bytes().await?, "hello");
    assert_eq!(permits(&limited), [0]);
    drop(permit);
    assert_eq!(permits(&limited), [1]);
    Ok(())
}

#[tokio::test]
async fn dropped_at_each_await_it_takes_no_permit() -> Result<(), Failure> {
    let server = Server::start().await?;
    let limited = LimitedClient::new(client()?, 1);
    for others in [0, 1] {
        let mut answered = 0;
        for polls in 1..30 {
            let held = match others {
                0 => None,
                _ => Some(limited.execute(server.get("/long")?).await?),
            };
            let mut asks = Box::pin(limited.execute(server.get("/long")?));
            for _ in 0..polls {
                if futures::poll!(asks.as_mut()).is_ready() {
                    answered += 1;
                    break;
                }
                yield_now().await;
            }
            drop(asks);
            assert_eq!(permits(&limited), [1 - others]);
            drop(held);
            assert_eq!(permits(&limited), [1]);
        }
        assert!(others == 1 || answered > 0);
    }
    Ok(())
}

/// The server sees two requests, and answers neither.
#[tokio::test]
async fn dropped_while_it_waits_it_sends_nothing() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url: Url = format!("http://{}", listener.local_addr()?).parse()?;
    let get = |path| url.join(path).map(|url| Request::new(Method::GET, url));
    let limited = LimitedClient::new(client()?, 1);
    let mut seen = Vec::new();
    for path in ["/first", "/last"] {
        let asks = limited.execute(get(path)?);
        let sees = async {
            let (mut stream, _) = listener.accept().await?;
            let mut head = vec![0; path.len()];
            stream.read_exact(&mut [0; 4]).await?;
            stream.read_exact(&mut head).await?;
            seen.push(String::from_utf8(head)?);
            // The permit is taken.
            let waits = limited.execute(get("/between")?);
            let waits = timeout(SECOND / 20, waits).await.map(|_| ());
            assert!(waits.is_err());
            Ok::<(), Failure>(())
        };
        tokio::select! {
            _ = asks => panic!("nobody answers"),
            saw = sees => saw?,
        }
    }
    assert_eq!(seen, ["/first", "/last"]);
    Ok(())
}

#[tokio::test]
async fn requests_are_sent_in_the_order_in_which_they_asked() -> Result<(), Failure> {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let note = move |uri: axum::http::Uri| async move {
        let path = uri.path()[1..].parse::<u32>();
        log.lock().expect("no panic").push(path.expect("a number"));
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url: Url = format!("http://{}/", listener.local_addr()?).parse()?;
    let app = Router::new().fallback(note);
    let serving = async move { axum::serve(listener, app).await };
    let _server = AbortOnDropHandle::new(tokio::spawn(serving));
    let limited = LimitedClient::new(Client::builder().no_proxy().build()?, 1);
    let asks = (0..30).map(|number| {
        let (limited, url) = (limited.clone(), url.join(&number.to_string()));
        async move {
            limited
                .execute(Request::new(Method::GET, url?))
                .await?
                .text()
                .await?;
            Ok::<(), Failure>(())
        }
    });
    timeout(60 * SECOND, try_join_all(asks)).await??;
    assert_eq!(*seen.lock().expect("no panic"), Vec::from_iter(0..30));
    Ok(())
}

/// The other host has no permit of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_to_another_host_is_not_counted_there() -> Result<(), Failure> {
    let other = Server::start().await?;
    let target = other.get("/short")?.url().to_string();
    let moved = async move || axum::response::Redirect::temporary(&target);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url: Url = format!("http://{}/", listener.local_addr()?).parse()?;
    let app = Router::new().fallback(moved);
    let serving = async move { axum::serve(listener, app).await };
    let _server = AbortOnDropHandle::new(tokio::spawn(serving));
    let limited = LimitedClient::new(client()?, 1);
    let held = limited.execute(other.get("/long")?).await?;
    let followed = limited.execute(Request::new(Method::GET, url));
    let followed = timeout(60 * SECOND, followed).await??;
    assert_eq!(followed.text().await?, "hello");
    drop(held);
    Ok(())
}

#[tokio::test]
async fn a_request_that_fails_releases_its_permit() -> Result<(), Failure> {
    let limited = LimitedClient::new(client()?, 1);
    let closed = TcpSocket::new_v4()?;
    closed.bind(([127, 0, 0, 1], 0).into())?;
    let url = format!("http://{}", closed.local_addr()?).parse()?;
    let request = Request::new(Method::GET, url);
    for _ in 0..3 {
        let request = request.try_clone().expect("it has no body");
        let response = limited.execute(request).await.map(|_| ());
        assert!(response.is_err_and(|error| error.is_connect()));
        assert_eq!(permits(&limited), [1]);
    }
    Ok(())
}

/// The clock is paused, and stands still while a thread is blocked.
#[tokio::test(start_paused = true)]
async fn the_time_in_line_does_not_count_for_the_timeout() -> Result<(), Failure> {
    let (_clock_runs, clock_stands) = mpsc::channel::<()>();
    spawn_blocking(move || clock_stands.recv());
    let server = Server::start().await?;
    let client = Client::builder().no_proxy().timeout(SECOND).build()?;
    let limited = LimitedClient::new(client, 1);
    let held = limited.execute(server.get("/long")?).await?;
    let mut in_line = pin!(limited.execute(server.get("/short")?));
    assert!(poll!(in_line.as_mut()).is_pending());
    advance(10 * SECOND).await;
    drop(held);
    assert_eq!(in_line.await?.text().await?, "hello");
    Ok(())
}

#[tokio::test]
async fn hosts_that_are_not_in_use_are_forgotten() -> Result<(), Failure> {
    let (a, b) = (Server::start().await?, Server::start().await?);
    let limited = LimitedClient::new(client()?, 1);
    let held = limited.execute(a.get("/long")?).await?;
    limited.execute(b.get("/slow")?).await?.text().await?;
    assert_eq!(permits(&limited).len(), 2, "a is in use");
    drop(held);
    limited.execute(b.get("/slow")?).await?.text().await?;
    assert_eq!(permits(&limited).len(), 2, "b is known");
    let c = Server::start().await?;
    limited.execute(c.get("/slow")?).await?.text().await?;
    assert_eq!(permits(&limited), [1]);
    Ok(())
}

/// A semaphore with so many permits would panic, in the first request.
#[tokio::test]
async fn a_limit_of_usize_max_sends() {
    let client = LimitedClient::new(Client::new(), usize::MAX);
    // No port 0 answers, but the request gets its permit and is tried.
    let request = Client::new().get("http://127.0.0.1:0/").build();
    let sent = client.execute(request.expect("a request")).await;
    assert!(sent.is_err_and(|error| error.is_connect()));
}

#[test]
#[should_panic = "a limit of 0 would send nothing"]
fn a_limit_of_0_is_refused() {
    let _ = LimitedClient::new(Client::new(), 0);
}

/// The variable that makes `child` do something.
#[cfg(unix)]
const CHILD: &str = "CONNECTION_LIMITS_CHILD";

/// Not a test by itself, but a process that may open few files.
#[cfg(unix)]
#[tokio::test]
async fn child() -> Result<(), Failure> {
    use futures::TryStreamExt;
    use futures::stream::FuturesUnordered;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Ok(limit) = std::env::var(CHILD) else {
        return Ok(());
    };
    let server = Server::start().await?;
    let maximum = getrlimit(Resource::Nofile).maximum;
    let few = Rlimit {
        current: Some(64),
        maximum,
    };
    setrlimit(Resource::Nofile, few)?;
    let patient = Client::builder().no_proxy().build()?;
    let limited = LimitedClient::new(patient, limit.parse()?);
    let asks = (0..100).map(|_| async {
        limited.execute(server.get("/long")?).await?.text().await?;
        Ok::<(), Failure>(())
    });
    // `try_join_all` would tell of a failure when all before it have ended.
    let answers = FuturesUnordered::from_iter(asks).try_collect::<Vec<()>>();
    match timeout(120 * SECOND, answers).await? {
        Ok(answers) => println!("{} are answered", answers.len()),
        Err(failure) => println!("{failure:?}"),
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn with_a_limit_files_are_never_too_many() -> Result<(), Failure> {
    for (limit, said) in [("5", "100 are answered"), ("100", "Too many open files")] {
        let output = super::support::child_of(module_path!())
            .env(CHILD, limit)
            .output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains(said), "{output:?}");
    }
    Ok(())
}
