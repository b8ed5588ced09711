//! Each kind of fault that comes from outside, over the components of this section that
//! are exposed to it. Hostile peers and the ends of a server's connections are in
//! `all_servers` and `ends`.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use futures::{StreamExt, future::join_all};
use jiff::{SignedDuration, Zoned, civil::time};
use reqwest::{Client, Url};
use rusqlite::Connection;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::rustls::RootCertStore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::support::{most_memory, soon, tasks};
use crate::{
    cron, download_to_file, fetch_urls, file_processor, http_requests, job_queue,
    multipart_form, page_fetcher, pagination, rate_limit_per_key, reconnecting_client,
    resume_download, robots_txt, rpc_over_one_connection, streaming_responses,
    tcp_client, tls, ttl_cache, upload_server, web_scraper, write_whole_file,
};

const SECOND: Duration = Duration::from_secs(1);
/// Nothing takes that long unless something hangs.
const MINUTE: Duration = Duration::from_secs(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A kind of fault: amplification. What is made of an input takes at most so many times
/// its size in memory.
fn amplifies(name: &str, times: u64, input: &str, work: impl AsyncFn(&str)) {
    let (most, size) = (most_memory(work(input)), input.len() as u64);
    let bound = times * size + 200_000;
    assert!(most <= bound, "{name}: {most} bytes of {size}");
}

/// Not listed: `page_fetcher` and `fetch_urls` keep no more than the page, `pagination`
/// one page; `line_protocol` and the servers have it in `hostile`.
#[test]
fn what_is_derived_from_input_is_bounded() {
    let page = Url::parse("http://localhost/").expect("a URL");
    let numbered = |text: &str| -> String {
        (0..20_000)
            .map(|number| text.replace('N', &number.to_string()))
            .collect()
    };
    for html in [
        "<a href=/N>",
        "<a href=N href=N>",
        "<",
        "<a N=N>",
        "&#x2F;",
        "<!--",
    ] {
        amplifies(html, 4, &numbered(html), async |html| {
            assert!(web_scraper::links(html, &page).len() <= 2_000);
        });
    }
    for line in ["Allow: /\n", "User-agent: a\n", "Disallow: /*N$\n", "\n"] {
        let text = format!("User-agent: *\n{}", numbered(line));
        amplifies(line, 12, &text, async |text| {
            drop(robots_txt::Robots::parse(text, "a"));
        });
    }
    for line in [
        "data:\n",
        "\n",
        ":N\n",
        "id:N\n\n",
        "event:N\r",
        "data:N\n\n",
    ] {
        amplifies(line, 3, &numbered(line), async |text| {
            let response = Response::new(text.to_owned()).into();
            let mut events = Box::pin(streaming_responses::read_events(response));
            while let Some(Ok(_)) = events.next().await {}
        });
        amplifies(line, 3, &numbered(line), async |text| {
            let response = Response::new(text.to_owned()).into();
            let lines = streaming_responses::read_json_lines::<u32>(response);
            lines.for_each(async |_| ()).await;
        });
    }
    let limits = multipart_form::Limits {
        form: 1 << 24,
        field: 1_000,
        parts: 100,
        stall: MINUTE,
        time: MINUTE,
    };
    for part in [
        "name=\"N\"\r\n\r\nN",
        "name=\"\"\r\n\r\n",
        "name=N; name=N\r\n\r\n",
    ] {
        let part = format!("--b\r\nContent-Disposition: form-data; {part}\r\n");
        amplifies(&part, 3, &numbered(&part), async |form| {
            let kind = "multipart/form-data; boundary=b";
            let request = Request::builder().header("content-type", kind);
            let request = request.body(Body::from(form.to_owned())).expect("a form");
            let form = multipart_form::receive(request, Path::new("/"), limits).await;
            assert!(form.is_err(), "too many parts");
        });
    }
    amplifies("keys", 0, "", async |_| {
        let limiter = rate_limit_per_key::KeyedLimiter::new(1, SECOND, 100);
        let cache = ttl_cache::TtlCache::<_, _, ()>::new(100, SECOND);
        for key in 0..100_000 {
            limiter.check(key).expect("its first");
            cache.insert(key, key);
        }
    });
}

/// Answers that are neither the file nor an error, and two broken ones.
const ANSWERS: [&str; 7] = [
    "204 No Content\r\nConnection: close\r\n\r\n",
    "206 Partial Content\r\nConnection: close\r\nContent-Length: 4\r\n\r\npart",
    "300 Multiple Choices\r\nConnection: close\r\nContent-Length: 6\r\n\r\nchoose",
    "304 Not Modified\r\nConnection: close\r\n\r\n",
    "307 Temporary Redirect\r\nConnection: close\r\nContent-Length: 5\r\n\r\nmoved",
    "200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\ncut",
];

/// A kind of fault: answers that are no errors. `expected` has a `+` for each answer that
/// the call has to take for a success, and a `-` for each other one.
async fn each_answer(
    name: &str,
    expected: &str,
    call: impl AsyncFn(Client, Url) -> bool,
) -> Result<(), Failure> {
    for (answer, expected) in ANSWERS.into_iter().zip(expected.chars()) {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url: Url = format!("http://{}/file", listener.local_addr()?).parse()?;
        let serving = async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await? == 0 {
                        break;
                    }
                }
                let answer = format!("HTTP/1.1 {answer}");
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await?;
                copy(&mut stream, &mut sink()).await?;
            }
            io::Result::Ok(())
        };
        let _serving = AbortOnDropHandle::new(tokio::spawn(serving));
        let client = Client::builder().no_proxy().timeout(MINUTE).build()?;
        let taken = soon(call(client, url)).await;
        assert_eq!(taken, expected == '+', "{name}: {answer}");
    }
    Ok(())
}

