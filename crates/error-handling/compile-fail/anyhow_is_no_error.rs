//~ E0277 the trait bound `anyhow::Error: std::error::Error` is not satisfied
//! An error of anyhow where a `std::error::Error` is wanted.
//!
//! example: error_context

fn log(error: &impl std::error::Error) {
    println!("{error}");
}

fn main() {
    log(&anyhow::anyhow!("no such user"));
}
