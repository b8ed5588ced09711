use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Url, redirect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::support::{poll_and_drop, soon, tasks};
use crate::web_scraper::{Crawl, Failure, Limits, fetch, links};

const LONG: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(1);

const LIMITS: Limits = Limits {
    max_visits: 10,
    delay: Duration::ZERO,
    max_depth: 3,
    max_pages: 1000,
};

fn parse(url: &str) -> Url {
    Url::parse(url).expect("a URL")
}

/// Fifty pages on each of two hosts, each of which links to all on its host.
fn dense(page: &Url) -> Vec<Url> {
    let link = |number| page.join(&format!("/{number}#top")).expect("a URL");
    (0..50).map(link).collect()
}

/// Visits of five ticks, which count how many run.
fn crawl(limits: Limits, log: &Arc<Log>) -> Crawl<Instant, JoinError> {
    let first = [
        "http://a.example/0",
        "http://b.example/0",
        "http://a.example/1",
    ];
    let log = Arc::clone(log);
    Crawl::new(first.map(parse).into(), limits, move |url| {
        let log = Arc::clone(&log);
        async move {
            let start = Instant::now();
            let running = log.running.fetch_add(1, SeqCst) + 1;
            log.most.fetch_max(running, SeqCst);
            log.asked.lock().expect("no panic").push(url.to_string());
            let links = dense(&url);
            sleep(5 * TICK).await;
            log.running.fetch_sub(1, SeqCst);
            Ok((start, links))
        }
    })
}