/// Not listed: `api_client` logs in first, and has 204 and redirects in its own tests;
/// `upload` sends; `read_events` and `read_json_lines` get a response whose status their
/// caller has seen.
#[tokio::test]
async fn answers_that_are_no_errors_are_no_files() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let target = &folder.path().join("file");
    let limits = &download_to_file::Limits {
        max_bytes: 1_000,
        stall: MINUTE,
        max_time: MINUTE,
    };
    // 204, 206, 300, 304, 307 without a target, an empty body, a cut one.
    each_answer("download_to_file", "-----+-", async |client, url| {
        let request = client.get(url);
        let loaded = download_to_file::download(request, target, limits, |_, _| ());
        loaded.await.is_ok()
    })
    .await?;
    each_answer("resume_download", "-----+-", async |client, url| {
        let open = resume_download::Part::open(target).await;
        let mut open = open.expect("nobody else writes");
        open.fetch(client.get(url), 1_000, |_, _| ()).await.is_ok()
    })
    .await?;
    each_answer("http_requests", "+----+-", async |client, url| {
        let json = http_requests::fetch_json::<Value>(client.get(url));
        json.await.is_ok()
    })
    .await?;
    each_answer("pagination", "-------", async |client, url| {
        let source = pagination::Source {
            client,
            url,
            max_retries: 0,
            max_wait: MINUTE,
            max_bytes: 1_000,
            max_pages: 9,
        };
        let mut items = Box::pin(source.items::<Value>());
        !matches!(items.next().await, Some(Err(_)))
    })
    .await?;
    each_answer("robots_txt", "+----+-", async |client, url| {
        let robots = robots_txt::Robots::fetch(&client, &url, "a");
        robots.await.is_ok()
    })
    .await?;
    // They return the body of every status that is no error; the last one with the status.
    each_answer("fetch_urls", "++++++-", async |client, url| {
        fetch_urls::fetch_url(&client, url.as_str()).await.is_ok()
    })
    .await?;
    each_answer("page_fetcher", "++++++-", async |client, url| {
        page_fetcher::fetch(&client, url).await.is_ok()
    })
    .await?;
    each_answer("web_scraper", "++++++-", async |client, url| {
        web_scraper::fetch(&client, url, 99).await.is_ok()
    })
    .await
}

/// A kind of fault: other people's things. Files and folders whose names look like ours
/// are there before and after.
async fn leaves_others_alone(work: impl AsyncFn(&Path)) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let files = [
        "a.part",
        ".a.part",
        "file.part.old",
        ".file.part.etag",
        ".processing-.part",
        ".processing-mine.part",
        ".processing-seven77.part",
        ".processing-abcdef.part.txt",
        ".uploading-.part",
        ".uploading-mine.part",
        ".uploading-abcdef.part.txt",
        ".tmpABCDEF",
    ];
    let folders = [".processing-abcdef.part", ".uploading-abcdef.part"];
    for name in files {
        fs::write(folder.path().join(name), name)?;
    }
    for name in folders {
        fs::create_dir(folder.path().join(name))?;
    }
    work(folder.path()).await;
    for name in files {
        let text = fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        assert_eq!(text, name, "it is somebody else's");
    }
    for name in folders {
        assert!(folder.path().join(name).is_dir(), "{name}");
    }
    Ok(())
}

