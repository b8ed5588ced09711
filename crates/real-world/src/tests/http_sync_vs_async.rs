use axum::Router;
use reqwest::blocking::Client;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;

use crate::http_sync_vs_async::fetch_blocking;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::test(flavor = "multi_thread")]
async fn in_async_code_it_panics_in_a_debug_build() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let app = Router::new().fallback(async || "text");
    let serving = axum::serve(listener, app).into_future();
    let _server = AbortOnDropHandle::new(tokio::spawn(serving));
    let builder = Client::builder().no_proxy();
    let client = spawn_blocking(|| builder.build()).await??;
    let task = tokio::spawn(async move { fetch_blocking(&client, &url) });
    let panicked = task.await.is_err_and(|error| error.is_panic());
    assert!(panicked || !cfg!(debug_assertions));
    Ok(())
}
