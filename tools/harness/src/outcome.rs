use std::fmt::Debug;
use std::process::ExitCode;

/// What an example's `main` or `run` may return: `()`, an `ExitCode`, or a `Result` of
/// these.
pub trait Outcome {
    /// The code to exit with.
    ///
    /// # Errors
    ///
    /// The `Debug` text of the example's own error, which is what a program prints whose
    /// `main` returns it.
    fn into_result(self) -> Result<ExitCode, String>;
}

impl Outcome for () {
    fn into_result(self) -> Result<ExitCode, String> {
        Ok(ExitCode::SUCCESS)
    }
}

impl Outcome for ExitCode {
    fn into_result(self) -> Result<ExitCode, String> {
        Ok(self)
    }
}

impl<T: Outcome, E: Debug> Outcome for Result<T, E> {
    fn into_result(self) -> Result<ExitCode, String> {
        self.map_err(|error| format!("{error:?}"))?.into_result()
    }
}
