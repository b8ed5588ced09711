//! The tests, and what each of them sees.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::join;

use crate::from_pytest::{FakeService, capture_logs};

/// A limit that is not reached.
const LIMIT: Duration = Duration::from_secs(30);

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let slow = FakeService::start(StatusCode::OK, Duration::from_secs(60)).await?;
    let users = slow.users(Duration::from_millis(300))?;
    // Where TLS is compiled in, a client takes some milliseconds to build: meanwhile.
    let others = async {
        let mut others = Vec::new();
        for (status, delay) in [(200, 0), (204, 0), (404, 0), (404, 200)] {
            let delay = Duration::from_millis(delay);
            let service =
                FakeService::start(StatusCode::from_u16(status)?, delay).await?;
            others.push((status, service.users(LIMIT)?, service));
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(others)
    };
    let (exists, others) = join!(users.exists("ada"), others);
    if exists.is_err_and(|error| error.is_timeout()) {
        println!("a slow service: timed out");
    }

    let mut others = others?;
    let unknown = others.pop();
    for (status, users, service) in others {
        let exists = if users.exists("ada").await? {
            "exists"
        } else {
            "does not exist"
        };
        let requests = service.requests().join(", ");
        println!("{status}: ada {exists}, after {requests}");
    }

    if let Some((_, users, _service)) = unknown {
        let (exists, logs) = capture_logs(users.exists("bob")).await;
        exists?;
        println!("logged: {}", logs.join(", "));
    }
    Ok(())
}
