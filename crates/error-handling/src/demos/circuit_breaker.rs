//! Calls of a service that fails, and of one that hangs.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::circuit_breaker::{CircuitBreaker, Rejected};

#[derive(Clone, Copy, Debug, thiserror::Error)]
enum ServiceError {
    #[error("503 Service Unavailable")]
    Unavailable,
    #[error("404 Not Found")]
    NotFound,
    #[error("no response in time")]
    Timeout,
}

/// `None` never comes.
type Response = Option<Result<&'static str, ServiceError>>;

const OK: Response = Some(Ok("200 OK"));
const UNAVAILABLE: Response = Some(Err(ServiceError::Unavailable));
const NOT_FOUND: Response = Some(Err(ServiceError::NotFound));
const HANGS: Response = None;

/// Responds after 0.1 s.
async fn get(response: Response) -> Result<&'static str, ServiceError> {
    sleep(Duration::from_millis(100)).await;
    match response {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

fn is_failure(error: &ServiceError) -> bool {
    !matches!(error, ServiceError::NotFound)
}

struct Client(CircuitBreaker<ServiceError>);

impl Client {
    fn new() -> Self {
        Self(CircuitBreaker::new(
            3,
            Duration::from_millis(500),
            is_failure,
        ))
    }

    /// With a timeout of 0.15 s in the call.
    async fn call(&self, response: Response) {
        let limit = Duration::from_millis(150);
        let call = async || {
            let response = timeout(limit, get(response)).await;
            response.unwrap_or(Err(ServiceError::Timeout))
        };
        self.print(self.0.call(call).await);
    }

    /// With the timeout around the breaker.
    async fn call_wrongly(&self, response: Response) {
        let limit = Duration::from_millis(150);
        let call = timeout(limit, self.0.call(|| get(response))).await;
        self.print(call.unwrap_or(Ok(Err(ServiceError::Timeout))));
    }

    fn print(&self, result: Result<Result<&str, ServiceError>, Rejected>) {
        let state = self.0.state();
        match result {
            Ok(Ok(value)) => println!("{value} ({state:?})"),
            Ok(Err(error)) => println!("{error} ({state:?})"),
            Err(rejected) => println!("{rejected} ({state:?})"),
        }
    }
}

pub async fn run() {
    let open_duration = Duration::from_millis(500);

    println!("Three consecutive failures open the circuit:");
    let client = Client::new();
    for response in [UNAVAILABLE, UNAVAILABLE, NOT_FOUND] {
        client.call(response).await;
    }
    for response in [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, OK] {
        client.call(response).await;
    }

    println!("0.5 s later there is one probe, which fails:");
    sleep(open_duration).await;
    let second = async {
        sleep(Duration::from_millis(50)).await;
        client.call(OK).await;
    };
    tokio::join!(client.call(UNAVAILABLE), second);
    client.call(OK).await;

    println!("0.5 s later the next probe is cancelled, and the one after it succeeds:");
    sleep(open_duration).await;
    client.call_wrongly(HANGS).await;
    client.call(OK).await;

    println!("The service hangs, and the timeout is around the breaker:");
    for _ in 0..3 {
        client.call_wrongly(HANGS).await;
    }
    println!("The timeout is in the call:");
    for _ in 0..3 {
        client.call(HANGS).await;
    }
}
