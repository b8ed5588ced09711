//~ unused_must_use unused implementer of `Future` that must be used
//! A thread sends into a channel as async code does, and nothing is sent.
//!
//! example: spawn_from_a_thread

#![deny(unused_must_use)]

use std::thread;

use tokio::sync::mpsc;

#[tokio::main]
async fn main() {
    let (sender, mut receiver) = mpsc::channel(1);
    thread::spawn(move || {
        sender.send(81);
    });
    while let Some(reading) = receiver.recv().await {
        println!("Stored {reading}");
    }
}
