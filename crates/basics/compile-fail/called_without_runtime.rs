//~ E0308 expected `u32`, found future
//! A plain function takes the future for its result.
//!
//! example: call_async_from_sync

async fn fetch_price() -> u32 {
    3
}

fn price_of(count: u32) -> u32 {
    let price: u32 = fetch_price();
    count * price
}

#[tokio::main]
async fn main() {
    println!("{}", price_of(2));
}
