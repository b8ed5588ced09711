//! A table of async handlers that share state, such as the commands of a bot.
//!
//! Each handler gets an `Arc` of the state, so the handler's future owns all that it uses
//! and may be spawned. `Handler`, the trait of this file, has one method, `call`, which
//! returns this future in a box. An async function that takes the state and a text is a
//! handler without further code. A struct, which may have its own data, implements
//! `Handler`. Without shared state, boxed closures are enough: see `boxed_futures`.
//!
//! Trap: If a handler takes the state (here a `List`) as `&List`, the compiler reports
//! "type mismatch in function arguments", because the handler's future would borrow from
//! the caller. Pass an `Arc`.
//!
//! Trap: If you write a handler as a closure without types, the compiler reports "type
//! annotations needed". Write the types of its parameters:
//! `|list: Arc<List>, text: String| async move { .. }`.
//!
//! See also: `boxed_futures`, `dyn_async_trait`, `share_state`, `router`.
//!
//! asyncio: async def, await, asyncio.gather

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use tokio::sync::Mutex;
use tokio::time::sleep;

/// The state that all handlers share.
pub type List = Mutex<Vec<String>>;

type Answer = Result<String, String>;

/// Answers a command. A struct implements it; an async function does already.
pub trait Handler: Send + Sync {
    /// Returns a future that borrows neither the handler nor the arguments.
    fn call(&self, list: Arc<List>, text: String) -> BoxFuture<'static, Answer>;
}

impl<F, Fut> Handler for F
where
    F: Fn(Arc<List>, String) -> Fut + Send + Sync,
    Fut: Future<Output = Answer> + Send + 'static,
{
    fn call(&self, list: Arc<List>, text: String) -> BoxFuture<'static, Answer> {
        self(list, text).boxed()
    }
}

/// The handlers by command, and their state.
#[derive(Default)]
pub struct Commands {
    list: Arc<List>,
    handlers: HashMap<&'static str, Box<dyn Handler>>,
}

impl Commands {
    /// Sets the handler of a command.
    pub fn on(&mut self, command: &'static str, handler: impl Handler + 'static) {
        self.handlers.insert(command, Box::new(handler));
    }

    /// Runs the handler of a line such as "add milk".
    ///
    /// # Errors
    ///
    /// The handler's error, or that there is none for this command.
    pub async fn run(&self, line: &str) -> Answer {
        let (command, text) = line.split_once(' ').unwrap_or((line, ""));
        let handler = self.handlers.get(command);
        let handler = handler.ok_or_else(|| format!("no command {command}"))?;
        handler.call(Arc::clone(&self.list), text.to_owned()).await
    }
}

async fn add(list: Arc<List>, item: String) -> Answer {
    sleep(Duration::from_millis(100)).await;
    let mut list = list.lock().await;
    list.push(item);
    Ok(format!("{} on the list", list.len()))
}

async fn show(list: Arc<List>, _: String) -> Answer {
    Ok(list.lock().await.join(", "))
}

/// A handler with its own data. It also gets the state that all handlers share.
struct Buy {
    money: usize,
}

impl Handler for Buy {
    fn call(&self, list: Arc<List>, _: String) -> BoxFuture<'static, Answer> {
        let money = self.money;
        async move {
            let mut list = list.lock().await;
            if list.len() > money {
                return Err(format!("there is money for {money}"));
            }
            Ok(format!("bought {}", std::mem::take(&mut *list).len()))
        }
        .boxed()
    }
}

#[tokio::main]
async fn main() {
    let mut commands = Commands::default();
    commands.on("add", add);
    commands.on("show", show);
    commands.on("buy", Buy { money: 1 });
    commands.on("clear", |list: Arc<List>, _: String| async move {
        list.lock().await.clear();
        Ok("cleared".to_owned())
    });

    println!("Two commands at the same time:");
    // for answer in await asyncio.gather(commands.run("add milk"), ...):
    let lines = ["add milk", "add tea"];
    for answer in futures::future::join_all(lines.map(|line| commands.run(line))).await {
        println!(
            "{}",
            answer.unwrap_or_else(|error| format!("Error: {error}"))
        );
    }

    println!("One after another:");
    for line in ["show", "buy", "sell", "clear", "add jam", "buy"] {
        let answer = commands.run(line).await;
        println!(
            "{}",
            answer.unwrap_or_else(|error| format!("Error: {error}"))
        );
    }
}
