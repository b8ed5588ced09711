//! A runtime in a static, as a library keeps it.

use std::future::pending;
use std::io;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

fn runtime() -> io::Result<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = Builder::new_multi_thread().worker_threads(1).build()?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

#[test]
fn many_threads_use_one_runtime() {
    let threads: Vec<_> = (0..129)
        .map(|number| {
            thread::spawn(move || {
                let runtime = runtime().expect("it builds");
                let task = runtime.spawn(async move { number });
                runtime.block_on(task).expect("no panic")
            })
        })
        .collect();
    for (number, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().expect("no panic"), number);
    }
}

#[test]
fn a_timeout_inside_block_on_limits_the_wait() -> io::Result<()> {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_time().build()?;
    let endless = runtime.spawn(pending::<()>());
    let limit = Duration::from_millis(20);
    let waited = runtime.block_on(async { timeout(limit, endless).await });
    assert!(waited.is_err());
    Ok(())
}
