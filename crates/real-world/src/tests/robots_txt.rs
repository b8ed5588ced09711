use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::Uri;
use axum::response::{Html, IntoResponse, Redirect, Response};
use cpu_time::ThreadTime;
use reqwest::{Client, StatusCode, Url};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::support::soon;
use crate::robots_txt::{MAX_ROBOTS, Robots, RobotsError};

fn parse(path: &str) -> Url {
    let url = Url::parse("http://a.example/").expect("a URL");
    url.join(path).expect("a path")
}

/// Asks a site that answers as the function says. Returns the paths of the requests too.
async fn fetch(
    answer: fn(&str) -> Response,
) -> (Result<Robots, RobotsError>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let app = Router::new().fallback(move |uri: Uri| {
        log.lock().expect("no panic").push(uri.to_string());
        std::future::ready(answer(uri.path()))
    });
    let serving = async move { axum::serve(listener, app).await.expect("it serves") };
    let _server = AbortOnDropHandle::new(tokio::spawn(serving));
    let client = Client::builder().no_proxy().build().expect("a client");
    let page = Url::parse(&format!("http://{address}/a/b?c=d#e")).expect("a URL");
    let robots = soon(Robots::fetch(&client, &page, "Me/1.0")).await;
    let asked = std::mem::take(&mut *asked.lock().expect("no panic"));
    (robots, asked)
}