/// Not listed: `multipart_form` writes into a folder that is the server's own, and
/// `unix_socket` has its own case.
#[tokio::test]
async fn other_peoples_files_stay_as_they_are() -> Result<(), Failure> {
    leaves_others_alone(async |folder| {
        let source = tempfile::tempdir().expect("a folder");
        let (source, target) = (source.path().to_owned(), folder.to_owned());
        let prepared = file_processor::prepare(source, target).await;
        prepared.expect("it is writable");
    })
    .await?;
    leaves_others_alone(async |folder| {
        let limits = upload_server::Limits {
            max_bytes: 1_000,
            max_uploads: 1,
            stall: MINUTE,
            max_time: MINUTE,
        };
        let opened = upload_server::UploadStore::open(folder.to_owned(), limits).await;
        opened.expect("it is writable");
    })
    .await?;
    leaves_others_alone(async |folder| {
        let written = write_whole_file::write_whole(folder.join("file"), "text").await;
        written.expect("it is writable");
    })
    .await?;
    leaves_others_alone(async |folder| {
        // The name of the part is the target's own.
        let open = resume_download::Part::open(folder.join("file")).await;
        open.expect("nobody else writes")
            .publish()
            .await
            .expect("it is writable");
    })
    .await?;
    Ok(())
}

/// A kind of fault: clocks. Calls with each jump: the clock is ahead or behind by so much
/// for a while, and then right again.
async fn each_jump(work: impl AsyncFn(SignedDuration)) {
    let year = 365 * 24;
    for hours in [1, -1, year, -year] {
        work(SignedDuration::from_hours(hours)).await;
    }
}

/// Not listed: nothing else in this section reads the clock of the wall, but for
/// `file_processor`, which copies times of files.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_repeats_no_run_and_stops_nothing() {
    each_jump(async |jump| {
        let (start, origin) = (Instant::now(), "2026-05-01T00:00[UTC]");
        let origin: Zoned = origin.parse().expect("a time");
        // Wrong from half past two of the second day, for two hours.
        let now = || {
            let hours = start.elapsed().as_secs_f64() / 3600.0;
            let wrong = (26.5..28.5).contains(&hours);
            let jump = if wrong { jump } else { SignedDuration::ZERO };
            &(&origin + start.elapsed()) + jump
        };
        let runs = Mutex::new(Vec::new());
        let job = async |due: Zoned| runs.lock().expect("no panic").push(due.timestamp());
        let next = |after: &Zoned| cron::next_daily(after, time(3, 0, 0, 0));
        let stop = CancellationToken::new();
        let running = cron::run_on_schedule(now, next, &stop, job);
        assert!(timeout(6 * 24 * 60 * MINUTE, running).await.is_err());
        let mut runs = runs.into_inner().expect("no panic");
        let last = runs.last().map(ToString::to_string);
        assert_eq!(last.as_deref(), Some("2026-05-06T03:00:00Z"), "{jump}");
        let number = runs.len();
        runs.sort_unstable();
        runs.dedup();
        assert_eq!(runs.len(), number, "{jump}: a run is repeated");
        assert!(
            (5..=7).contains(&number),
            "{jump}: {number} runs in six days"
        );
    })
    .await;
}

/// The rows are moved instead of the clock.
#[tokio::test]
async fn a_clock_that_jumps_loses_no_job() {
    each_jump(async |jump| {
        let jobs = job_queue::JobQueue {
            lease: MINUTE,
            max_attempts: 9,
            initial_backoff: Duration::ZERO,
            max_backoff: Duration::ZERO,
        };
        let connection = Connection::open_in_memory().expect("memory");
        let database = job_queue::Database::new(connection).expect("a new table");
        let work = database.transaction(move |db| {
            let claim = || jobs.claim(db).map(|job| job.map(|job| job.payload));
            jobs.enqueue(db, "before", Duration::ZERO)?;
            let before = claim()?;
            jobs.enqueue(db, "now", Duration::ZERO)?;
            let micros = i64::try_from(jump.as_micros()).expect("a year");
            let moved = "UPDATE jobs SET due = due - ?1 WHERE due > 0";
            db.execute(moved, [micros])?;
            let during = [claim()?, claim()?];
            db.execute(moved, [-micros])?;
            Ok((before, during, claim()?))
        });
        let (before, during, after) = work.await.expect("it is stored");
        assert_eq!(before.as_deref(), Some("before"));
        // With a clock that is ahead, the lease of the first has expired.
        let mut claimed: Vec<_> = during.into_iter().flatten().collect();
        claimed.sort_unstable();
        match jump.is_positive() {
            true => assert_eq!(claimed, ["before", "now"]),
            false => assert_eq!(claimed, ["now"]),
        }
        // Claimed with a clock that is behind, a job has a lease that has expired when
        // the clock is right again.
        let expected = jump.is_negative().then_some("now");
        assert_eq!(after.as_deref(), expected, "{jump}");
    })
    .await;
}

