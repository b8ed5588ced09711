use std::fmt::Debug;

/// What an example's `main` or `run` may return: `()` or a `Result`.
pub trait Outcome {
    /// The message to report, or nothing to report.
    ///
    /// # Errors
    ///
    /// The `Debug` text of the example's own error, which is what a program prints whose
    /// `main` returns it.
    fn into_result(self) -> Result<(), String>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Debug> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| format!("{error:?}"))
    }
}