#[tokio::test]
async fn no_rules_allow_all_and_a_broken_server_nothing() {
    for (answer, expected) in [
        (
            (|_| StatusCode::NOT_FOUND.into_response()) as fn(&str) -> Response,
            Ok(true),
        ),
        (|_| StatusCode::FORBIDDEN.into_response(), Ok(true)),
        (|_| Html("").into_response(), Ok(true)),
        (|_| "User-agent: me\nDisallow: /".into_response(), Ok(false)),
        (
            |_| StatusCode::BAD_GATEWAY.into_response(),
            Err("status 502"),
        ),
        (
            |_| StatusCode::TOO_MANY_REQUESTS.into_response(),
            Err("status 429"),
        ),
        (
            |_| StatusCode::NOT_MODIFIED.into_response(),
            Err("status 304"),
        ),
        (|_| "#".repeat(MAX_ROBOTS).into_response(), Ok(true)),
        (
            |_| "#".repeat(MAX_ROBOTS + 1).into_response(),
            Err("larger than 512000 bytes"),
        ),
    ] {
        let (robots, asked) = fetch(answer).await;
        assert_eq!(asked, ["/robots.txt"]);
        match (robots, expected) {
            (Ok(robots), Ok(allows)) => {
                assert_eq!(robots.allow(&parse("/x")).await, allows)
            }
            (Err(error), Err(text)) => assert_eq!(error.to_string(), text),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn it_may_move_but_not_for_ever() {
    let (robots, asked) = fetch(|path| match path {
        "/robots.txt" => Redirect::temporary("/rules").into_response(),
        _ => "User-agent: *\nDisallow: /x".into_response(),
    })
    .await;
    let robots = robots.expect("there are rules");
    assert!(!robots.allow(&parse("/x")).await);
    assert!(robots.allow(&parse("/y")).await);
    assert_eq!(asked, ["/robots.txt", "/rules"]);
    let (robots, _) = fetch(|_| Redirect::temporary("/robots.txt").into_response()).await;
    assert!(
        matches!(robots, Err(RobotsError::NoAnswer(_))),
        "{robots:?}"
    );
}

#[tokio::test]
async fn what_is_allowed() {
    let text = "user-agent: other\nUSER-AGENT: Me # us\nDisallow: /\nAllow: /a\n\
        Disallow: /a/b*c$\nDisallow:\n\nUser-agent: *\nDisallow: /*?print";
    let encoded = Robots::parse("\u{feff}User-agent: *\nDisallow: /ä", "Me");
    assert!(!encoded.allow(&parse("/ä/b")).await);
    assert!(encoded.allow(&parse("/a")).await);
    for (agent, path, expected) in [
        ("Me/1.0", "/", false),
        ("Me/1.0", "/a", true),
        ("Me/1.0", "/a/bxc", false),
        ("Me/1.0", "/a/bxcd", true),
        ("Else/1.0", "/", true),
        ("Else/1.0", "/a/bxc", true),
        ("Else/1.0", "/x?print=1", false),
    ] {
        let robots = Robots::parse(text, agent);
        assert_eq!(robots.allow(&parse(path)).await, expected, "{agent} {path}");
    }
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
        let robots = Robots::parse(&format!("User-agent: *\nDisallow: {pattern}"), "Me");
        let allows = robots.allow(&parse(path)).await;
        assert_eq!(allows, expected, "{pattern} {path}");
    }
    let robots = Robots::parse("User-agent: *\rDisallow: /a\r", "Me");
    assert!(!robots.allow(&parse("/a")).await, "lines that end in CR");
}

#[tokio::test]
async fn a_hostile_file_does_not_hold_up_other_tasks() {
    const RULE: &str = "Disallow: /*a*b*c*d*e*f*g*h*i*j$\n";
    fn hostile(_: &str) -> Response {
        let rules = RULE.repeat(MAX_ROBOTS / RULE.len() - 1);
        format!("User-agent: *\n{rules}").into_response()
    }
    // What counts is the processor time of this thread, which drives the other tasks.
    let mut driving = Vec::new();
    let mut parsing = Vec::new();
    let text = "User-agent: *\n".to_owned() + &RULE.repeat(MAX_ROBOTS / RULE.len() - 1);
    let mut robots = Robots::default();
    for _ in 0..5 {
        let start = ThreadTime::now();
        robots = fetch(hostile).await.0.expect("there are rules");
        driving.push(start.elapsed());
        let start = ThreadTime::now();
        drop(Robots::parse(&text, "Me"));
        parsing.push(start.elapsed());
    }
    assert!(
        driving.iter().min() < parsing.iter().min(),
        "{driving:?}, {parsing:?}"
    );
    let url = parse(&"/abcdefghi".repeat(200));
    let mut allow = std::pin::pin!(robots.allow(&url));
    assert!(
        futures::poll!(allow.as_mut()).is_pending(),
        "another thread matches"
    );
    assert!(soon(allow).await);
}

/// Cases of Google's parser, Protego and RFC 9309.
#[tokio::test]
async fn which_group_binds_an_agent() {
    for (text, allows) in [
        ("User-agent: my-crawler/1.0\nDisallow: /", false),
        ("User-agent: my-crawler*\nDisallow: /", false),
        ("User-agent: MY-CRAWLER\nDisallow: /", false),
        (
            "User-agent: my-crawler/9 (+http://a.example)\nDisallow: /",
            false,
        ),
        ("User-agent: my\nDisallow: /", true),
        ("User-agent: my-crawler-2\nDisallow: /", true),
        ("User-agent: *\nDisallow: /", false),
        // Its own group counts, even without rules.
        (
            "User-agent: *\nDisallow: /\n\nUser-agent: my-crawler\nCrawl-delay: 3",
            true,
        ),
        (
            "User-agent: my-crawler\nDisallow:\n\nUser-agent: *\nDisallow: /",
            true,
        ),
        (
            "User-agent: my-crawler\nDisallow: /x\n\nUser-agent: my-crawler\nDisallow: /a",
            false,
        ),
        (
            "User-agent: a\nUser-agent: my-crawler\nUser-agent: b\nDisallow: /a",
            false,
        ),
    ] {
        let robots = Robots::parse(text, "my-crawler/1.0");
        assert_eq!(robots.allow(&parse("/a")).await, allows, "{text}");
    }
}

#[tokio::test]
async fn a_path_that_would_take_long_is_forbidden() {
    let robots = Robots::parse("User-agent: *\nAllow: /", "Me");
    assert!(
        robots
            .allow(&parse(&format!("/{}", "x".repeat(1_999))))
            .await
    );
    assert!(
        !robots
            .allow(&parse(&format!("/{}", "x".repeat(2_000))))
            .await
    );
    assert!(
        !robots
            .allow(&parse(&format!("/?{}", "x".repeat(2_000))))
            .await
    );
}

#[tokio::test]
async fn rules_that_cannot_be_read_are_an_error() {
    let (robots, _) = fetch(|_| {
        let header = [(axum::http::header::CONTENT_ENCODING, "gzip")];
        (header, "zip").into_response()
    })
    .await;
    assert!(matches!(robots, Err(RobotsError::Compressed)), "{robots:?}");
}
