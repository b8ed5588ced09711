//! Demonstrations of examples, each in the file of its example's name.

pub mod api_server;
pub mod async_sqlite;
pub mod background_services;
pub mod connection_limits;
pub mod download_to_file;
pub mod file_processor;
pub mod graceful_shutdown;
pub mod http_requests;
pub mod job_queue;
pub mod job_workers;
pub mod page_fetcher;
pub mod pagination;
pub mod resume_download;
pub mod run_subprocess;
pub mod scheduler;
pub mod servers;
pub mod sockets_by_hand;
pub mod sqlite_batch_insert;
pub mod sqlite_pool;
pub mod ttl_cache;
pub mod udp_ping;
pub mod unix_socket;
pub mod upload;
pub mod upload_server;
pub mod web_scraper;
pub mod write_whole_file;