/// How a server ends a connection at which a client waits for an answer.
#[derive(Clone, Copy, Debug)]
enum End {
    /// With the request unread: the client sees a reset.
    Resets,
    /// It reads on, and sends nothing any more.
    EndsItsSide,
    /// In the middle of an answer.
    CutsItOff,
    /// It neither answers nor closes.
    IsSilent,
}

/// A kind of fault: the end of a connection, for a client. Each call has to end within its
/// own limit, with what is right, and leave no task.
async fn each_end(
    name: &str,
    is_right: impl AsyncFn(SocketAddr, End) -> bool,
) -> io::Result<()> {
    for end in [End::Resets, End::EndsItsSide, End::CutsItOff, End::IsSilent] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let before = tasks();
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut read = [0; 4096];
                if let End::Resets = end {
                    // The rest is unread.
                    stream.read_exact(&mut read[..1]).await?;
                    continue;
                }
                let _ = stream.read(&mut read).await;
                match end {
                    End::EndsItsSide => stream.shutdown().await?,
                    End::CutsItOff => stream.write_all(b"\0\0\0\x0A\0").await?,
                    _ => sleep(MINUTE).await,
                }
                if !matches!(end, End::CutsItOff) {
                    copy(&mut stream, &mut sink()).await?;
                }
            }
            io::Result::Ok(())
        });
        assert!(soon(is_right(address, end)).await, "{name}: {end:?}");
        serving.abort();
        soon(async {
            while tasks() > before {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    Ok(())
}

/// Not listed: the clients of HTTP have a cut answer above, and `close_a_connection` has
/// its own cases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_of_a_connection_is_an_error_of_the_client() -> Result<(), Failure> {
    let limit = Duration::from_millis(300);
    let rpc = async |address: SocketAddr, _: End| {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let limits = rpc_over_one_connection::Limits {
            payload: 1_000,
            calls: 8,
            call: limit,
            idle: MINUTE,
        };
        let client = rpc_over_one_connection::Client::new(stream, limits);
        let calls = (0..5).map(|_| client.call("a request".into()));
        join_all(calls).await.iter().all(Result::is_err)
    };
    each_end("rpc_over_one_connection", rpc).await?;
    let reconnecting = async |address: SocketAddr, _: End| {
        let config = reconnecting_client::Config {
            connect: limit,
            request: limit,
            ping: limit,
            silence: 3 * limit,
            initial_backoff: limit,
            max_backoff: limit,
            jitter: |pause| pause,
            frame: 1_000,
            waiting: 16,
        };
        let connect = move || TcpStream::connect(address);
        let (client, _events) = reconnecting_client::Client::start(config, connect);
        let requests = (0..5).map(|_| client.request("a request".to_owned()));
        join_all(requests).await.iter().all(Result::is_err)
    };
    each_end("reconnecting_client", reconnecting).await?;
    let config = tls::trust(RootCertStore::empty())?;
    let handshake = async |address: SocketAddr, _: End| {
        let stream = TcpStream::connect(address).await.expect("it listens");
        tls::connect(&config, "localhost", stream, limit)
            .await
            .is_err()
    };
    each_end("tls", handshake).await?;
    let ask = async |address: SocketAddr, end: End| {
        let limits = tcp_client::Limits {
            connect: MINUTE,
            exchange: if let End::IsSilent = end {
                limit
            } else {
                MINUTE
            },
            answer: 1_000,
        };
        let answer = tcp_client::ask(address, b"a request", limits).await;
        // Its protocol has no other end of an answer, so a cut one looks whole.
        match end {
            End::EndsItsSide => answer.is_ok_and(|answer| answer.is_empty()),
            End::CutsItOff => answer.is_ok_and(|answer| answer.len() == 5),
            _ => answer.is_err(),
        }
    };
    each_end("tcp_client", ask).await?;
    Ok(())
}
