use reqwest::blocking::Client;
use tokio::task::spawn_blocking;

use crate::http_sync_vs_async::{Failure, fetch_blocking, start_server};

#[tokio::test(flavor = "multi_thread")]
async fn in_async_code_it_panics_in_a_debug_build() -> Result<(), Failure> {
    let (address, _server) = start_server().await?;
    let builder = Client::builder().no_proxy();
    let client = spawn_blocking(|| builder.build()).await??;
    let url = format!("http://{address}/delay/10");
    let task = tokio::spawn(async move { fetch_blocking(&client, &url) });
    let panicked = task.await.is_err_and(|error| error.is_panic());
    assert!(panicked || !cfg!(debug_assertions));
    Ok(())
}
