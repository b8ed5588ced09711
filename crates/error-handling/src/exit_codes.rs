//! Exit codes of an async program: return an error or an ExitCode from main.
//!
//! If `main` returns an error, the exit code is 1, and `{:?}` prints the error, as `repr`
//! would. For another text or code, print the error and return an `ExitCode`, as with
//! `sys.exit(code)`. In both cases, all values of `main` and of its tasks are dropped.
//!
//! Try `cargo run -p error-handling -- exit_codes -- exit; echo $?`. The argument `exit`
//! chooses how the program ends. In its place, try `code` and `error`.
//!
//! Trap: If you call `std::process::exit`, nothing is dropped, neither in `main` nor in
//! a task. It is like `os._exit`, not like `sys.exit`. Return an `ExitCode` from `main`
//! instead.
//!
//! See also: `async_main_with_args`, `error_context`.
//!
//! asyncio: sys.exit, os._exit, asyncio.run, SystemExit

use std::fmt;
use std::time::Duration;

use tokio::time::sleep;

#[derive(Debug)]
pub enum Failure {
    NoPage(String),
    Unavailable,
}

impl Failure {
    /// Returns the exit code of this failure, from the list `sysexits`. 0 is success, 1
    /// any failure, and 2 often a usage error.
    pub fn code(&self) -> u8 {
        match self {
            Self::NoPage(_) => 66,
            Self::Unavailable => 69,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPage(page) => write!(f, "there is no page {page}"),
            Self::Unavailable => f.write_str("the service is unavailable"),
        }
    }
}

impl std::error::Error for Failure {}

/// Prints when it is dropped.
struct Journal(&'static str);

impl Drop for Journal {
    fn drop(&mut self) {
        println!("The journal of {} is written", self.0);
    }
}

async fn fetch(page: &str) -> Result<String, Failure> {
    sleep(Duration::from_millis(100)).await;
    match page {
        "home" => Ok(String::from("Welcome")),
        "news" => Err(Failure::Unavailable),
        _ => Err(Failure::NoPage(page.to_owned())),
    }
}

/// Runs the program. Its argument says how it ends.
#[tokio::main]
async fn main() -> Result<std::process::ExitCode, Failure> {
    let way = std::env::args().nth(1);
    let _journal = Journal("main");
    tokio::spawn(async {
        let _journal = Journal("a task");
        std::future::pending::<()>().await;
    });

    println!("The code of each failure:");
    for page in ["home", "news", "attic"] {
        match fetch(page).await {
            Ok(text) => println!("{page}: 0, {text}"),
            Err(failure) => println!("{page}: {}, {failure}", failure.code()),
        }
    }

    println!("The program fails:");
    let Err(failure) = fetch("attic").await else {
        return Ok(std::process::ExitCode::SUCCESS);
    };
    match way.as_deref() {
        Some("code") => {
            eprintln!("{failure}");
            Ok(std::process::ExitCode::from(failure.code()))
        }
        Some("exit") => {
            eprintln!("{failure}");
            std::process::exit(failure.code().into())
        }
        // `fetch("attic").await?` does the same.
        _ => Err(failure),
    }
}

//@ exit: 1 NoPage
