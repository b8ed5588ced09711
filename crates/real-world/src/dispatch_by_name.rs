//! Call an async function by its name, with arguments from JSON, as a worker does.
//!
//! A worker gets a name and arguments from a queue, and calls the function. Each
//! function takes the state and one argument, of any type that `serde` can read: a
//! struct for named arguments, a tuple for a list. So the types are checked before the
//! function runs, and the error says what was wrong. serde's attribute
//! `deny_unknown_fields` also refuses a misspelled name. The returned future borrows
//! nothing: spawn it, or give it to `job_workers`.
//!
//! Python often stores calls with `pickle`, which executes whatever the queue contains.
//! JSON contains only data. If a call fails, answer with the text of its error, not with
//! a pickled object.
//!
//! Bounds: Unbounded: The size of the arguments. Limit the text before you parse it.
//!
//! Trap: If you retry every failed call, a call with wrong arguments or an unknown name
//! fails forever. Retry only after `CallError::Failed`, the function's own error.
//!
//! See also: `job_workers`, `handlers_with_state`, `rpc_over_one_connection`.
//!
//! asyncio: async def, await
//! differs: Python checks the names of arguments and not their types

use std::collections::HashMap;
use std::error::Error;
use std::future::{Future, ready};

use futures::future::{BoxFuture, FutureExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

type Failure = Box<dyn Error + Send + Sync>;
type Called = BoxFuture<'static, Result<Value, CallError>>;
type Function<S> = Box<dyn Fn(S, Value) -> Called + Send + Sync>;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no function {0}")]
    Unknown(String),
    #[error("wrong arguments: {0}")]
    Arguments(serde_json::Error),
    /// The function's own error.
    #[error("{0}")]
    Failed(Failure),
    /// The result cannot become JSON, for example a map whose keys are not texts.
    #[error("its result is no JSON: {0}")]
    Result(serde_json::Error),
}

/// Functions by name. Each call gets a clone of the state, for example an `Arc`.
pub struct Functions<S> {
    state: S,
    functions: HashMap<String, Function<S>>,
}

impl<S: Clone> Functions<S> {
    /// Returns a table without functions.
    pub fn new(state: S) -> Self {
        let functions = HashMap::new();
        Self { state, functions }
    }

    /// Adds a function, or replaces that with the same name.
    pub fn add<F, Fut, A, R, E>(&mut self, name: impl Into<String>, function: F)
    where
        F: Fn(S, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        A: DeserializeOwned,
        R: Serialize,
        E: Into<Failure>,
    {
        let call = move |state: S, arguments: Value| -> Called {
            let called = match serde_json::from_value(arguments) {
                Ok(arguments) => function(state, arguments),
                Err(error) => return ready(Err(CallError::Arguments(error))).boxed(),
            };
            async move {
                let result = called
                    .await
                    .map_err(|error| CallError::Failed(error.into()))?;
                serde_json::to_value(result).map_err(CallError::Result)
            }
            .boxed()
        };
        self.functions.insert(name.into(), Box::new(call));
    }

    /// Calls a function. An error other than `Failed` means that it did not run, or that
    /// only its result was lost.
    ///
    /// # Panics
    ///
    /// If the function does, here or in the future.
    pub fn call(&self, name: &str, arguments: Value) -> Called {
        match self.functions.get(name) {
            Some(function) => function(self.state.clone(), arguments),
            None => ready(Err(CallError::Unknown(name.to_owned()))).boxed(),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Mail {
    to: String,
    #[serde(default)]
    copies: usize,
}

async fn send_mail(sender: &'static str, mail: Mail) -> Result<String, Failure> {
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    if !mail.to.contains('@') {
        return Err(format!("{} is no address", mail.to).into());
    }
    Ok(format!("{} to {}, from {sender}", mail.copies + 1, mail.to))
}

async fn add(_: &'static str, (left, right): (i64, i64)) -> Result<i64, Failure> {
    left.checked_add(right).ok_or_else(|| "too large".into())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut functions = Functions::new("Ann");
    functions.add("send_mail", send_mail);
    functions.add("add", add);

    for job in [
        r#"{"function": "send_mail", "arguments": {"to": "ben@example.org"}}"#,
        r#"{"function": "send_mail", "arguments": ["eve@example.org", 1]}"#,
        r#"{"function": "add", "arguments": [1, 2]}"#,
        r#"{"function": "send_mail", "arguments": {"to": "nobody"}}"#,
        r#"{"function": "send_mail", "arguments": {"copies": 2}}"#,
        r#"{"function": "send_mail", "arguments": {"to": "a@b", "cc": "c@d"}}"#,
        r#"{"function": "add", "arguments": [1, "two"]}"#,
        r#"{"function": "remove", "arguments": []}"#,
    ] {
        let mut job: Value = serde_json::from_str(job)?;
        let name = job["function"].as_str().unwrap_or_default().to_owned();
        match functions.call(&name, job["arguments"].take()).await {
            Ok(result) => println!("{name}: {result}"),
            Err(error) => println!("{name}: error: {error}"),
        }
    }
    Ok(())
}
