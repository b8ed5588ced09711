use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use futures::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::yield_now;

use super::support::soon;
use crate::dispatch_by_name::{CallError, Functions};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    from: String,
    cents: u32,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("account {0} is closed")]
struct Closed(String);

type Count = Arc<AtomicU32>;

async fn transfer(count: Count, transfer: Transfer) -> Result<u32, Closed> {
    count.fetch_add(1, SeqCst);
    yield_now().await;
    match transfer.note {
        None => Ok(transfer.cents),
        Some(_) => Err(Closed(transfer.from)),
    }
}

fn functions() -> (Count, Functions<Count>) {
    let count = Count::default();
    let mut functions = Functions::new(Arc::clone(&count));
    functions.add("transfer", transfer);
    functions.add("panic", |_: Count, (): ()| async {
        if true {
            panic!("in a function");
        }
        Ok::<(), Infallible>(())
    });
    functions.add("no_json", |_: Count, (): ()| async {
        Ok::<_, Infallible>(HashMap::from([((1, 2), 3)]))
    });
    (count, functions)
}

/// The function does not run, and the text names the argument or the type.
#[tokio::test]
async fn wrong_arguments_are_named_before_the_function_runs() {
    let (count, functions) = functions();
    for (arguments, words) in [
        (json!({"cents": 1}), "missing field `from`"),
        (json!({"from": "a", "cents": "1"}), "expected u32"),
        (json!({"from": "a", "cents": -1}), "integer `-1`"),
        (json!({"from": "a", "cents": 1.5}), "floating point `1.5`"),
        (
            json!({"from": "a", "cents": 1_u64 << 32}),
            "integer `4294967296`",
        ),
        (json!({"from": null, "cents": 1}), "expected a string"),
        (
            json!({"from": "a", "cents": 1, "amount": 2}),
            "unknown field `amount`",
        ),
        (json!(["a"]), "invalid length 1"),
        (json!(["a", 1, null, 4]), "expected fewer elements"),
        (json!([]), "invalid length 0"),
        (json!("a"), "expected struct Transfer"),
        (Value::Null, "expected struct Transfer"),
    ] {
        let error = functions
            .call("transfer", arguments)
            .await
            .expect_err("refused");
        assert!(matches!(error, CallError::Arguments(_)), "{error:?}");
        let said = error.to_string();
        assert!(
            said.starts_with("wrong arguments: ") && said.contains(words),
            "{said}"
        );
    }
    assert_eq!(count.load(SeqCst), 0);
}

#[tokio::test]
async fn names_and_places_of_arguments_are_the_same_call() {
    let (_, functions) = functions();
    for arguments in [
        json!({"cents": 7, "from": "a"}),
        json!({"cents": 7, "from": "a", "note": null}),
        json!(["a", 7, null]),
    ] {
        let result = functions.call("transfer", arguments).await;
        assert_eq!(result.expect("it is right"), json!(7));
    }
}

#[tokio::test]
async fn each_kind_of_error_is_told_apart() {
    let (_, functions) = functions();
    let call = |name, arguments| functions.call(name, arguments);
    for name in ["", "transfe", "Transfer", "transfer "] {
        let error = call(name, Value::Null).await.expect_err("there is none");
        assert!(matches!(error, CallError::Unknown(unknown) if unknown == name));
    }
    let arguments = json!(["a", 1, "thanks"]);
    let error = call("transfer", arguments).await.expect_err("closed");
    assert_eq!(error.to_string(), "account a is closed");
    let CallError::Failed(error) = error else {
        panic!("{error:?}");
    };
    assert!(error.is::<Closed>());
    let error = call("no_json", Value::Null)
        .await
        .expect_err("keys are pairs");
    assert!(matches!(error, CallError::Result(_)), "{error}");
}

/// The future owns all that it needs: it outlives the table, in a task.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_run_in_tasks_and_a_panic_ends_its_own_only() {
    for number in [0, 1, 31, 129, 1_000] {
        let (count, functions) = functions();
        let bug = tokio::spawn(functions.call("panic", Value::Null));
        let calls: Vec<_> = (0..number)
            .map(|cents| functions.call("transfer", json!(["a", cents, null])))
            .map(tokio::spawn)
            .collect();
        drop(functions);
        assert!(soon(bug).await.expect_err("a panic").is_panic());
        for (cents, called) in join_all(calls).await.into_iter().enumerate() {
            assert_eq!(called.expect("no panic").expect("no error"), json!(cents));
        }
        assert_eq!(count.load(SeqCst), number);
    }
}

#[tokio::test]
async fn a_later_function_replaces_the_one_of_its_name() {
    let (count, mut functions) = functions();
    let other = async |_, (): ()| Ok::<_, Infallible>("other");
    functions.add("transfer", other);
    let result = functions.call("transfer", Value::Null).await;
    assert_eq!(result.expect("it answers"), json!("other"));
    assert_eq!(count.load(SeqCst), 0);
}
