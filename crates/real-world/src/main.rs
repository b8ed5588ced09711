//! HTTP, scraping, SQLite, servers, services, limits, files, caches: the section's
//! examples, in reading order.

#[macro_use]
extern crate example_runner;

examples! {
    http_requests,
    http_sync_vs_async,
    page_fetcher,
    pagination,
    connection_limits,
    download_to_file,
    upload,
    token_bucket,
    sliding_window,
    semaphore_rate_limiter,
    async_sqlite,
    sqlite_batch_insert,
    sqlite_pool,
    job_queue,
    tcp_echo_server,
    servers,
    line_protocol,
    protocols,
    unix_socket,
    udp_ping,
    sockets_by_hand,
    tls,
    websocket_chat,
    request_handler,
    router,
    api_server,
    scheduler,
    background_services,
    graceful_shutdown,
    run_subprocess,
    subprocess_protocol,
    stdin_with_timeout,
    blocking_in_threads,
    file_processor,
    ttl_cache,
    web_scraper,
}
