//! What is wrong, in the form in which everybody tells it.

use std::fmt;

use anstyle::{AnsiColor, Style};

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
}

impl Failure {
    /// A failure that needs no more than one line.
    pub fn new(subject: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            problem: problem.into(),
            details: String::new(),
            next: Vec::new(),
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

/// `1 run`, `2 runs`.
pub fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
