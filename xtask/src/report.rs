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
    /// What to do next: each a word or two, and the command or advice.
    pub next: Vec<(&'static str, String)>,
    /// Whether nothing is wrong but that it took too long, which may be the machine's
    /// doing.
    pub late: bool,
}

impl Failure {
    /// A failure that needs no more than one line.
    pub fn new(subject: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            problem: problem.into(),
            details: String::new(),
            next: Vec::new(),
            late: false,
        }
    }

    /// The same, with one thing more to do next.
    pub fn then(mut self, what: &'static str, how: &str) -> Self {
        self.next.push((what, how.to_owned()));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (red, green) = (Style::new().red(), Style::new().green());
        let fail = red.apply_to("FAIL");
        writeln!(f, "{fail} {}: {}", self.subject, self.problem)?;
        for line in self.details.lines() {
            match line.as_bytes().first() {
                Some(b'-') => writeln!(f, "    {}", red.apply_to(line))?,
                Some(b'+') => writeln!(f, "    {}", green.apply_to(line))?,
                _ => writeln!(f, "    {line}")?,
            }
        }
        for (what, how) in &self.next {
            writeln!(f, "    {:<14} {how}", format!("{what}:"))?;
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
        let template = "{bar:30} {pos}/{len} {wide_msg} {elapsed}";
        bar.set_style(ProgressStyle::with_template(template).expect("it is well-formed"));
        Self {
            bar,
            passed: 0,
            failed: 0,
        }
    }

    /// Counts a success, or a failure and shows it.
    pub fn count(
        &mut self,
        subject: &str,
        result: Result<(), Failure>,
    ) -> io::Result<()> {
        self.bar.set_message(subject.to_owned());
        self.bar.inc(1);
        let Err(failure) = result else {
            self.passed += 1;
            return Ok(());
        };
        self.failed += 1;
        self.show(&failure.to_string())
    }

    /// Shows text that is neither a success nor a failure.
    pub fn show(&self, text: &str) -> io::Result<()> {
        self.bar
            .suspend(|| io::stdout().lock().write_all(text.as_bytes()))
    }

    /// Ends the bar, shows the summary and the count, and returns whether nothing failed.
    pub fn finish(self, summary: &str) -> io::Result<bool> {
        self.bar.finish_and_clear();
        let (passed, failed) = (self.passed, self.failed);
        writeln!(io::stdout(), "{summary}\n{passed} passed, {failed} failed")?;
        Ok(failed == 0)
    }
}

/// `1 run`, `2 runs`.
pub fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
