//~ E0133 call to unsafe function `set_var` is unsafe
//! A test sets an environment variable, as `monkeypatch.setenv` does.
//!
//! example: from_pytest

#[tokio::main]
async fn main() {
    std::env::set_var("SERVICE_URL", "http://127.0.0.1:1");
}
