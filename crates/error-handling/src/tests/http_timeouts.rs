use std::time::Duration;

use reqwest::Client;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::http_timeouts::{FetchError, Limits, fetch};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::test]
async fn without_a_limit_it_waits() -> Result<(), Failure> {
    // Nobody accepts; the system connects all the same.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", silent.local_addr()?);
    let unlimited = Client::builder().no_proxy().build()?;
    let long = Duration::from_secs(1);
    assert!(timeout(long, unlimited.get(&url).send()).await.is_err());
    for [read, total] in [[long / 10, 60 * long], [60 * long, long / 10]] {
        let connect = 60 * long;
        let limits = Limits {
            connect,
            read,
            total,
        };
        let client = limits.client_builder().no_proxy().build()?;
        let limited = timeout(30 * long, fetch(&client, &url)).await?;
        assert!(matches!(limited, Err(FetchError::TimedOut(_))));
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_times_out_closes_its_connection() -> Result<(), Failure> {
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", server.local_addr()?);
    let minute = Duration::from_secs(60);
    let limits = Limits {
        connect: minute,
        read: minute,
        total: Duration::from_millis(500),
    };
    let client = limits.client_builder().no_proxy().build()?;
    let served = async {
        let (mut connection, _) = server.accept().await?;
        // The request, and then the end: the client waits for no answer any more.
        connection.read_to_end(&mut Vec::new()).await
    };
    let (served, fetched) = tokio::join!(timeout(minute, served), fetch(&client, &url));
    assert!(matches!(fetched, Err(FetchError::TimedOut(_))));
    assert!(served?? > 0);
    Ok(())
}
