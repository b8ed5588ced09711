use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use serde::de::IgnoredAny;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::support::soon;
use crate::http_requests::{FetchError, MAX_BODY, client, fetch_all, fetch_json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

type Task = AbortOnDropHandle<io::Result<()>>;

const OK: &str = "HTTP/1.1 200 OK\r\n";
const TEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";

/// What a server does after it has sent a text.
#[derive(Clone, Copy)]
enum Then {
    Closes,
    Resets,
    Waits,
    SendsHeaders,
    SendsBody,
}

async fn serve(text: &str, then: Then) -> io::Result<(String, Task)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let text = text.to_owned();
    let task = tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await?;
            let mut request = [0; 1024];
            let _size = connection.read(&mut request).await?;
            connection.write_all(text.as_bytes()).await?;
            match then {
                Then::Closes => {}
                Then::Resets => connection.set_zero_linger()?,
                Then::Waits => while connection.read(&mut request).await? > 0 {},
                Then::SendsBody => {
                    while connection.write_all(&[b' '; 65_536]).await.is_ok() {}
                }
                Then::SendsHeaders => {
                    while connection.write_all(b"x-more: more\r\n").await.is_ok() {
                        sleep(Duration::from_millis(10)).await;
                    }
                }
            }
        }
    });
    Ok((url, AbortOnDropHandle::new(task)))
}

#[tokio::test]
async fn every_fault_is_an_error_that_tells_what_it_was() -> Result<(), Failure> {
    let half = format!("{TEN}[1, ");
    let failed = TEN.replace("200 OK", "503 Busy");
    let long = format!("{OK}{}", "x-more: more\r\n".repeat(100_000));
    let endless = format!("{OK}connection: close\r\n\r\n");
    let endless_failure = endless.replace("200 OK", "500 Broken");
    for (text, then, expected) in [
        ("", Then::Closes, "the request failed"),
        ("", Then::Resets, "the request failed"),
        ("", Then::Waits, "no answer in time"),
        ("what?\r\n\r\n", Then::Closes, "the request failed"),
        (&long, Then::Waits, "the request failed"),
        (OK, Then::SendsHeaders, "no answer in time"),
        (TEN, Then::Closes, "the request failed"),
        (TEN, Then::Waits, "no answer in time"),
        (&half, Then::Closes, "the request failed"),
        (&half, Then::Resets, "the request failed"),
        (&half, Then::Waits, "no answer in time"),
        (&failed, Then::Closes, "status 503: "),
        (&failed, Then::Resets, "status 503: "),
        (&failed, Then::Waits, "status 503: "),
        (
            &endless,
            Then::SendsBody,
            "a body of more than 2000000 bytes",
        ),
        (&endless_failure, Then::SendsBody, "status 500: "),
    ] {
        let limit = match (expected, then) {
            ("no answer in time", _) => Duration::from_millis(150),
            // It ends by the bytes, long before that.
            (_, Then::SendsBody) => Duration::from_secs(60),
            _ => Duration::from_secs(2),
        };
        let client = client(60 * limit, limit)?;
        let (url, _server) = serve(text, then).await?;
        let fetched: Result<IgnoredAny, _> = fetch_json(client.get(&url)).await;
        let error = fetched.expect_err("a fault");
        assert_eq!(error.to_string(), expected, "{text:.80}");
    }
    Ok(())
}

