//! Tests of the examples, each in the file of its example's name.

#[cfg(unix)]
mod all_servers;
mod api_server;
mod async_sqlite;
mod background_services;
mod blocking_in_threads;
mod chat_room;
mod connection_limits;
mod download_to_file;
mod file_processor;
mod graceful_shutdown;
#[cfg(unix)]
mod hostile;
mod http_requests;
mod http_server;
mod http_sync_vs_async;
mod job_queue;
mod job_workers;
mod line_protocol;
mod page_fetcher;
mod pagination;
mod protocols;
mod request_handler;
mod resume_download;
mod robots_txt;
mod router;
#[cfg(target_os = "linux")]
mod run_subprocess;
mod scheduler;
mod semaphore_rate_limiter;
mod servers;
mod sliding_window;
mod sockets_by_hand;
mod sqlite_batch_insert;
mod sqlite_pool;
mod stdin_with_timeout;
mod subprocess_protocol;
mod support;
mod tcp_echo_server;
mod tls;
mod token_bucket;
mod ttl_cache;
mod udp_ping;
mod udp_server;
#[cfg(unix)]
mod unix_socket;
mod upload;
mod upload_server;
mod web_scraper;
mod websocket_server;
mod write_whole_file;
