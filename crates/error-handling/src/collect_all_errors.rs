//! Collect all errors, not only the first: validate a form or a list and report it all.
//!
//! All checks run concurrently, and the results are examined afterwards: a `match` for
//! fields of different types, `all_or_errors` for a list. The errors come in the order of
//! the fields. They are a `Vec`, where Python raises an `ExceptionGroup`.
//!
//! Trap: `?`, like `raise`, returns the first error, so a user with three mistakes needs
//! three attempts. `collect` into a `Result<Vec<_>, _>` does the same to a list.
//!
//! In production: `garde` derives the checks of single fields from attributes.
//!
//! See also: `task_group_errors`, `partial_success`, `gather_errors`.
//!
//! asyncio: asyncio.gather(return_exceptions=True), ExceptionGroup, except*, raise

use std::time::Duration;

use futures::future::join_all;
use thiserror::Error;
use tokio::join;
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

const ADULT: u32 = 18;

/// What is wrong with a field.
#[derive(Debug, Error)]
pub enum Invalid {
    #[error("the name {0} is taken")]
    NameTaken(String),
    #[error("{0} is not an address")]
    NoAddress(String),
    #[error("{0} is not a number")]
    NoNumber(String),
    #[error("{0} is below {ADULT}")]
    TooYoung(u32),
}

/// The input of a user.
pub struct Form {
    name: &'static str,
    address: &'static str,
    age: &'static str,
}

/// A form without mistakes.
#[derive(Debug)]
pub struct User {
    name: String,
    address: String,
    age: u32,
}

/// Asks a database.
async fn check_name(name: &str) -> Result<String, Invalid> {
    sleep(Duration::from_millis(200)).await;
    match name {
        "Ann" | "Joe" => Err(Invalid::NameTaken(name.to_string())),
        _ => Ok(name.to_string()),
    }
}

/// Asks another service.
async fn check_address(address: &str) -> Result<String, Invalid> {
    sleep(Duration::from_millis(100)).await;
    if !address.contains('@') {
        return Err(Invalid::NoAddress(address.to_string()));
    }
    Ok(address.to_string())
}

fn check_age(age: &str) -> Result<u32, Invalid> {
    match age.parse() {
        Ok(age @ ADULT..) => Ok(age),
        Ok(age) => Err(Invalid::TooYoung(age)),
        Err(_) => Err(Invalid::NoNumber(age.to_string())),
    }
}

/// Returns the first mistake.
async fn check_until_error(form: &Form) -> Result<User, Invalid> {
    Ok(User {
        name: check_name(form.name).await?,
        address: check_address(form.address).await?,
        age: check_age(form.age)?,
    })
}

/// Returns all mistakes, in the order of the fields.
pub async fn check(form: &Form) -> Result<User, Vec<Invalid>> {
    let (name, address) = join!(check_name(form.name), check_address(form.address));
    match (name, address, check_age(form.age)) {
        (Ok(name), Ok(address), Ok(age)) => Ok(User { name, address, age }),
        (name, address, age) => {
            let errors = [name.err(), address.err(), age.err()];
            Err(errors.into_iter().flatten().collect())
        }
    }
}

fn print_errors(errors: &[Invalid]) {
    for error in errors {
        println!("- {error}");
    }
}

fn report(result: Result<User, Vec<Invalid>>) {
    match result {
        Ok(User { name, address, age }) => println!("{name}, {address}, {age}"),
        Err(errors) => print_errors(&errors),
    }
}

pub async fn run() {
    let (name, address, age) = ("Ann", "at home", "old");

    println!("One mistake at a time:");
    for name in ["Ann", "Anna"] {
        let form = Form { name, address, age };
        let result = check_until_error(&form).await;
        report(result.map_err(|error| vec![error]));
    }

    println!("All mistakes at once:");
    report(check(&Form { name, address, age }).await);

    println!("Corrected, the age twice:");
    for age in ["17", "18"] {
        let (name, address) = ("Anna", "anna@home");
        report(check(&Form { name, address, age }).await);
    }

    println!("A list of names, and the first mistake in it:");
    let names = ["Bob", "Joe", "Eve", "Ann"];
    let results = join_all(names.map(check_name)).await;
    match results.into_iter().collect::<Result<Vec<_>, _>>() {
        Ok(names) => println!("all free: {}", names.join(", ")),
        Err(error) => print_errors(&[error]),
    }

    println!("All mistakes in it:");
    match all_or_errors(join_all(names.map(check_name)).await) {
        Ok(names) => println!("all free: {}", names.join(", ")),
        Err(errors) => print_errors(&errors),
    }

    println!("Without them:");
    match all_or_errors(join_all(["Bob", "Eve"].map(check_name)).await) {
        Ok(names) => println!("all free: {}", names.join(", ")),
        Err(errors) => print_errors(&errors),
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
