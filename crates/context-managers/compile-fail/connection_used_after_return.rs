//~ E0382 borrow of moved value: `connection`
//! A connection is used after it was returned to its pool.
//!
//! example: connection_pool

struct Pooled {
    number: u32,
}

impl Drop for Pooled {
    fn drop(&mut self) {
        println!("{} is returned", self.number);
    }
}

fn main() {
    let connection = Pooled { number: 1 };
    drop(connection);
    println!("querying {}", connection.number);
}
