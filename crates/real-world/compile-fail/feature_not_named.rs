//~ E0432 the item is gated behind the `cookies` feature
//! A part of a crate that is compiled only with a feature: name it in `Cargo.toml`.
//!
//! example: http_requests

use reqwest::cookie::Jar;

fn main() {
    let _cookies = Jar::default();
}
