//! Catch an error: `try`, `except` and `finally` as one `match`.
//!
//! An async function that may fail returns a `Result`. A `match` on the `Result` takes
//! the place of `try`: the arm `Err` is `except`. The line after the `match` is
//! `finally`, as long as no arm contains `return` or `?`.
//!
//! A `match` catches no panic. A panic is a bug in the program, such as an index out of
//! range or an `unwrap` of an error. For several kinds of errors, a default value, and a
//! clean-up that a `?` does not skip, see the example `try_except`.
//!
//! See also: `try_except`, `propagate_with_question_mark`, `panic_in_a_task`.
//!
//! asyncio: try, except, finally

use std::num::ParseIntError;
use std::time::Duration;

use tokio::time::sleep;

/// Returns the number, or an error if the text is no number.
pub async fn risky_operation(text: &str) -> Result<u32, ParseIntError> {
    sleep(Duration::from_secs(1)).await;
    text.parse()
}

#[tokio::main]
async fn main() {
    for text in ["7", "seven"] {
        match risky_operation(text).await {
            Ok(number) => println!("Got {number}"),
            // except ValueError as error:
            Err(error) => println!("Caught error: {error}"),
        }
        // finally:
        println!("Cleanup");
    }
}
