use std::time::Duration;

use reqwest::Client;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::http_timeouts::{Failure, client};

#[tokio::test]
async fn without_a_limit_it_waits() -> Result<(), Failure> {
    // Nobody accepts; the system connects all the same.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", silent.local_addr()?);
    let unlimited = Client::builder().no_proxy().build()?;
    let long = Duration::from_secs(1);
    assert!(timeout(long, unlimited.get(&url).send()).await.is_err());
    let limited = timeout(60 * long, client()?.get(&url).send()).await?;
    assert!(limited.is_err_and(|error| error.is_timeout() && !error.is_connect()));
    Ok(())
}