#[tokio::test]
async fn bad_json_and_half_a_body_are_told_apart() -> Result<(), Failure> {
    let second = Duration::from_secs(1);
    let client = client(second, second)?;
    for (body, breaks_off) in [("not JSON..", false), ("[1, ", true)] {
        let (url, _server) = serve(&format!("{TEN}{body}"), Then::Closes).await?;
        let response = client.get(&url).send().await?;
        let error = response.json::<IgnoredAny>().await;
        let error = error.expect_err("not JSON").without_url();
        assert_eq!(error.to_string(), "error decoding response body");

        let fetched: Result<IgnoredAny, _> = fetch_json(client.get(&url)).await;
        assert!(match fetched {
            Err(FetchError::Broken(_)) => breaks_off,
            Err(FetchError::Json(_)) => !breaks_off,
            _ => false,
        });
    }
    Ok(())
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() -> Result<(), Failure> {
    let minute = Duration::from_secs(60);
    let client = client(minute, minute)?;
    for (size, fits) in [(MAX_BODY, true), (MAX_BODY + 1, false)] {
        let header = format!("{OK}content-length: {size}\r\n\r\n");
        let text = format!("{header}{}1", " ".repeat(size - 1));
        let (url, _server) = serve(&text, Then::Waits).await?;
        let fetched: Result<u32, _> = fetch_json(client.get(&url)).await;
        match fetched {
            Ok(1) => assert!(fits),
            Err(FetchError::TooLarge(MAX_BODY)) => assert!(!fits),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

/// `requests` takes both.
#[tokio::test]
async fn requests_no_content_and_a_byte_order_mark() -> Result<(), Failure> {
    let client = client(Duration::from_secs(60), Duration::from_secs(60))?;
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    let (url, _task) = serve(empty, Then::Closes).await?;
    fetch_json::<()>(client.delete(&url)).await?;
    assert_eq!(fetch_json::<Option<u32>>(client.delete(&url)).await?, None);
    let marked = format!("{OK}content-length: 5\r\n\r\n\u{FEFF}17");
    let (url, _task) = serve(&marked, Then::Closes).await?;
    assert_eq!(fetch_json::<u32>(client.get(&url)).await?, 17);
    Ok(())
}

/// All requests have come before one of them is answered, the last one first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_all_sends_all_at_the_same_time_and_keeps_the_order() -> Result<(), Failure>
{
    for number in [0, 1, 31] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            let mut asked = Vec::new();
            while asked.len() < number {
                let (mut stream, _) = listener.accept().await?;
                let mut head = vec![0; 1024];
                let size = stream.read(&mut head).await?;
                let head = String::from_utf8_lossy(&head[..size]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                asked.push((stream, path[1..].to_owned()));
            }
            for (mut stream, body) in asked.into_iter().rev() {
                let length = body.len();
                let answer = format!("{OK}content-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await?;
            }
            Ok(())
        });
        let _serving: Task = AbortOnDropHandle::new(serving);
        let urls = (0..number).map(|number| format!("http://{address}/{number}"));
        let urls: Vec<_> = urls.collect();
        let client = client(Duration::from_secs(60), Duration::from_secs(60))?;
        let fetched = fetch_all::<usize>(&client, &urls);
        let fetched = soon(fetched).await;
        let numbers = fetched.into_iter().collect::<Result<Vec<_>, _>>()?;
        assert_eq!(numbers, (0..number).collect::<Vec<_>>());
    }
    Ok(())
}

/// The clock is paused, and stands still while a thread is blocked.
#[tokio::test(start_paused = true)]
async fn reqwest_has_no_timeout_by_default() -> Result<(), Failure> {
    const HOUR: Duration = Duration::from_secs(3600);
    let (_clock_runs, clock_stands) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || clock_stands.recv());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let plain = reqwest::Client::builder().no_proxy().build()?;
    let ours = client(2 * HOUR, HOUR / 2)?;
    for (client, is_late) in [(plain, false), (ours, true)] {
        let mut sending = std::pin::pin!(client.get(&url).send());
        let asked = async {
            let (mut stream, _) = listener.accept().await?;
            let size = stream.read(&mut [0; 1024]).await?;
            assert!(size > 0);
            io::Result::Ok(stream)
        };
        let _silent = tokio::select! {
            _ = &mut sending => panic!("nobody answers"),
            asked = asked => asked?,
        };
        tokio::time::advance(HOUR).await;
        let mut ended = None;
        for _ in 0..10 {
            if let Poll::Ready(answer) = futures::poll!(sending.as_mut()) {
                ended = Some(answer.map(|_| ()));
                break;
            }
            tokio::task::yield_now().await;
        }
        let timed_out = ended.map(|it| it.is_err_and(|error| error.is_timeout()));
        assert_eq!(timed_out, is_late.then_some(true));
    }
    Ok(())
}

/// Linux answers no client whose place in the backlog is taken.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn connecting_has_its_own_limit() -> Result<(), Failure> {
    let tenth = Duration::from_millis(100);
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let full = socket.listen(1)?;
    let address = full.local_addr()?;
    let mut clients = Vec::new();
    let connect = || tokio::net::TcpStream::connect(address);
    while let Ok(client) = tokio::time::timeout(tenth, connect()).await {
        clients.push(client?);
    }
    let client = client(tenth, Duration::from_secs(3600))?;
    let fetched = fetch_json::<IgnoredAny>(client.get(format!("http://{address}/")));
    // Without the limit Linux gives up after 30 s, as reqwest sets TCP_USER_TIMEOUT.
    let ended = tokio::time::timeout(Duration::from_secs(20), fetched).await?;
    assert!(matches!(ended, Err(FetchError::TimedOut(_))), "{ended:?}");
    Ok(())
}

/// Its server may have closed it in between.
#[tokio::test]
async fn a_connection_that_was_idle_for_too_long_is_not_used_again() -> Result<(), Failure>
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let serving = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            counted.fetch_add(1, SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 1024];
                while connection.read(&mut request).await? > 0 {
                    let answer = format!("{OK}content-length: 2\r\n\r\n[]");
                    connection.write_all(answer.as_bytes()).await?;
                }
                Ok::<_, io::Error>(())
            });
        }
    });
    let _serving = AbortOnDropHandle::new(serving);
    let builder = reqwest::Client::builder().no_proxy();
    let client = builder
        .pool_idle_timeout(Duration::from_millis(1))
        .build()?;
    for _ in 0..3 {
        assert_eq!(client.get(&url).send().await?.text().await?, "[]");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(connections.load(SeqCst), 3);
    Ok(())
}
