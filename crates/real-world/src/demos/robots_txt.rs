//! Three sites: one with rules, one without robots.txt, and one that is broken.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use reqwest::{Client, StatusCode, Url};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::robots_txt::Robots;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const RULES: &str = "\
User-agent: *
Allow: /private/open
Disallow: /private/

User-agent: greedy
Disallow: /
";

const PAGES: [&str; 4] = ["/", "/private/x", "/%70rivate/x", "/private/open"];

/// Returns the address of a site that answers so, until the handle is dropped.
async fn serve(
    answer: (StatusCode, &'static str),
) -> Result<(Url, AbortOnDropHandle<std::io::Result<()>>), Failure> {
    let robots = async move || {
        println!("GET /robots.txt");
        answer
    };
    let app = Router::new().route("/robots.txt", get(robots));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let serving = axum::serve(listener, app).into_future();
    Ok((url.parse()?, AbortOnDropHandle::new(tokio::spawn(serving))))
}

async fn ask(client: &Client, site: &Url, agent: &str) -> Result<(), Failure> {
    let robots = match Robots::fetch(client, site, agent).await {
        Ok(robots) => robots,
        Err(error) => {
            println!("nothing may be fetched: {error}");
            return Ok(());
        }
    };
    for page in PAGES {
        if robots.allow(&site.join(page)?).await {
            println!("{page} is allowed")
        } else {
            println!("{page} is forbidden")
        }
    }
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let (site, _site) = serve((StatusCode::OK, RULES)).await?;
    let (open, _open) = serve((StatusCode::NOT_FOUND, "")).await?;
    let (broken, _broken) = serve((StatusCode::SERVICE_UNAVAILABLE, "")).await?;
    // The sites are on this machine, which no proxy would reach.
    let client = Client::builder().no_proxy().build()?;
    for (title, site, agent) in [
        ("Rules for all crawlers:", &site, "my-crawler/1.0"),
        ("A crawler with rules of its own:", &site, "greedy/2.0"),
        ("There is no robots.txt:", &open, "my-crawler/1.0"),
        ("The server is broken:", &broken, "my-crawler/1.0"),
    ] {
        sleep(Duration::from_millis(500)).await;
        println!("{title}");
        ask(&client, site, agent).await?;
    }
    Ok(())
}
