use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use cpu_time::ThreadTime;
use reqwest::header::HOST;
use reqwest::{Client, StatusCode, Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::web_scraper::{
    Failure, Fetched, Options, Outcome, Rules, describe, links, scrape,
};

const LONG: Duration = Duration::from_secs(60);

/// Without delay.
fn options() -> Options {
    Options {
        delay: Duration::ZERO,
        timeout: LONG,
        max_bytes: 10_000,
        max_attempts: 1,
        ..Options::default()
    }
}

fn client(options: &Options, address: SocketAddr) -> Client {
    let client = options.client().no_proxy().tls_certs_only([]);
    let client = client.resolve("a.example", address);
    let client = client.resolve("b.example", address).build();
    client.expect("a client")
}

fn parse(url: &str) -> Url {
    Url::parse(url).expect("a URL")
}

/// Scrapes, and returns the outcomes. Panics if a URL has two, or if it does not end.
async fn outcomes(
    client: &Client,
    first: &[&str],
    options: &Options,
    stop: &CancellationToken,
) -> HashMap<String, Outcome> {
    let (sender, mut results) = mpsc::channel::<(Url, Outcome)>(1);
    let first = first.iter().map(|url| parse(url)).collect();
    let mut all = HashMap::new();
    let collecting = async {
        while let Some((url, outcome)) = results.recv().await {
            let before = all.insert(url.to_string(), outcome);
            assert!(before.is_none(), "{url} has two outcomes");
        }
    };
    let scraping = scrape(client, first, options, stop, sender);
    let both = async { tokio::join!(scraping, collecting) };
    timeout(LONG, both).await.expect("it ends");
    all
}

/// What was asked for, as host and path, in the order of coming.
type Asked = Arc<Mutex<Vec<String>>>;

/// A server that answers as the function says; it ends when the handle is dropped.
async fn serve(
    answer: fn(&str) -> Response,
) -> (SocketAddr, Asked, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let app = Router::new().fallback(move |headers: HeaderMap, uri: Uri| {
        let host = headers[HOST].to_str().expect("a name");
        let url = format!("{host}{uri}");
        log.lock().expect("no panic").push(url.clone());
        std::future::ready(answer(&url))
    });
    let serving = async move { axum::serve(listener, app).await.expect("it serves") };
    (
        address,
        asked,
        AbortOnDropHandle::new(tokio::spawn(serving)),
    )
}

async fn no_task_is_left() {
    let metrics = Handle::current().metrics();
    for _ in 0..500 {
        if metrics.num_alive_tasks() == 0 {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{} tasks are left", metrics.num_alive_tasks());
}

/// Each path is a way to fail; the page `/` links to all.
const FAULTS: [(&str, &str); 8] = [
    ("/most", "10000 bytes"),
    ("/too_much", "larger than 10000 bytes"),
    ("/reset", "no answer: Connection reset by peer"),
    (
        "/closed",
        "no answer: connection closed before message completed",
    ),
    (
        "/half",
        "no answer: end of file before message length reached",
    ),
    ("/no_http", "no answer: invalid HTTP version parsed"),
    ("/no_chunk", "no answer: Invalid chunk size line"),
    ("/long_header", "no answer: message head is too large"),
];

/// Each path is a way to be too late.
const DELAYS: [&str; 3] = ["/slow_header", "/no_body", "/silent"];

async fn fail(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/html\r\n";
    let answer = match path {
        "/" => {
            let links = FAULTS.map(|(path, _)| format!("<a href={path}>"));
            format!("{close}\r\n{}", links.concat())
        }
        "/most" => format!("{close}\r\n{}", "x".repeat(10_000)),
        "/too_much" => format!("{close}\r\n{}", "x".repeat(10_001)),
        "/half" => format!("{close}content-length: 8\r\n\r\nhalf"),
        "/no_chunk" => format!("{close}transfer-encoding: chunked\r\n\r\nx\r\n"),
        "/no_http" => "what?\r\n\r\n".to_owned(),
        "/no_body" => format!("{close}content-length: 4\r\n\r\n"),
        "/long_header" | "/slow_header" => close.to_owned(),
        "/robots.txt" => "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n".into(),
        _ => String::new(),
    };
    stream.write_all(answer.as_bytes()).await?;
    match path {
        "/reset" => stream.set_zero_linger(),
        "/long_header" => loop {
            stream.write_all(b"x-more: and more\r\n").await?;
        },
        "/slow_header" => loop {
            stream.write_all(b"x-more: and more\r\n").await?;
            sleep(Duration::from_millis(10)).await;
        },
        "/no_body" | "/silent" => {
            sleep(LONG).await;
            Ok(())
        }
        _ => stream.shutdown().await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_fault_is_an_outcome() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(fail(stream));
        }
    }));
    let patient = Options {
        max_attempts: 2,
        ..options()
    };
    let client = client(&patient, address);
    let stop = CancellationToken::new();
    let all = outcomes(&client, &["http://a.example/"], &patient, &stop).await;
    assert_eq!(all.len(), 1 + FAULTS.len());
    for (path, expected) in FAULTS {
        let outcome = describe(&all[&format!("http://a.example{path}")]);
        assert!(outcome.starts_with(expected), "{path}: {outcome}");
    }
    // Long enough for robots.txt on a busy machine.
    let impatient = Options {
        timeout: Duration::from_secs(3),
        ..options()
    };
    drop(client);
    let client = self::client(&impatient, address);
    let late = DELAYS.map(|path| format!("http://a.example{path}"));
    let first = late.each_ref().map(String::as_str);
    let all = outcomes(&client, &first, &impatient, &stop).await;
    for url in late {
        assert_eq!(describe(&all[&url]), "timed out", "{url}");
    }
    drop((client, server));
    no_task_is_left().await;
}

