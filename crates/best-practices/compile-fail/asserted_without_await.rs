//~ E0369 binary operation `==` cannot be applied to type
//! A future is compared in place of its result.
//!
//! example: unit_testing

async fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[tokio::main]
async fn main() {
    assert!(add(2, 3) == 5);
}
