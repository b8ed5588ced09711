//! Callers that share a call, its error, its panic, and a caller that gives up.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::single_flight::SingleFlight;

/// Users on a server, with the running calls.
pub struct Users {
    flights: SingleFlight<u32, Result<String, String>>,
    latency: Duration,
}

impl Users {
    /// Returns the user with this number, loaded once for all concurrent callers.
    pub async fn get(self: &Arc<Self>, id: u32) -> Result<String, String> {
        let users = Arc::clone(self);
        let call = async move { users.load(id).await };
        let result = self.flights.run(id, call).await;
        result.unwrap_or_else(|no_result| Err(no_result.to_string()))
    }

    async fn load(&self, id: u32) -> Result<String, String> {
        println!("loading user {id}");
        sleep(self.latency).await;
        match id {
            0 => panic!("there is no user 0"),
            404 => Err(format!("user {id} not found")),
            _ => Ok(format!("User_{id}")),
        }
    }
}

/// Asks for the user after some milliseconds, and says what came of it.
async fn ask(users: &Arc<Users>, millis: u64, id: u32) -> String {
    sleep(Duration::from_millis(millis)).await;
    println!("a caller asks for user {id}");
    users.get(id).await.unwrap_or_else(|error| error)
}

pub async fn run() {
    let users = Arc::new(Users {
        flights: SingleFlight::new(),
        latency: Duration::from_millis(500),
    });

    println!("Three ask for user 1, one for user 2:");
    let asked = [(0, 1), (100, 1), (200, 2), (300, 1)];
    let names = join_all(asked.map(|(millis, id)| ask(&users, millis, id))).await;
    println!("{}", names.join(", "));

    println!("Once more: the result was not kept:");
    println!("{}", ask(&users, 0, 1).await);

    println!("An error is shared, and not kept either:");
    let asked = [(0, 404), (100, 404), (600, 404)];
    let errors = join_all(asked.map(|(millis, id)| ask(&users, millis, id))).await;
    println!("{}", errors.join(", "));

    println!("The first caller times out after 0.2 s:");
    let limit = Duration::from_millis(200);
    let first = timeout(limit, ask(&users, 0, 3));
    let (first, second) = tokio::join!(first, ask(&users, 100, 3));
    let first = first.unwrap_or_else(|_| "timed out".to_string());
    println!("{first}, {second}");

    println!("The call panics:");
    let asked = [(0, 0), (100, 0)];
    let ends = join_all(asked.map(|(millis, id)| ask(&users, millis, id))).await;
    println!("{}", ends.join(", "));
}