#[tokio::test]
async fn stopped_it_drops_its_requests() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let options = Options {
        timeout: 10 * LONG,
        ..options()
    };
    let client = client(&options, address);
    let stop = CancellationToken::new();
    // It takes the request, and never answers.
    let stops = async {
        let (mut stream, _) = listener.accept().await.expect("it asks");
        let _ = stream.read_u8().await;
        stop.cancel();
        stream
    };
    let scraping = outcomes(&client, &["http://a.example/"], &options, &stop);
    let (all, _stream) = tokio::join!(scraping, stops);
    assert_eq!(describe(&all["http://a.example/"]), "stopped");
    drop(client);
    no_task_is_left().await;
}

/// Fifty pages, each of which links to all on its host.
fn dense(url: &str) -> Response {
    match url.ends_with("/robots.txt") {
        true => StatusCode::NOT_FOUND.into_response(),
        false => {
            let links = (0..50).map(|page| format!("<A HREF='/{page}#top'>"));
            Html(links.collect::<String>()).into_response()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_page_once_and_stopped_at_any_moment() {
    let (address, asked, server) = serve(dense).await;
    let options = options();
    let client = client(&options, address);
    let first = [
        "http://a.example/0",
        "http://b.example/0",
        "http://a.example/1",
    ];
    let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
    assert_eq!(all.len(), 100);
    assert!(all.values().all(|outcome| outcome.is_ok()));
    let mut paths = std::mem::take(&mut *asked.lock().expect("no panic"));
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 102, "with two robots.txt");

    let (mut stopped, mut pages) = (0, 0);
    for number in (0..90).step_by(7) {
        asked.lock().expect("no panic").clear();
        let stop = CancellationToken::new();
        let stops = async {
            while asked.lock().expect("no panic").len() < number {
                yield_now().await;
            }
            stop.cancel();
        };
        let scraping = outcomes(&client, &first, &options, &stop);
        let (all, ()) = tokio::join!(scraping, stops);
        for first in first {
            assert!(all.contains_key(first), "{first} is not lost");
        }
        for outcome in all.values() {
            match outcome {
                Ok(Fetched::Page { .. }) => pages += 1,
                Err(Failure::Stopped) => stopped += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(stopped > 0 && pages > 0, "{stopped} stopped, {pages} pages");
    drop((client, server));
    no_task_is_left().await;
}

#[tokio::test]
async fn dropped_or_with_nobody_who_receives() {
    let (address, asked, server) = serve(dense).await;
    let options = options();
    let client = client(&options, address);
    let stop = CancellationToken::new();
    for polls in 0..20 {
        let (sender, mut results) = mpsc::channel(1);
        let first = vec![parse("http://a.example/0")];
        let mut scraping = pin!(scrape(&client, first, &options, &stop, sender));
        for _ in 0..polls {
            if let Poll::Ready(()) = futures::poll!(scraping.as_mut()) {
                break;
            }
            let _ = results.try_recv();
            sleep(Duration::from_millis(1)).await;
        }
        if polls % 2 == 0 && polls > 0 {
            drop(results);
            timeout(LONG, scraping).await.expect("it ends");
        }
        let asked = std::mem::take(&mut *asked.lock().expect("no panic"));
        assert!(asked.len() < 40, "{} of 51, {polls} polls", asked.len());
    }
    drop((client, server));
    no_task_is_left().await;
}

#[tokio::test]
async fn no_more_at_once_than_allowed() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    static RUNNING: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
    static MOST: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().fallback(async |headers: HeaderMap, uri: Uri| {
        let host = 1 + usize::from(headers[HOST] == "b.example");
        for index in [0, host] {
            let running = RUNNING[index].fetch_add(1, SeqCst) + 1;
            MOST[index].fetch_max(running, SeqCst);
        }
        sleep(Duration::from_millis(5)).await;
        for index in [0, host] {
            RUNNING[index].fetch_sub(1, SeqCst);
        }
        dense(uri.path())
    });
    let serving = async move { axum::serve(listener, app).await.expect("it serves") };
    let _server = AbortOnDropHandle::new(tokio::spawn(serving));
    for (at_once, expected) in [(5, [5, 3, 3]), (9, [6, 3, 3])] {
        let options = Options {
            max_requests: at_once,
            max_per_host: 3,
            ..options()
        };
        let client = client(&options, address);
        let first = ["http://a.example/0", "http://b.example/0"];
        let stop = CancellationToken::new();
        let all = outcomes(&client, &first, &options, &stop).await;
        assert_eq!(all.len(), 100);
        let most = MOST.each_ref().map(|most| most.swap(0, SeqCst));
        assert_eq!(most, expected, "in all, and to each host");
    }
}

/// Each host has its own robots.txt.
fn robots(url: &str) -> Response {
    match url {
        "a.example/robots.txt" => "User-agent: *\nDisallow: /private".into_response(),
        "a.example/" => Redirect::temporary("/private").into_response(),
        "a.example/away" => Redirect::temporary("http://b.example/").into_response(),
        "b.example/robots.txt" => StatusCode::BAD_GATEWAY.into_response(),
        _ => Html("").into_response(),
    }
}

#[tokio::test]
async fn nothing_is_asked_of_a_host_without_a_readable_robots_txt() {
    let (address, asked, _server) = serve(robots).await;
    let options = options();
    let client = client(&options, address);
    let first = ["http://a.example/away", "http://b.example/x"];
    let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
    let texts = |url: &str| describe(&all[url]);
    assert_eq!(texts("http://a.example/away"), "moved to http://b.example/");
    assert_eq!(texts("http://b.example/x"), "robots.txt: status 502");
    assert_eq!(texts("http://b.example/"), "robots.txt: status 502");
    assert_eq!(all.len(), 3, "with what the redirect leads to");
    let mut asked = asked.lock().expect("no panic").clone();
    asked.sort();
    let expected = [
        "a.example/away",
        "a.example/robots.txt",
        "b.example/robots.txt",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_robots_txt_may_move_but_not_for_ever() {
    fn answer(url: &str) -> Response {
        match url {
            "a.example/robots.txt" => Redirect::temporary("//b.example/rules"),
            "b.example/robots.txt" => Redirect::temporary("/robots.txt"),
            "b.example/rules" => {
                return "User-agent: *\nDisallow: /x".into_response();
            }
            _ => return Html("").into_response(),
        }
        .into_response()
    }
    let (address, _, _server) = serve(answer).await;
    let options = options();
    let client = client(&options, address);
    let first = [
        "http://a.example/x",
        "http://a.example/y",
        "http://b.example/y",
    ];
    let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
    let texts = |url: &str| describe(&all[url]);
    let not_allowed = Failure::NotAllowed.to_string();
    assert_eq!(texts("http://a.example/x"), not_allowed);
    assert_eq!(texts("http://a.example/y"), "0 bytes, 0 links");
    let circle = "robots.txt: more than 5 redirects";
    assert_eq!(texts("http://b.example/y"), circle);
}

#[tokio::test]
async fn a_client_that_follows_redirects_asks_for_what_is_forbidden() {
    for follows in [true, false] {
        let (address, asked, _server) = serve(robots).await;
        let options = options();
        let client = if follows {
            let client = Client::builder().no_proxy().tls_certs_only([]);
            let client = client.resolve("a.example", address).build();
            client.expect("a client")
        } else {
            client(&options, address)
        };
        let stop = CancellationToken::new();
        outcomes(&client, &["http://a.example/"], &options, &stop).await;
        let asked = asked.lock().expect("no panic");
        assert_eq!(asked.contains(&"a.example/private".to_owned()), follows);
    }
}

#[tokio::test]
async fn the_client_speaks_tls() {
    let (address, _, _server) = serve(dense).await;
    let options = Options {
        timeout: LONG,
        ..options()
    };
    let url = format!("https://{address}/");
    let client = client(&options, address);
    let all = outcomes(&client, &[&url], &options, &CancellationToken::new()).await;
    let outcome = describe(&all[&url]);
    let is_understood = !outcome.contains("scheme is not http");
    let has_failed = outcome.starts_with("robots.txt: no answer");
    assert!(has_failed && is_understood, "{outcome}");
}

#[tokio::test]
#[should_panic = "it would never begin"]
async fn no_request_at_once() {
    let options = Options {
        max_per_host: 0,
        ..options()
    };
    let stop = CancellationToken::new();
    let client = client(&options, ([127, 0, 0, 1], 1).into());
    outcomes(&client, &[], &options, &stop).await;
}

#[test]
fn what_is_worth_a_second_try() {
    let status = |code| Failure::Status(StatusCode::from_u16(code).expect("a code"));
    for code in [429, 500, 502, 503, 504] {
        assert!(status(code).is_worth_a_retry(), "{code}");
    }
    for code in [400, 403, 404, 410, 501] {
        assert!(!status(code).is_worth_a_retry(), "{code}");
    }
    assert!(!Failure::TooLarge(1).is_worth_a_retry());
}

#[tokio::test]
async fn so_many_tries_and_no_more() {
    for (tries, expected) in [(0, 1), (1, 1), (3, 3)] {
        let (address, asked, _server) = serve(|url| match url {
            "a.example/robots.txt" => Html("").into_response(),
            _ => StatusCode::BAD_GATEWAY.into_response(),
        })
        .await;
        let options = Options {
            max_attempts: tries,
            initial_backoff: Duration::from_millis(1),
            ..options()
        };
        let client = client(&options, address);
        let stop = CancellationToken::new();
        let all = outcomes(&client, &["http://a.example/"], &options, &stop).await;
        assert_eq!(describe(&all["http://a.example/"]), "status 502");
        assert_eq!(asked.lock().expect("no panic").len(), 1 + expected);
    }
}

#[test]
fn what_robots_txt_allows() {
    let text = "user-agent: other\nUSER-AGENT: Me # us\nDisallow: /\nAllow: /a\n\
        Disallow: /a/b*c$\nDisallow:\n\nUser-agent: *\nDisallow: /*?print";
    let encoded = Rules::parse("\u{feff}User-agent: *\nDisallow: /ä", "Me");
    assert!(!encoded.allow(&parse("http://a.example/ä/b")));
    assert!(encoded.allow(&parse("http://a.example/a")));
    let allows = |agent: &str, paths: [&str; 4]| {
        let rules = Rules::parse(text, agent);
        paths.map(|path| rules.allow(&parse(&format!("http://a.example{path}"))))
    };
    let paths = ["/", "/a", "/a/bxc", "/a/bxcd"];
    assert_eq!(allows("Me/1.0", paths), [false, true, false, true]);
    assert_eq!(allows("Else/1.0", paths), [true; 4]);
    assert!(!allows("Else/1.0", ["/x?print=1", "/", "/", "/"])[0]);
    for (pattern, path, expected) in [
        ("/a*b*c$", "/abcbc", false),
        ("/a*b*c$", "/abcb", true),
        ("/a$", "/a", false),
        ("/a$", "/ab", true),
        ("/a*", "/a", false),
        ("*", "/", false),
        ("/*b/", "/ab", true),
        ("/ä", "/ä", false),
        // By their spelling these are others, by RFC 9309 they are the same.
        ("/~joe/", "/~joe/x", false),
        ("/~joe/", "/%7Ejoe/x", false),
        ("/~joe/", "/%7ejoe/x", false),
        ("/%7eann/", "/%7Eann/x", false),
        ("/%7eann/", "/~ann/x", false),
        ("/a%3cd.html", "/a%3Cd.html", false),
        ("/a<d.html", "/a%3cd.html", false),
        ("/a<d.html", "/a<d.html", false),
        ("/%c3%a4", "/ä", false),
        ("/%70rivate/", "/private/x", false),
        ("/private/", "/%70rivat%65/x", false),
        // An encoded reserved character is another one than that itself.
        ("/a%2Fb", "/a/b", true),
        ("/a/b", "/a%2fb", true),
        ("/a%2Fb", "/a%2fb", false),
        // Encoded, `*` and `$` stand for themselves.
        ("/a%2Ab", "/a*b", false),
        ("/a%2Ab", "/axb", true),
        ("/a%24", "/a$b", false),
        ("/a%24", "/ab", true),
        ("/a$b", "/a$b", false),
        // No encoding at all.
        ("/100%", "/100%", false),
        ("/%zz", "/%zz", false),
        ("/a%4", "/a%4", false),
    ] {
        let rules = Rules::parse(&format!("User-agent: *\nDisallow: {pattern}"), "Me");
        let url = parse(&format!("http://a.example{path}"));
        assert_eq!(rules.allow(&url), expected, "{pattern} {path}");
    }
    let rules = Rules::parse("User-agent: *\rDisallow: /a\r", "Me");
    assert!(
        !rules.allow(&parse("http://a.example/a")),
        "lines that end in CR"
    );
}

/// Half a megabyte of patterns that take long, and twenty long URLs.
fn hostile(url: &str) -> Response {
    match url {
        "a.example/robots.txt" => {
            let rule = "Disallow: /*a*b*c*d*e*f*g*h*i*j$\n";
            let rules = rule.repeat(500 * 1024 / rule.len() - 1);
            format!("User-agent: *\n{rules}").into_response()
        }
        "a.example/" => {
            let path = "abcdefghi".repeat(200);
            let links = (0..20).map(|number| format!("<a href=/{number}{path}>"));
            Html(links.collect::<String>()).into_response()
        }
        "b.example/robots.txt" => "#".repeat(500 * 1024 + 1).into_response(),
        _ => Html("").into_response(),
    }
}

#[tokio::test]
async fn a_hostile_robots_txt_does_not_hold_up_the_other_hosts() {
    let (address, _, _server) = serve(hostile).await;
    let options = Options {
        max_bytes: 100_000,
        ..options()
    };
    let client = client(&options, address);
    let stop = CancellationToken::new();
    // This thread drives all hosts. What counts is its own processor time.
    let start = ThreadTime::now();
    let all = outcomes(&client, &["http://a.example/"], &options, &stop).await;
    let driving = start.elapsed();
    assert_eq!(all.len(), 21);
    let rule = "Disallow: /*a*b*c*d*e*f*g*h*i*j$\n";
    let text = format!(
        "User-agent: *\n{}",
        rule.repeat(500 * 1024 / rule.len() - 1)
    );
    let rules = Rules::parse(&text, "Me");
    let start = ThreadTime::now();
    for url in all.keys() {
        assert!(rules.allow(&parse(url)));
    }
    let matching = start.elapsed();
    assert!(driving < matching / 2, "{driving:?}, {matching:?}");
}

#[tokio::test]
async fn nothing_is_fetched_beyond_the_bounds_of_robots_txt_and_urls() {
    let (address, asked, _server) = serve(hostile).await;
    let options = options();
    let client = client(&options, address);
    let long = |length| {
        let url = "http://a.example/";
        format!("{url}{}", "x".repeat(length - url.len()))
    };
    let first = ["http://b.example/", &long(2_000), &long(2_001)];
    let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
    assert_eq!(all.len(), 2, "the longest URL is left out");
    let outcome = describe(&all["http://b.example/"]);
    assert_eq!(outcome, "robots.txt: larger than 512000 bytes");
    assert!(all[&long(2_000)].is_ok());
    assert!(
        !asked
            .lock()
            .expect("no panic")
            .contains(&"b.example/".to_owned())
    );
}

#[test]
fn which_links_are_found() {
    let html = "<a href=\"/1\">1</a><A\n class='x' HREF='2?a=1&amp;b=2'>\
        <a href=/3 id=x><abbr href=/no><a data-href=/no><a href=\"/4><a>\
        <a href='http://[/'>ä<a href=";
    let found = links(html, &parse("http://a.example/x/y"));
    let found: Vec<&str> = found.iter().map(|url| url.path()).collect();
    assert_eq!(found, ["/1", "/x/2", "/3", "/4"]);
}

#[tokio::test]
async fn what_is_no_web_address_is_told() {
    let options = options();
    let client = client(&options, ([127, 0, 0, 1], 1).into());
    let first = ["ftp://a.example/x", "data:x", "mailto:a@a.example"];
    let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
    assert_eq!(all.len(), 3);
    assert!(all.values().all(|outcome| outcome.is_err()), "{all:?}");
}

#[tokio::test]
async fn two_ports_are_two_sites() {
    let (one, asked, _one) = serve(robots).await;
    let (two, _, _two) = serve(|url| match url.ends_with("/robots.txt") {
        true => "User-agent: *\nDisallow: /x".into_response(),
        false => Html("").into_response(),
    })
    .await;
    let options = options();
    let client = client(&options, one);
    let urls = [format!("http://{one}/x"), format!("http://{two}/x")];
    let first = urls.each_ref().map(String::as_str);
    let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
    assert_eq!(describe(&all[first[0]]), "0 bytes, 0 links");
    assert_eq!(describe(&all[first[1]]), Failure::NotAllowed.to_string());
    assert_eq!(asked.lock().expect("no panic").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_task_and_with_a_slow_receiver() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().fallback(async |uri: Uri| {
        sleep(Duration::from_millis(100)).await;
        dense(uri.path())
    });
    let serving = async move { axum::serve(listener, app).await.expect("it serves") };
    let _server = AbortOnDropHandle::new(tokio::spawn(serving));
    let options = Options {
        max_pages: 20,
        timeout: Duration::from_secs(2),
        max_requests: 20,
        max_per_host: 20,
        ..options()
    };
    let client = client(&options, address);
    let (sender, mut results) = mpsc::channel(1);
    let timeout = options.timeout;
    let scraping = tokio::spawn(async move {
        let (first, stop) = (vec![parse("http://a.example/0")], CancellationToken::new());
        scrape(&client, first, &options, &stop, sender).await;
    });
    let mut pages = 0;
    while let Some((_, outcome)) = results.recv().await {
        assert!(matches!(outcome, Ok(Fetched::Page { .. })), "{outcome:?}");
        pages += 1;
        if pages == 2 {
            // Longer than a request may take.
            sleep(2 * timeout).await;
        }
    }
    assert_eq!(pages, 20);
    scraping.await.expect("it does not panic");
}
