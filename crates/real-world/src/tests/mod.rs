//! Tests of the examples, each in the file of its example's name.

#[cfg(unix)]
mod all_servers;
mod any_input;
mod api_client;
mod api_server;
mod attacks;
mod async_sqlite;
mod axum_service;
mod background_services;
mod blocking_in_threads;
#[cfg(unix)]
mod changed_a_little;
mod chat_room;
mod client_disconnects;
mod close_a_connection;
mod connection_limits;
mod crlf_lines;
mod cron;
mod cron_peers;
mod dispatch_by_name;
mod download_to_file;
mod echo_server;
#[cfg(unix)]
mod ends;
mod fetch_urls;
mod file_processor;
mod graceful_shutdown;
#[cfg(unix)]
mod hostile;
mod http_requests;
mod http_server;
mod http_sync_vs_async;
mod https_server;
mod job_queue;
mod job_queue_peers;
mod job_workers;
mod job_workers_peers;
mod limiters;
mod line_protocol;
#[cfg(target_os = "linux")]
mod messages;
mod multipart_form;
mod no_limit;
mod page_fetcher;
mod pagination;
mod progress_bar;
mod protocols;
mod rate_limit_per_key;
mod rate_limit_per_key_peers;
#[cfg(target_os = "linux")]
mod real_peers;
#[cfg(unix)]
mod reload_config;
mod reconnecting_client;
mod request_handler;
mod resume_download;
mod robots_txt;
mod router;
mod rpc_over_one_connection;
#[cfg(target_os = "linux")]
mod run_subprocess;
mod scheduler;
mod scheduler_peers;
mod seams;
mod seams_at_the_stop;
mod semaphore_rate_limiter;
mod semaphore_rate_limiter_peers;
mod servers;
mod shutdown_in_three_steps;
mod sliding_window;
mod sliding_window_peers;
mod sockets_by_hand;
mod sqlite_batch_insert;
mod sqlite_fetchall;
mod sqlite_pool;
mod sqlite_pool_peers;
mod stdin_with_timeout;
mod streaming_responses;
mod subprocess_protocol;
#[path = "../../../../tools/harness/support.rs"]
mod support;
mod tcp_client;
mod tcp_echo_server;
mod tcp_proxy;
mod tls;
mod token_bucket;
mod ttl_cache;
mod ttl_cache_peers;
mod udp_ping;
mod udp_server;
#[cfg(unix)]
mod unix_socket;
#[cfg(target_os = "linux")]
mod unwrapped;
mod upload;
mod upload_server;
mod watch_files;
mod web_scraper;
mod websocket_server;
mod write_whole_file;

/// Lets this process open enough files for a thousand connections, of which each end is one.
/// On macOS the default is 256, for all tests of a section.
#[cfg(unix)]
fn allow_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.current.map(|current| current.max(4000));
    setrlimit(Resource::Nofile, limit).expect("the system allows it");
}

#[cfg(not(unix))]
fn allow_files() {}
