//~ E0277 impl Future<Output = String> {count}: Handler<_, _>` is not satisfied
//! A guard of a `std::sync::Mutex` is held over an await in a handler of axum.
//!
//! example: router

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::time::sleep;

async fn count(State(visits): State<Arc<Mutex<u32>>>) -> String {
    let mut visits = visits.lock().unwrap_or_else(PoisonError::into_inner);
    *visits += 1;
    sleep(Duration::from_millis(100)).await;
    format!("{visits} visits")
}

fn main() {
    let visits = Arc::new(Mutex::new(0));
    let _: Router = Router::new().route("/", get(count)).with_state(visits);
}
