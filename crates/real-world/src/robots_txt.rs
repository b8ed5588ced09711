//! robots.txt: find out what your crawler may fetch from a site, by RFC 9309.
//!
//! `Robots::fetch` reads the rules of a site once; `allow` returns whether they allow a
//! URL. If several rules match a URL, the longest one decides. Python's `robotparser`
//! followed neither that rule nor the wildcards `*` and `$` before its latest releases.
//!
//! Bounds: If the file has more than 500 KiB, the limit of the RFC, nothing may be
//! fetched. A path of more than 2,000 bytes is forbidden. The client's timeout limits
//! the request. `Crawl-delay` and sitemaps are ignored.
//!
//! Trap: If you compare paths as they are written, `Disallow: /~joe/` does not match
//! `/%7Ejoe/`, the same path in another spelling, and your crawler fetches a forbidden
//! page. Here both are first brought to the same spelling.
//!
//! Trap: If you call `allow` in an async function, a hostile file can block its thread
//! for up to a second for each URL. Call `allow` in `spawn_blocking`, so that other
//! tasks keep running.
//!
//! See also: `web_scraper`, `blocking_in_threads`.
//!
//! asyncio: asyncio.to_thread, async with

use std::sync::Arc;

use reqwest::header::CONTENT_ENCODING;
use reqwest::{Client, StatusCode, Url};
use tokio::task::{JoinError, spawn_blocking};

/// In bytes. If the file is larger, nothing may be fetched from its site.
pub const MAX_ROBOTS: usize = 500 * 1024;

