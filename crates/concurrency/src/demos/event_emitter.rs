//! Listeners that are slow, fail, emit themselves, and are unsubscribed.

use std::time::Duration;

use tokio::time::sleep;

use crate::event_emitter::{EventEmitter, WeakEmitter};

async fn receive(data: String) -> Result<(), String> {
    println!("Received: {data}");
    Ok(())
}

async fn store(data: String) -> Result<(), String> {
    sleep(Duration::from_millis(100)).await;
    if data.len() > 12 {
        return Err(format!("no room for {data}"));
    }
    println!("Stored: {data}");
    Ok(())
}

/// Takes 50 ms for each letter.
async fn spell(data: String) -> Result<(), String> {
    sleep(Duration::from_millis(50) * data.len() as u32).await;
    println!("Spelt: {data}");
    Ok(())
}

/// Emits the data as another event.
async fn forward(
    emitter: WeakEmitter<String, String>,
    data: String,
) -> Result<(), String> {
    let emitter = emitter.upgrade().ok_or("the emitter is gone")?;
    let errors = emitter.emit("data", format!("{data}!")).await;
    errors
        .into_iter()
        .try_for_each(|error| Err(error.to_string()))
}

async fn report(emitter: &EventEmitter<String, String>, event: &str, data: &str) {
    let errors = emitter.emit(event, data.to_owned()).await;
    for error in &errors {
        println!("A listener {error}");
    }
    println!("Emitted {data}: {} went wrong", errors.len());
}

pub async fn run() {
    let emitter = EventEmitter::new(Duration::from_millis(500));
    let receiving = emitter.on("data", receive);
    emitter.on("data", store).keep();
    emitter.on("data", spell).keep();
    // A listener that emits owns a `WeakEmitter`, and gives each call a clone of it.
    let weak = emitter.downgrade();
    let forwarding = emitter.on("alarm", move |data| forward(weak.clone(), data));

    println!("Three listeners:");
    report(&emitter, "data", "Hello").await;
    println!("One fails, and one is slower than half a second:");
    report(&emitter, "data", "Hello, World!").await;
    println!("One is unsubscribed:");
    drop(receiving);
    report(&emitter, "data", "Bye").await;
    println!("Another event, then nobody listens to it any more:");
    report(&emitter, "alarm", "Fire").await;
    drop(forwarding);
    report(&emitter, "alarm", "Fire").await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
