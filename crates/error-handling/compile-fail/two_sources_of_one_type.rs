//~ E0119 conflicting implementations of trait `From<ParseIntError>` for type `Failure`
//! Two variants of an error that are made from the same type: `?` could not choose.
//!
//! example: custom_errors

use std::num::ParseIntError;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("not an age")]
    Age(#[from] ParseIntError),
    #[error("not a year")]
    Year(#[from] ParseIntError),
}

fn main() {
    let age: Result<u32, Failure> = "x".parse().map_err(Failure::Age);
    println!("{age:?}");
}