#[derive(Default)]
struct Log {
    running: AtomicUsize,
    most: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

impl Log {
    fn asked(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_page_once() {
    let log = Arc::default();
    let mut crawl = crawl(LIMITS, &log);
    let mut starts = HashMap::new();
    while let Some((url, start)) = soon(crawl.next()).await {
        let before = starts.insert(url, start.expect("no visit panics"));
        assert!(before.is_none(), "one outcome for each");
    }
    assert_eq!(starts.len(), 100);
    assert_eq!(log.asked(), 100);
    assert_eq!(log.most.load(SeqCst), 2, "one page of a host at a time");
    assert!(soon(crawl.next()).await.is_none(), "and never more");
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for polls in 1..30 {
        let log = Arc::default();
        let mut crawl = crawl(LIMITS, &log);
        assert_eq!(log.asked(), 0, "nothing before the first poll");
        let mut outcomes = 0;
        while let Some(next) = poll_and_drop(crawl.next(), polls).await.flatten() {
            assert!(next.1.is_ok());
            outcomes += 1;
            if outcomes == 5 {
                break;
            }
        }
        drop(crawl);
        // The running visits end before any time has passed.
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(tasks(), 0, "dropped after {polls} polls");
        let asked = log.asked();
        sleep(LONG).await;
        assert_eq!((log.asked(), tasks()), (asked, 0), "nothing runs on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_next_loses_no_page() {
    let log = Arc::default();
    let mut crawl = crawl(LIMITS, &log);
    let mut outcomes = 0;
    while outcomes < 100 {
        if let Some(Some(_)) = poll_and_drop(crawl.next(), 2).await {
            outcomes += 1;
        }
    }
    assert!(crawl.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_kept_and_all_hosts_share_the_permits() {
    for (max_visits, delay, expected) in [
        // Each page takes 5 ms, and is begun after the one before it.
        (10, 0, 50 * 5),
        (10, 20, 50 * 20),
        (1, 0, 100 * 5),
        (1, 20, 50 * 20),
    ] {
        let limits = Limits {
            max_visits,
            delay: delay * TICK,
            ..LIMITS
        };
        let (begin, log) = (Instant::now(), Arc::default());
        let mut crawl = crawl(limits, &log);
        let mut last: HashMap<String, Vec<Instant>> = HashMap::new();
        while let Some((url, start)) = crawl.next().await {
            let host = url.host_str().expect("a host").to_owned();
            last.entry(host).or_default().push(start.expect("no panic"));
        }
        for starts in last.values() {
            for pair in starts.windows(2) {
                assert!(pair[1] - pair[0] >= limits.delay, "{delay}: {pair:?}");
            }
        }
        assert!(log.most.load(SeqCst) <= max_visits);
        // Timers are a millisecond late, and the last page ends no later than the rest.
        let taken = begin.elapsed().as_millis();
        let range = expected * 9 / 10..=expected * 3 / 2;
        assert!(range.contains(&taken), "{max_visits}, {delay}: {taken} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_page_is_not_made_up_for() {
    let limits = Limits {
        delay: 20 * TICK,
        ..LIMITS
    };
    let first = parse("http://a.example/0");
    let mut crawl = Crawl::new(vec![first], limits, |url| async move {
        let start = Instant::now();
        if url.path() == "/0" {
            sleep(90 * TICK).await;
        }
        Ok::<_, JoinError>((start, dense(&url)))
    });
    let mut starts = Vec::new();
    while let Some((_, start)) = crawl.next().await {
        starts.push(start.expect("no panic"));
    }
    for pair in starts.windows(2) {
        assert!(pair[1] - pair[0] >= limits.delay, "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_further_than_the_limits() {
    for (max_depth, max_pages, expected) in [
        (0, 1000, 3),
        (1, 1000, 100),
        (3, 7, 7),
        (3, 2, 2),
        (3, 0, 0),
    ] {
        let limits = Limits {
            max_depth,
            max_pages,
            ..LIMITS
        };
        let log = Arc::default();
        let mut crawl = crawl(limits, &log);
        while crawl.next().await.is_some() {}
        assert_eq!(log.asked(), expected, "{max_depth}, {max_pages}");
    }
}

#[tokio::test]
async fn which_urls_are_visited() {
    let long = |length| {
        let url = "http://a.example/";
        format!("{url}{}", "x".repeat(length - url.len()))
    };
    let first = [
        "http://a.example/",
        "http://a.example:8080/",
        "ftp://f.example/",
        &long(2_000),
        &long(2_001),
    ];
    let found = [
        "https://a.example/tls",
        "http://a.example:8081/",
        "http://c.example/",
        "http://a.example/#part",
        "http://a.example/2",
    ];
    let links = found.map(parse);
    let first = first.map(parse).into();
    let mut crawl = Crawl::new(first, LIMITS, move |_| {
        let links = links.to_vec();
        async move { Ok::<_, JoinError>(((), links)) }
    });
    let mut visited = Vec::new();
    while let Some((url, _)) = soon(crawl.next()).await {
        visited.push(url.to_string());
    }
    visited.sort();
    let mut expected = [
        "http://a.example/",
        "http://a.example:8080/",
        "ftp://f.example/",
        &long(2_000),
        "https://a.example/tls",
        "http://a.example/2",
    ];
    expected.sort_unstable();
    assert_eq!(visited, expected);
}

#[test]
#[should_panic = "it would never end"]
fn no_visit_at_all() {
    let limits = Limits {
        max_visits: 0,
        ..LIMITS
    };
    crawl(limits, &Arc::default());
}

#[tokio::test(start_paused = true)]
async fn a_delay_of_duration_max_visits_the_first_page() {
    let limits = Limits {
        delay: Duration::MAX,
        ..LIMITS
    };
    let first = vec![parse("http://a.example/1")];
    let visit = |_| async { Ok::<_, JoinError>(((), Vec::new())) };
    let visited = soon(Crawl::new(first, limits, visit).next()).await;
    assert!(visited.is_some_and(|(_, outcome)| outcome.is_ok()));
}

/// A caller's own error.
#[derive(Debug, thiserror::Error)]
enum Mine {
    #[error("refused")]
    Refused,
    #[error("crashed")]
    Crashed(#[from] JoinError),
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_of_its_page() {
    let first = [
        "http://a.example/1",
        "http://a.example/2",
        "http://a.example/3",
    ];
    let mut crawl = Crawl::new(first.map(parse).into(), LIMITS, |url| async move {
        assert!(url.path() != "/2", "scheduled");
        match url.path() {
            "/3" => Err(Mine::Refused),
            _ => Ok((1, Vec::new())),
        }
    });
    let mut outcomes = Vec::new();
    while let Some((_, outcome)) = crawl.next().await {
        outcomes.push(outcome.map_err(|error| error.to_string()));
    }
    let failed = |text: &str| Err(text.to_owned());
    assert_eq!(outcomes, [Ok(1), failed("crashed"), failed("refused")]);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "before its future")]
async fn a_panic_of_the_closure_itself_continues_in_the_caller() {
    let first = vec![parse("http://a.example/")];
    let mut crawl = Crawl::new(first, LIMITS, |url| {
        assert!(url.path() == "/", "before its future");
        async move { Ok::<_, JoinError>(((), dense(&url))) }
    });
    while crawl.next().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_holds_up_no_page_that_has_begun() {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let first = ["http://a.example/", "http://b.example/"].map(parse);
    let mut crawl = Crawl::new(first.into(), LIMITS, move |url| {
        count.fetch_add(1, SeqCst);
        async move {
            let page = tokio::time::timeout(10 * TICK, sleep(5 * TICK)).await;
            Ok::<_, JoinError>((page, dense(&url)))
        }
    });
    for _ in 0..20 {
        let (_, page) = crawl.next().await.expect("there are more");
        assert!(page.is_ok_and(|page| page.is_ok()), "it was not cut off");
        sleep(100 * TICK).await;
    }
}

#[tokio::test]
async fn in_a_struct_in_a_task() {
    struct Crawler {
        crawl: Crawl<(), Failure>,
    }
    let first = vec![parse("http://a.example/")];
    let visit = async |_| Ok(((), Vec::new()));
    let mut crawler = Crawler {
        crawl: Crawl::new(first, LIMITS, visit),
    };
    let task = tokio::spawn(async move { crawler.crawl.next().await.is_some() });
    assert!(soon(task).await.expect("it is Send"));
}

/// Each path is a way to fail, or to be too late.
const FAULTS: [(&str, &str); 11] = [
    ("/most", "200 OK"),
    ("/too_much", "larger than 10000 bytes"),
    ("/reset", "error sending request"),
    ("/closed", "error sending request"),
    ("/half", "error decoding response body"),
    ("/no_http", "error sending request"),
    ("/no_chunk", "error decoding response body"),
    ("/long_header", "error sending request"),
    ("/slow_header", "error sending request"),
    ("/no_body", "error decoding response body"),
    ("/silent", "error sending request"),
];

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
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let server = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(fail(stream));
        }
    }));
    // Long enough for the others on a busy machine.
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(2));
    let client = client.build().expect("a client");
    let visit = move |url| {
        let client = client.clone();
        async move {
            let page = fetch(&client, url, 10_000).await?;
            Ok::<_, Failure>((page.status, page.links))
        }
    };
    let mut crawl = Crawl::new(vec![parse(&url)], LIMITS, visit);
    let (first, page) = soon(crawl.next()).await.expect("the first page");
    assert!(page.is_ok(), "{page:?}");
    let mut outcomes = HashMap::new();
    while let Some((url, outcome)) = soon(crawl.next()).await {
        let text = outcome.map_or_else(|error| error.to_string(), |it| it.to_string());
        outcomes.insert(url.path().to_owned(), text);
    }
    assert_eq!(first.path(), "/");
    assert_eq!(outcomes.len(), FAULTS.len());
    for (path, expected) in FAULTS {
        let outcome = &outcomes[path];
        assert!(outcome.starts_with(expected), "{path}: {outcome}");
    }
    drop((crawl, server));
    for _ in 0..500 {
        if tasks() == 0 {
            return;
        }
        sleep(10 * TICK).await;
    }
    panic!("{} tasks are left", tasks());
}

#[tokio::test]
async fn a_redirect_is_a_link() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let _server = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let size = stream.read(&mut request).await.expect("a request");
            let request = String::from_utf8_lossy(&request[..size]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            log.lock().expect("no panic").push(path.to_owned());
            let moved = match path {
                "/" => "HTTP/1.1 302 Found\r\nlocation: private?x=1#y\r\n",
                _ => "HTTP/1.1 200 OK\r\n",
            };
            let answer = format!("{moved}connection: close\r\ncontent-length: 0\r\n\r\n");
            stream
                .write_all(answer.as_bytes())
                .await
                .expect("it is read");
        }
    }));
    for (policy, expected) in [
        (redirect::Policy::none(), vec!["/"]),
        (redirect::Policy::default(), vec!["/", "/private?x=1"]),
    ] {
        let client = Client::builder().no_proxy().redirect(policy);
        let client = client.build().expect("a client");
        let page = soon(fetch(&client, parse(&url), 10)).await.expect("a page");
        let mut asked = asked.lock().expect("no panic");
        assert_eq!(
            *asked, expected,
            "a client that follows asks for what is forbidden"
        );
        asked.clear();
        let links = page.links.iter().map(|url| url.path()).collect::<Vec<_>>();
        let follows = expected.len() == 2;
        assert_eq!(links, if follows { vec![] } else { vec!["/private"] });
    }
}

#[test]
fn which_links_are_found() {
    let html = "<a href=\"/1\">1</a><A\n class='x' HREF='2?a=1&amp;b=2'>\
        <a href=/3 id=x><abbr href=/no><a data-href=/no><a href='http://[/'>ä\
        <a href=/4>4<a href=\"/5><a>";
    let found = links(html, &parse("http://a.example/x/y"));
    let found: Vec<&str> = found.iter().map(|url| url.path()).collect();
    assert_eq!(found, ["/1", "/x/2", "/3", "/4"]);
}

/// A small page that is large as links: bounded in number, length and time.
#[test]
fn two_megabytes_of_links_stay_small() {
    let page = parse(&format!("http://a.example/{}/", "x".repeat(1_950)));
    let start = cpu_time::ThreadTime::now();
    let same = links(&"<a href=b ".repeat(200_000), &page);
    assert!(same.len() <= 1, "{}", same.len());
    let same = links(&"<a href=b>".repeat(200_000), &page);
    assert_eq!(same.len(), 1);
    let mut many = String::new();
    for number in 0..150_000 {
        many += &format!("<a href={number}>");
    }
    let many = links(&many, &page);
    assert_eq!(many.len(), 2_000);
    assert!(many.iter().all(|url| url.as_str().len() <= 2_000));
    let long = format!("<a href={}>", "x".repeat(2_000_000));
    assert!(links(&long, &page).is_empty());
    let attributes: String = (0..200_000).map(|number| format!(" a{number}")).collect();
    assert!(links(&format!("<a{attributes}>"), &page).is_empty());
    // A parser that builds a tree needs minutes for this.
    assert!(links(&"<div>".repeat(400_000), &page).is_empty());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
}

/// Cases of the HTML standard, html5lib and scrapy.
#[test]
fn links_as_a_browser_finds_them() {
    let page = parse("http://a.example/x/y");
    for (html, expected) in [
        ("<a href = \"/x\">", vec!["/x"]),
        ("<a title=\"a > b\" href=\"/x\">", vec!["/x"]),
        ("<a title='<b' href=/x>", vec!["/x"]),
        ("<a title=\"a\"href=\"/x\">", vec!["/x"]),
        ("<a href=\"/x&#x2F;y\">", vec!["/x/y"]),
        ("<a href=\"/x?a=1&amp;b=2\">", vec!["/x?a=1&b=2"]),
        ("<a href=\"/&eacute;\">", vec!["/%C3%A9"]),
        ("<!-- <a href=\"/no\"> --><a href=\"/x\">", vec!["/x"]),
        ("<script>'<a href=/no>'</script><a href=/x>", vec!["/x"]),
        ("<style><a href=/no></style><a href=/x>", vec!["/x"]),
        ("<textarea><a href=/no></textarea><a href=/x>", vec!["/x"]),
        ("<title><a href=/no></title><a href=/x>", vec!["/x"]),
        ("<p title=' href=/no '><a href=/x>", vec!["/x"]),
        ("<A HREF=/x>", vec!["/x"]),
        ("<a href=/x href=/no>", vec!["/x"]),
        ("<a\nhref\n=\n/x\n>", vec!["/x"]),
        ("<a href=\" /x \">", vec!["/x"]),
        ("<base href=/b/><a href=x>", vec!["/b/x"]),
        ("<base href=/b/><base href=/c/><a href=x>", vec!["/b/x"]),
        ("<a href=mailto:a@b.example><a href=javascript:x>", vec![]),
        ("<abbr href=/no><a data-href=/no><link href=/no>", vec![]),
        ("<a href=/x>1</a><a href=/x>2</a>", vec!["/x"]),
    ] {
        let found = links(html, &page);
        let found: Vec<&str> = found
            .iter()
            .map(|url| {
                url.as_str()
                    .strip_prefix("http://a.example")
                    .expect("its host")
            })
            .collect();
        assert_eq!(found, expected, "{html}");
    }
}
