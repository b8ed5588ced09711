//~ E0599 no method named `to_uppercase` found for opaque type `impl Future<Output =
//! A method of the result is called on the future.
//!
//! example: async_fn

async fn fetch_data() -> String {
    String::from("data")
}

#[tokio::main]
async fn main() {
    let data = fetch_data().to_uppercase();
    println!("{data}");
}
