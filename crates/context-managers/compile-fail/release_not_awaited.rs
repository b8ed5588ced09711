//~ unused_must_use unused implementer of `Future` that must be used
//! A place is given back by an async method that nobody awaits.
//!
//! example: semaphore_pool

#![deny(unused_must_use)]

use tokio::sync::Semaphore;

struct Pool {
    places: Semaphore,
}

impl Pool {
    async fn release(&self) {
        self.places.add_permits(1);
    }
}

#[tokio::main]
async fn main() {
    let places = Semaphore::new(3);
    let pool = Pool { places };
    pool.release();
    println!("{} places", pool.places.available_permits());
}
