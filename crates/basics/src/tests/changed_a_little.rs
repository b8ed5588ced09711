//! The changes that readers make first, tried on the public items: into a struct that is
//! shared and printed, into a spawned task, an error type of one's own, generic, and one
//! item more. Nothing runs here: the check is that it compiles.
#![expect(dead_code, reason = "it only has to compile")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};

use crate::async_functions::{self, start};
use crate::borrow_or_spawn::Client;
use crate::boxed_futures::{Handler, handler};
use crate::done_callbacks::add_done_callback;
use crate::drop_a_join_set::{join_or_drop, join_or_shut_down};
use crate::dyn_async_trait::{Fetch, fetch_from};
use crate::recursion::{Folder, total_size};
use crate::replies_by_number::{Call, Calls, Lost};
use crate::scheduled_callbacks::{TimerHandle, call_later, call_soon};
use crate::spawn_from_a_thread::look_up_from_thread;
use crate::task_locals::{spawn_blocking_with_id, spawn_with_id};

static CALLS: LazyLock<Arc<Calls<String>>> = LazyLock::new(Arc::default);

#[derive(Debug)]
struct App {
    calls: Arc<Calls<Result<String, AppError>>>,
    waiting: Vec<Call<Result<String, AppError>>>,
    timers: HashMap<String, TimerHandle>,
    soon: AbortHandle,
}

struct Tables {
    handlers: HashMap<String, Handler>,
    sources: Vec<Box<dyn Fetch>>,
    client: Arc<Client>,
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("a task has ended")]
    Task(#[from] JoinError),
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error(transparent)]
    Other(#[from] Box<dyn Error + Send + Sync>),
}

impl App {
    async fn ask(&self) -> Result<String, AppError> {
        let (number, call) = self.calls.start();
        let reply = Err(AppError::Lost(Lost));
        self.calls
            .reply(number, reply)
            .or_else(|unused| unused.map(drop))?;
        call.await?
    }

    fn later(&mut self, name: &str) {
        let calls = Arc::clone(&self.calls);
        let timer = call_later(Duration::from_secs(1), move || calls.fail_all());
        if let Some(earlier) = self.timers.insert(name.to_owned(), timer) {
            earlier.cancel();
        }
        self.soon = call_soon(|| CALLS.fail_all());
    }
}

/// Has a state, and is one more source.
struct Pages(u32);

impl Fetch for Pages {
    fn fetch<'a>(&'a self, _page: &'a str) -> BoxFuture<'a, String> {
        Box::pin(async { self.0.to_string() })
    }
}

impl async_functions::Fetch for Pages {
    async fn fetch(&mut self) -> String {
        self.0 += 1;
        Fetch::fetch(self, "A page").await
    }
}

fn spawn_methods(mut app: App, mut tables: Tables) {
    tables.sources.push(Box::new(Pages(1)));
    let limit = Arc::new(7);
    let limited = handler(move |x, _| {
        let limit = Arc::clone(&limit);
        async move { Ok(x.min(*limit)) }
    });
    tables.handlers.insert("limited".to_owned(), limited);
    let tables = Arc::new(tables);
    tokio::spawn(async move {
        app.later("later");
        app.ask().await?;
        fetch_from(&tables.sources, "A page").await;
        if let Some(handler) = tables.handlers.get("limited") {
            anyhow::ensure!(handler(1, 2).await.is_ok(), "the limit");
        }
        tables.client.show_all(&[]).await;
        tables.client.start_all(&[]).join_all().await;
        Ok(())
    });
}

fn spawn_functions(task: JoinHandle<u32>, folder: Folder) {
    tokio::spawn(async move {
        add_done_callback(task, drop).await?;
        spawn_with_id(async move { total_size(&folder).await.is_ok() }).await?;
        spawn_blocking_with_id(|| 1).await?;
        start(Pages(1)).await?;
        Ok::<_, AppError>(())
    });
}

fn spawn_sets(mut tasks: JoinSet<Result<(), AppError>>, handle: Handle) {
    tokio::spawn(async move {
        tasks.spawn(async { Err(Lost.into()) });
        join_or_drop(tasks).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async { anyhow::bail!("no page") });
        join_or_shut_down(tasks).await?;
        Ok::<_, AppError>(())
    });
    std::thread::spawn(move || {
        let name = look_up_from_thread(&handle, 1);
        anyhow::Ok(name.map_err(anyhow::Error::from_boxed)?)
    });
}

async fn logged<T, F>(name: &'static str, call: F) -> Result<T, JoinError>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    spawn_with_id(async move {
        call_soon(move || println!("{name}"));
        call.await
    })
    .await
}

async fn ask<T>(calls: &Arc<Calls<T>>, send: impl AsyncFnOnce(u64)) -> Result<T, Lost> {
    let (number, call) = calls.start();
    send(number).await;
    call.await
}
