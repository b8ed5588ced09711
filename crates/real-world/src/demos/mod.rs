//! Demonstrations of examples, each in the file of its example's name.

pub mod job_queue;
pub mod job_workers;
pub mod pagination;
pub mod sqlite_batch_insert;
pub mod web_scraper;
