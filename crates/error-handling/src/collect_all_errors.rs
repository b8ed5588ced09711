//! Collect all errors, not only the first: validate a form or a list and report them all.
//!
//! All checks run concurrently, and their results are examined when all have ended. A
//! `match` examines the results of fields of different types, and `all_or_errors` below
//! examines those of a list. The errors are a `Vec` in the order of the fields. Python
//! raises an `ExceptionGroup` instead.
//!
//! Trap: If you use `?`, which is like `raise`, you get only the first error: a user with
//! three mistakes needs three attempts. `collect` into a `Result<Vec<_>, _>` also keeps
//! only the first error. Use a `match` or `all_or_errors`.
//!
//! In production: The crate `garde` derives the checks of single fields from attributes
//! of the struct.
//!
//! See also: `task_group_errors`, `partial_success`, `gather_errors`.
//!
//! asyncio: asyncio.gather(return_exceptions=True), ExceptionGroup, except*, raise

use std::time::Duration;

use thiserror::Error;
use tokio::time::sleep;

/// Returns all values, or all errors, in the order of the results.
pub fn all_or_errors<T, E>(
    results: impl IntoIterator<Item = Result<T, E>>,
) -> Result<Vec<T>, Vec<E>> {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(values)
    } else {
        Err(errors)
    }
}

/// What is wrong with a field.
#[derive(Debug, Error)]
enum Invalid {
    #[error("the name {0} is taken")]
    NameTaken(String),
    #[error("{0} is not a number")]
    NotANumber(String),
}

/// Checks a name in a database.
async fn check_name(name: &str) -> Result<String, Invalid> {
    sleep(Duration::from_millis(200)).await;
    match name {
        "Ann" | "Joe" => Err(Invalid::NameTaken(name.to_string())),
        _ => Ok(name.to_string()),
    }
}

/// Checks an age with another service.
async fn check_age(age: &str) -> Result<u32, Invalid> {
    sleep(Duration::from_millis(100)).await;
    age.parse()
        .map_err(|_| Invalid::NotANumber(age.to_string()))
}

/// Returns the first mistake.
async fn first_mistake(name: &str, age: &str) -> Result<(String, u32), Vec<Invalid>> {
    let name = check_name(name).await.map_err(|error| vec![error])?;
    let age = check_age(age).await.map_err(|error| vec![error])?;
    Ok((name, age))
}

/// Returns all mistakes, in the order of the fields.
async fn all_mistakes(name: &str, age: &str) -> Result<(String, u32), Vec<Invalid>> {
    match tokio::join!(check_name(name), check_age(age)) {
        (Ok(name), Ok(age)) => Ok((name, age)),
        (name, age) => Err([name.err(), age.err()].into_iter().flatten().collect()),
    }
}

fn report<T>(result: Result<T, Vec<Invalid>>) {
    match result {
        Ok(_) => println!("valid"),
        Err(errors) => errors.iter().for_each(|error| println!("- {error}")),
    }
}

#[tokio::main]
async fn main() {
    println!("One mistake at a time:");
    report(first_mistake("Ann", "old").await);
    report(first_mistake("Anna", "old").await);

    println!("All mistakes at once:");
    report(all_mistakes("Ann", "old").await);
    report(all_mistakes("Anna", "18").await);

    println!("All mistakes in a list of names:");
    report(all_or_errors(
        futures::future::join_all(["Bob", "Joe", "Ann"].map(check_name)).await,
    ));
    report(all_or_errors(
        futures::future::join_all(["Bob", "Eve", "Dan"].map(check_name)).await,
    ));
}
