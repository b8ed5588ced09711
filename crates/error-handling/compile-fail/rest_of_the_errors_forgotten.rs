//~ unused_must_use unused `Result` that must be used
//! One kind of errors is handled, and the others are forgotten.
//!
//! example: task_group_errors

#![deny(unused_must_use)]

struct ErrorGroup<E>(Vec<E>);

impl<E> ErrorGroup<E> {
    fn check(errors: Vec<E>) -> Result<(), Self> {
        if errors.is_empty() {
            return Ok(());
        }
        Err(Self(errors))
    }

    fn except(
        self,
        is_of_the_kind: impl FnMut(&E) -> bool,
        handle: impl FnOnce(Vec<E>),
    ) -> Result<(), Self> {
        let (caught, rest) = self.0.into_iter().partition::<Vec<E>, _>(is_of_the_kind);
        if !caught.is_empty() {
            handle(caught);
        }
        Self::check(rest)
    }
}

#[tokio::main]
async fn main() {
    let errors = ErrorGroup(vec!["no page", "disk full"]);
    errors.except(|error| *error == "no page", |_| println!("go without"));
}
