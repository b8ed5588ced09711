//~ let_underscore_lock non-binding let on a synchronization lock
//! `let _ =` releases the lock of std at once. The compiler refuses this by itself.
//!
//! example: lints

use std::sync::Mutex;

fn main() {
    let rows = Mutex::new(());
    let _ = rows.lock();
    println!("nothing is locked");
}
