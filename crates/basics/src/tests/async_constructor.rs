use crate::async_constructor::Client;

#[tokio::test(start_paused = true)]
async fn a_client_is_connected_or_an_error() {
    let client = Client::connect("example.com").await.expect("it has a dot");
    assert_eq!(client.host(), "example.com");
    assert!(Client::connect("").await.is_err());
    // In a task, as a reader's own error.
    let connected = tokio::spawn(async {
        let client = Client::connect("example.com").await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(client.version().await)
    });
    let version = connected.await.expect("no panic").expect("it has a dot");
    assert_eq!(version, "example.com runs version 3");
}
