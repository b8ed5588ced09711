//! What a check shows: progress on a terminal, failures as they come, a summary.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use anyhow::Result;

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

    /// The same, with a diff or what went to standard error.
    pub fn with(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// The same, with one thing more to do next.
    pub fn then(mut self, what: &'static str, how: &str) -> Self {
        self.next.push((what, how.to_owned()));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (red, green) = (AnsiColor::Red.on_default(), AnsiColor::Green.on_default());
        writeln!(f, "{red}FAIL{red:#} {}: {}", self.subject, self.problem)?;
        for line in self.details.lines() {
            let style = match line.as_bytes().first() {
                Some(b'-') => red,
                Some(b'+') => green,
                _ => Style::new(),
            };
            writeln!(f, "    {style}{line}{style:#}")?;
        }
        for (what, how) in &self.next {
            writeln!(f, "    {:<14} {how}", format!("{what}:"))?;
        }
        Ok(())
    }
}

/// Counts results and shows them as they come.
///
/// Progress goes to standard error and only to a terminal; everything else goes to
/// standard output.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failed: usize,
    not_judged: usize,
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

    /// Counts a program that failed only while the machine was busy, and shows how.
    pub fn not_judged(&mut self, mut failure: Failure) -> Result<()> {
        self.not_judged += 1;
        failure
            .problem
            .insert_str(0, "not judged, as the machine was busy: ");
        self.show(&failure.to_string().replacen("FAIL", "BUSY", 1))
    }

    /// Shows text that is neither a success nor a failure.
    pub fn show(&self, text: &str) -> Result<()> {
        last_line("")?;
        Ok(anstream::stdout().write_all(text.as_bytes())?)
    }

    /// Shows the summary and the count.
    pub fn finish(self, summary: &str) -> Result<Outcome> {
        let (passed, failed) = (self.passed, self.failed);
        let mut text = format!("{summary}\n");
        if self.not_judged > 0 {
            let programs = counted(self.not_judged, "program");
            text += &format!("{programs} not judged, as the machine was busy\n");
        }
        self.show(&format!("{text}{passed} passed, {failed} failed\n"))?;
        Ok(match (self.failed, self.not_judged) {
            (0, 0) => Outcome::Passed,
            (0, _) => Outcome::NotJudged,
            _ => Outcome::Failed,
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

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Passed,
    /// Something is wrong.
    Failed,
    /// Nothing is known to be wrong, but the machine was too busy to judge all programs.
    NotJudged,
}

/// `1 run`, `2 runs`.
pub fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
