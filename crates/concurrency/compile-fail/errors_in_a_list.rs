//~ E0277 couldn't convert the error: `Vec<
//! `?` on a list of errors: choose one, or make an error of the list.
//!
//! example: first_success

use std::error::Error;

type Failure = Box<dyn Error + Send + Sync>;

async fn first_success(answers: [Result<u32, Failure>; 2]) -> Result<u32, Vec<Failure>> {
    let mut errors = Vec::new();
    for answer in answers {
        match answer {
            Ok(number) => return Ok(number),
            Err(error) => errors.push(error),
        }
    }
    Err(errors)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let answers = [Err("no answer".into()), Err("refused".into())];
    println!("{}", first_success(answers).await?);
    Ok(())
}
