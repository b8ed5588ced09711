//~ E0382 borrow of moved value: `response`
//! The body is read, and the response asked for its status after that.
//!
//! example: http_requests

#[tokio::main]
async fn main() -> Result<(), reqwest::Error> {
    let response = reqwest::get("http://127.0.0.1:8080/").await?;
    let text = response.text().await?;
    println!("{}: {text}", response.status());
    Ok(())
}
