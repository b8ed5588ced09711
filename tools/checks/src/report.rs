//! What a check shows: progress on a terminal, failures as they come, a summary.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use catalog::report::Failure;

/// Counts results and shows them as they come.
///
/// Progress goes to standard error and only to a terminal; everything else goes to
/// standard output.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failed: usize,
}

impl Report {
    /// Counts a success, or a failure and shows it.
    pub fn count(&mut self, subject: &str, result: Result<(), Failure>) -> Result<()> {
        match result {
            Ok(()) => {
                self.passed += 1;
                let (done, failed) = (self.passed + self.failed, self.failed);
                last_line(&format!("{done} done, {failed} failed  {subject}"))
            }
            Err(failure) => {
                self.failed += 1;
                self.show(&failure.to_string())
            }
        }
    }

    /// Shows text that is neither a success nor a failure.
    pub fn show(&self, text: &str) -> Result<()> {
        last_line("")?;
        Ok(anstream::stdout().write_all(text.as_bytes())?)
    }

    /// Shows the summary and the count, and returns the exit code. What has judged nothing has
    /// failed.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn finish(self, summary: &str) -> Result<ExitCode> {
        let (passed, failed) = (self.passed, self.failed);
        self.show(&format!("{summary}\n{passed} passed, {failed} failed\n"))?;
        Ok(match (passed, failed) {
            (1.., 0) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

/// Shows progress, if standard error is a terminal.
fn last_line(text: &str) -> Result<()> {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        write!(stderr, "\r\x1b[2K{text}")?;
    }
    Ok(())
}
