//! Listeners that are slow, fail, emit themselves, and are unsubscribed.

use std::error::Error;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::event_emitter::{EventEmitter, WeakEmitter};

type Failure = Box<dyn Error + Send + Sync>;

async fn receive(data: String) -> Result<(), Failure> {
    println!("Received: {data}");
    Ok(())
}

async fn store(data: String) -> Result<(), Failure> {
    sleep(Duration::from_millis(100)).await;
    if data.len() > 12 {
        return Err(format!("no room for {data}").into());
    }
    println!("Stored: {data}");
    Ok(())
}

/// Takes 50 ms for each letter, and half a second at most.
async fn spell(data: String) -> Result<(), Failure> {
    let spelling = sleep(Duration::from_millis(50) * data.len() as u32);
    let limit = Duration::from_millis(500);
    timeout(limit, spelling).await.map_err(|_| "too slow")?;
    println!("Spelt: {data}");
    Ok(())
}

/// Emits the data as another event.
async fn forward(
    emitter: WeakEmitter<String, Failure>,
    data: String,
) -> Result<(), Failure> {
    let emitter = emitter.upgrade().ok_or("the emitter is gone")?;
    let errors = emitter.emit("data", format!("{data}!")).await;
    errors.into_iter().try_for_each(Err)
}

async fn report(emitter: &EventEmitter<String, Failure>, event: &str, data: &str) {
    let errors = emitter.emit(event, data.to_owned()).await;
    for error in &errors {
        println!("A listener failed: {error}");
    }
    println!("Emitted {data}: {} failed", errors.len());
}

pub async fn run() {
    let emitter = EventEmitter::default();
    let receiving = emitter.on("data", receive);
    emitter.on("data", store).keep();
    emitter.on("data", spell).keep();
    // A listener that emits owns a `WeakEmitter`, and gives each call a clone of it.
    let weak = emitter.downgrade();
    let forwarding = emitter.on("alarm", move |data| forward(weak.clone(), data));

    println!("Three listeners:");
    report(&emitter, "data", "Hello").await;
    println!("One fails, and one times out:");
    report(&emitter, "data", "Hello, World!").await;
    println!("One is unsubscribed:");
    drop(receiving);
    report(&emitter, "data", "Bye").await;
    println!("A listener emits a second event; then it is unsubscribed:");
    report(&emitter, "alarm", "Fire").await;
    drop(forwarding);
    report(&emitter, "alarm", "Fire").await;
}