/// Why there are no rules. Do not fetch anything from the site then.
#[derive(Debug, thiserror::Error)]
pub enum RobotsError {
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("larger than {MAX_ROBOTS} bytes")]
    TooLarge,
    /// The client cannot decompress it, so its rules are unknown.
    #[error("compressed")]
    Compressed,
    #[error("no answer")]
    NoAnswer(#[from] reqwest::Error),
    #[error("its rules crashed the parser")]
    Crashed(#[from] JoinError),
}

/// The rules of a robots.txt for one agent. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Robots(Arc<Vec<Rule>>);

#[derive(Debug)]
struct Rule {
    allow: bool,
    /// `*` stands for any text.
    pattern: String,
    /// Whether the pattern must match the whole path: it ended in `$`.
    whole: bool,
}

impl Robots {
    /// Returns the rules of this page's site. A site without robots.txt allows all.
    ///
    /// The client should follow redirects of robots.txt, as reqwest does by default. Of
    /// `agent`, only the part before the `/` is compared.
    pub async fn fetch(
        client: &Client,
        page: &Url,
        agent: &str,
    ) -> Result<Self, RobotsError> {
        let mut url = page.clone();
        url.set_path("/robots.txt");
        url.set_query(None);
        let mut response = client.get(url).send().await?;
        let status = response.status();
        if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            return Ok(Self::default());
        } else if !status.is_success() || status == StatusCode::PARTIAL_CONTENT {
            return Err(RobotsError::Status(status));
        }
        let encoding = response.headers().get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(RobotsError::Compressed);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ROBOTS {
                return Err(RobotsError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let agent = agent.to_owned();
        let parse = move || Self::parse(&String::from_utf8_lossy(&body), &agent);
        Ok(spawn_blocking(parse).await?)
    }

    /// Returns the rules for this agent, or those for `*` if it has no group itself.
    pub fn parse(text: &str, agent: &str) -> Self {
        let own_name = product(agent);
        let (mut own, mut general) = (None, Vec::new());
        let (mut agents, mut after_rule) = (Vec::new(), false);
        // Some editors put a mark before the first line.
        for line in text.trim_start_matches('\u{feff}').split(['\r', '\n']) {
            let line = line.split('#').next().unwrap_or_default();
            let (key, value) = line.split_once(':').unwrap_or_default();
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            if key == "user-agent" {
                if std::mem::take(&mut after_rule) {
                    agents.clear();
                }
                agents.push(value);
                // A group without rules allows all.
                if product(value).eq_ignore_ascii_case(own_name) {
                    own.get_or_insert_with(Vec::new);
                }
            } else if key == "allow" || key == "disallow" {
                after_rule = true;
                let rule = (!value.is_empty()).then(|| Rule::new(key == "allow", value));
                let is_own = |name: &&str| product(name).eq_ignore_ascii_case(own_name);
                if let Some(own) = own.as_mut().filter(|_| agents.iter().any(is_own)) {
                    own.extend(rule);
                } else if agents.contains(&"*") {
                    general.extend(rule);
                }
            }
        }
        Self(Arc::new(own.unwrap_or(general)))
    }

    /// Returns whether the longest rule that matches allows the URL.
    pub async fn allow(&self, url: &Url) -> bool {
        let query = url.query().map(|query| format!("?{query}"));
        let path = format!("{}{}", url.path(), query.unwrap_or_default());
        if path.len() > 2_000 {
            return false;
        }
        let rules = Arc::clone(&self.0);
        let allows = spawn_blocking(move || {
            let path = normalize(&path);
            let matching = rules.iter().filter(|rule| rule.matches(&path));
            let longest = matching.max_by_key(|rule| {
                (rule.pattern.len() + usize::from(rule.whole), rule.allow)
            });
            longest.is_none_or(|rule| rule.allow)
        });
        allows.await.unwrap_or(false)
    }
}

/// Returns the name without a version, or a `*` at its end: `my-crawler/1.0`.
fn product(agent: &str) -> &str {
    let product = agent.split('/').next().unwrap_or_default().trim();
    match product {
        "*" => product,
        _ => product.trim_end_matches('*'),
    }
}

impl Rule {
    fn new(allow: bool, value: &str) -> Self {
        let parts = value.trim_end_matches('$').split('*').map(normalize);
        Self {
            allow,
            pattern: parts.collect::<Vec<_>>().join("*"),
            whole: value.ends_with('$'),
        }
    }

    fn matches(&self, path: &str) -> bool {
        let mut parts = self.pattern.split('*');
        let first = parts.next().unwrap_or_default();
        let rest = path.strip_prefix(first).and_then(|rest| {
            parts.try_fold(rest, |rest, part| Some(rest.split_once(part)?.1))
        });
        let last = self.pattern.rsplit_once('*').map(|(_, last)| last);
        let ends = last.is_some_and(|last| path.ends_with(last));
        rest.is_some_and(|rest| !self.whole || rest.is_empty() || ends)
    }
}

/// Encodes a path so that two spellings are equal: `%7e` as `~`, `%3c` and `<` as `%3C`,
/// `ä` as `%C3%A4`. `*` and `$` are encoded too, as a pattern gives them a meaning.
fn normalize(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut bytes = path.as_bytes().iter();
    while let Some(&byte) = bytes.next() {
        let code = bytes.as_slice().get(..2).filter(|_| byte == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        let code = code.filter(|code| code.bytes().all(|it| it.is_ascii_hexdigit()));
        let encoded = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        if encoded.is_some() {
            bytes.nth(1);
        }
        let unreserved =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        match encoded {
            None if unreserved(byte) || b"/?#[]@!&'()+,;=:".contains(&byte) => {
                normal.push(char::from(byte));
            }
            Some(byte) if unreserved(byte) => normal.push(char::from(byte)),
            _ => normal.push_str(&format!("%{:02X}", encoded.unwrap_or(byte))),
        }
    }
    normal
}

/// Asks whether a crawler may fetch these pages: `cargo run -- https://example.com/a`.
#[tokio::main]
async fn main() -> Result<(), RobotsError> {
    let client = Client::builder().timeout(std::time::Duration::from_secs(30));
    let client = client.user_agent("my-crawler/1.0").build()?;
    for page in std::env::args().skip(1) {
        let page = client.get(page).build()?.url().clone();
        let robots = Robots::fetch(&client, &page, "my-crawler/1.0").await?;
        let allows = robots.allow(&page).await;
        println!("{page}: {}", if allows { "allowed" } else { "forbidden" });
    }
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1/ -> refused
