//! HTTP, scraping, SQLite, servers, services, limits, files, caches: the section's
//! examples, in reading order.

#[macro_use(println)]
extern crate harness as tokio;

// HTTP clients
mod fetch_urls;
mod http_requests;
mod api_client;
mod http_sync_vs_async;
mod page_fetcher;
mod pagination;
mod connection_limits;
mod download_to_file;
mod progress_bar;
mod resume_download;
mod upload;
mod upload_server;

// Rate limits
mod token_bucket;
mod sliding_window;
mod semaphore_rate_limiter;
mod rate_limit_per_key;

// SQLite
mod sqlite_fetchall;
mod async_sqlite;
mod sqlite_batch_insert;
mod sqlite_pool;
mod job_queue;
mod job_workers;

// TCP
mod echo_server;
mod tcp_client;
mod tcp_echo_server;
mod close_a_connection;
mod tcp_proxy;
mod servers;
mod line_protocol;
mod crlf_lines;
mod protocols;

// Other sockets
mod unix_socket;
mod udp_server;
mod udp_ping;
mod sockets_by_hand;

// Long-lived connections
mod rpc_over_one_connection;
mod reconnecting_client;

// Servers
mod tls;
mod chat_room;
mod websocket_server;

// HTTP servers
mod request_handler;
mod router;
mod axum_service;
mod multipart_form;
mod streaming_responses;
mod client_disconnects;
mod http_server;
mod https_server;
mod api_server;

// Services
mod scheduler;
mod cron;
mod background_services;
mod shutdown_in_three_steps;
mod graceful_shutdown;
mod reload_config;
mod dispatch_by_name;

// Processes and files
mod run_subprocess;
mod subprocess_protocol;
mod stdin_with_timeout;
mod blocking_in_threads;
mod write_whole_file;
mod file_processor;
mod watch_files;

// Applications
mod ttl_cache;
mod robots_txt;
mod web_scraper;

mod demos;
#[cfg(test)]
mod tests;

harness::section!();
