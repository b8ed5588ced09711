//~ E0382 use of moved value: `sender`
//! A result cannot be set twice: `send` takes the sender.
//!
//! example: oneshot_and_set_once

use tokio::sync::oneshot;

#[tokio::main]
async fn main() {
    let (sender, receiver) = oneshot::channel();
    for result in [42, 43] {
        sender.send(result).expect("somebody waits");
    }
    println!("{:?}", receiver.await);
}
