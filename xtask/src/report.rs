//! What a check shows: a progress bar on a terminal, failures as they come, a summary.

use std::fmt;
use std::io::{self, Write as _};

use console::Style;
use indicatif::{ProgressBar, ProgressStyle};

/// Something that is wrong, and what the reader can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `section/example`, or the path of a file.
    pub subject: String,
    /// In one line.
    pub problem: String,
    /// A diff, what went to standard error, or nothing.
    pub details: String,
    /// The command that runs it again.
    pub run_again: Option<String>,
    /// The command that makes what was printed the expected transcript.
    pub bless: Option<String>,
}

impl Failure {
    /// A failure that needs no more than one line.
    pub fn new(subject: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            problem: problem.into(),
            details: String::new(),
            run_again: None,
            bless: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (red, green) = (Style::new().red(), Style::new().green());
        writeln!(
            f,
            "{} {}: {}",
            red.apply_to("FAIL"),
            self.subject,
            self.problem
        )?;
        for line in self.details.lines() {
            match line.as_bytes().first() {
                Some(b'-') => writeln!(f, "    {}", red.apply_to(line))?,
                Some(b'+') => writeln!(f, "    {}", green.apply_to(line))?,
                _ => writeln!(f, "    {line}")?,
            }
        }
        if let Some(command) = &self.run_again {
            writeln!(f, "    run it again:  {command}")?;
        }
        if let Some(command) = &self.bless {
            writeln!(f, "    bless it:      {command}")?;
        }
        Ok(())
    }
}

/// Counts results and shows them as they come.
///
/// The bar goes to standard error and only to a terminal; everything else goes to
/// standard output.
#[derive(Debug)]
pub struct Report {
    bar: ProgressBar,
    passed: usize,
    failed: usize,
}

impl Report {
    /// For as many results as are expected.
    pub fn new(expected: usize) -> Self {
        let bar = ProgressBar::new(expected as u64);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg} {elapsed}")
        {
            bar.set_style(style);
        }
        Self {
            bar,
            passed: 0,
            failed: 0,
        }
    }

    /// Counts a success.
    pub fn pass(&mut self, subject: &str) {
        self.passed += 1;
        self.bar.set_message(subject.to_owned());
        self.bar.inc(1);
    }

    /// Counts a failure and shows it.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn fail(&mut self, failure: &Failure) -> io::Result<()> {
        self.failed += 1;
        self.bar.inc(1);
        self.show(&failure.to_string())
    }

    /// Shows text that is neither a success nor a failure.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn show(&self, text: &str) -> io::Result<()> {
        self.bar
            .suspend(|| io::stdout().lock().write_all(text.as_bytes()))
    }

    /// Ends the bar, shows the summary and the count, and returns whether nothing failed.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn finish(self, summary: &str) -> io::Result<bool> {
        self.bar.finish_and_clear();
        let (passed, failed) = (self.passed, self.failed);
        writeln!(io::stdout(), "{summary}\n{passed} passed, {failed} failed")?;
        Ok(failed == 0)
    }
}
