//! Transcripts: the lines that an example prints, each with its time.

use std::fmt;
use std::time::Duration;

use similar::TextDiff;

/// A printed line: milliseconds since the example's start, and the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since the start, rounded down.
    pub millis: u64,
    /// The text without the time.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3}.{:03}", self.millis / 1000, self.millis % 1000)?;
        if self.text.is_empty() {
            return Ok(());
        }
        write!(f, "  {}", self.text)
    }
}

/// All lines of an example; its `Display` is the form of the goldens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// In the order in which they were printed.
    pub lines: Vec<Line>,
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Transcript {
    /// Reads a golden.
    ///
    /// # Errors
    ///
    /// A message with the number of the first line that is not of the golden's form, or
    /// that is earlier than the line before it.
    pub fn parse_golden(golden: &str) -> Result<Self, String> {
        let mut lines: Vec<Line> = Vec::new();
        for (index, text) in golden.lines().enumerate() {
            let number = index + 1;
            let line = parse_golden_line(text)
                .filter(|line| line.to_string() == text)
                .ok_or_else(|| {
                    format!("line {number} is not `SECONDS  TEXT`: `{text}`")
                })?;
            if lines
                .last()
                .is_some_and(|before| line.millis < before.millis)
            {
                return Err(format!("line {number} is earlier than the one before it"));
            }
            lines.push(line);
        }
        if !golden.is_empty() && !golden.ends_with('\n') {
            return Err("the last line does not end".to_owned());
        }
        Ok(Self { lines })
    }

    /// What a program has to print on the virtual clock: the same lines, in the same
    /// order, at the same times.
    ///
    /// # Errors
    ///
    /// A diff from this golden to what was printed.
    pub fn match_exactly(&self, actual: &Self) -> Result<(), String> {
        if self == actual {
            return Ok(());
        }
        Err(diff(&self.to_string(), &actual.to_string()))
    }

    /// What a program has to print on the real clock: the lines that share a time form a
    /// group; groups come in order, lines within a group in any order; no line is early,
    /// and none is more than `slack` late.
    ///
    /// # Errors
    ///
    /// A diff in which the lines that are right stand as in the golden.
    pub fn match_loosely(&self, actual: &Self, slack: Duration) -> Result<(), String> {
        let slack = u64::try_from(slack.as_millis()).unwrap_or(u64::MAX);
        let mut aligned = Self::default();
        let mut rest = actual.lines.as_slice();
        for group in self.lines.chunk_by(|a, b| a.millis == b.millis) {
            let (chunk, behind) = rest.split_at(group.len().min(rest.len()));
            rest = behind;
            let mut unmatched: Vec<&Line> = chunk.iter().collect();
            for line in group {
                let times = line.millis..=line.millis.saturating_add(slack);
                let found = unmatched.iter().position(|printed| {
                    printed.text == line.text && times.contains(&printed.millis)
                });
                if let Some(found) = found {
                    unmatched.remove(found);
                    aligned.lines.push(line.clone());
                }
            }
            aligned.lines.extend(unmatched.into_iter().cloned());
        }
        aligned.lines.extend_from_slice(rest);
        self.match_exactly(&aligned)
    }

    /// As [`match_loosely`](Self::match_loosely), but of the text alone, for a program
    /// that prints no times.
    ///
    /// # Errors
    ///
    /// A diff of the text.
    pub fn match_text(&self, printed: &str) -> Result<(), String> {
        let mut times = self.lines.iter().map(|line| line.millis);
        let mut last = 0;
        let lines = printed.lines().map(|text| {
            last = times.next().unwrap_or(last);
            Line {
                millis: last,
                text: text.to_owned(),
            }
        });
        self.match_loosely(
            &Self {
                lines: lines.collect(),
            },
            Duration::ZERO,
        )
    }
}

fn parse_golden_line(text: &str) -> Option<Line> {
    let (time, text) = match text.trim_start().split_once("  ") {
        Some((time, text)) => (time, text),
        None => (text.trim_start(), ""),
    };
    Some(Line {
        millis: parse_seconds(time)?,
        text: text.to_owned(),
    })
}

/// Reads `1.250` as 1250.
fn parse_seconds(seconds: &str) -> Option<u64> {
    let (whole, millis) = seconds.split_once('.')?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if millis.len() != 3 || !digits(millis) || !digits(whole) {
        return None;
    }
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(millis.parse().ok()?)
}

/// What an example printed in the form for programs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recording {
    /// The lines, without their task ids.
    pub transcript: Transcript,
    /// When the example ended, or nothing if it did not come to its end.
    pub ended: Option<Duration>,
}

impl Recording {
    /// Reads the output of `--tsv` for one example.
    ///
    /// # Errors
    ///
    /// A message that shows the first line that the runner did not write.
    pub fn parse(name: &str, stdout: &str) -> Result<Self, String> {
        let mut recording = Self::default();
        let mut lines = stdout.lines();
        match lines.next() {
            None => return Ok(recording),
            Some(first) if first == format!("# {name}") => {}
            Some(first) => return Err(foreign(first)),
        }
        for text in lines {
            if recording.ended.is_some() {
                return Err(foreign(text));
            }
            if let Some(end) = text.strip_prefix("# end ") {
                let end = parse_seconds(end).ok_or_else(|| foreign(text))?;
                recording.ended = Some(Duration::from_millis(end));
                continue;
            }
            let mut columns = text.splitn(3, '\t');
            let (Some(millis), Some(_task), Some(text)) = (
                columns.next().and_then(parse_seconds),
                columns.next(),
                columns.next(),
            ) else {
                return Err(foreign(text));
            };
            let line = Line {
                millis,
                text: text.to_owned(),
            };
            recording.transcript.lines.push(line);
        }
        Ok(recording)
    }
}

fn foreign(line: &str) -> String {
    format!("standard output has a line that is not of `println!`: `{line}`")
}

/// A unified diff from what was expected to what came.
pub fn diff(expected: &str, actual: &str) -> String {
    TextDiff::from_lines(expected, actual)
        .unified_diff()
        .context_radius(3)
        .header("expected", "printed")
        .to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Recording, Transcript};

    fn golden(text: &str) -> Transcript {
        Transcript::parse_golden(text).expect("a golden")
    }

    const GOLDEN: &str = "  0.000  a\n  0.100  b\n  0.100  c\n  1.000  d\n";

    #[test]
    fn goldens_keep_their_bytes() {
        let odd =
            "  0.000\n  0.001   two spaces more \n  9.999  tab\there\n12345.678  late\n";
        assert_eq!(golden(odd).to_string(), odd);
        assert_eq!(golden("").to_string(), "");
    }

    #[test]
    fn what_is_not_a_golden_is_refused() {
        for bad in [
            "  0.000  a",
            "0.000  a\n",
            "   0.000  a\n",
            "  0.00  a\n",
            "  0,000  a\n",
            "  0.000 a\n",
            "  0.000  \n",
            "a\n",
            "\n",
            "  0.200  a\n  0.100  b\n",
            "99999999999999999999.000  a\n",
        ] {
            assert!(Transcript::parse_golden(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn the_virtual_clock_forgives_nothing() {
        let expected = golden(GOLDEN);
        assert_eq!(expected.match_exactly(&golden(GOLDEN)), Ok(()));
        for (from, to) in [
            ("  0.000  a\n", "  0.000  A\n"),
            ("  0.100  b\n  0.100  c\n", "  0.100  c\n  0.100  b\n"),
            ("  1.000  d\n", "  1.001  d\n"),
            ("  1.000  d\n", ""),
            ("  1.000  d\n", "  1.000  d\n  1.000  e\n"),
        ] {
            let actual = golden(&GOLDEN.replace(from, to));
            assert!(expected.match_exactly(&actual).is_err(), "{to:?} was taken");
        }
    }

    #[test]
    fn the_real_clock_forgives_order_within_a_group_and_lateness_within_the_slack() {
        let expected = golden(GOLDEN);
        let slack = Duration::from_millis(50);
        let verdict = |actual: &str| expected.match_loosely(&golden(actual), slack);
        for fine in [
            GOLDEN,
            "  0.000  a\n  0.100  c\n  0.149  b\n  1.050  d\n",
            "  0.050  a\n  0.100  c\n  0.100  b\n  1.000  d\n",
        ] {
            assert_eq!(verdict(fine), Ok(()));
        }
        for (bad, expected_in_diff) in [
            // One millisecond more than the slack, and one too early.
            (
                "  0.000  a\n  0.100  b\n  0.100  c\n  1.051  d\n",
                "+  1.051  d",
            ),
            (
                "  0.000  a\n  0.100  b\n  0.100  c\n  0.999  d\n",
                "+  0.999  d",
            ),
            // Across groups, although within the slack.
            (
                "  0.100  b\n  0.100  a\n  0.100  c\n  1.000  d\n",
                "+  0.100  a",
            ),
            ("  0.000  a\n  0.100  b\n  1.000  d\n", "-  0.100  c"),
            (
                "  0.000  a\n  0.100  b\n  0.100  b\n  1.000  d\n",
                "+  0.100  b",
            ),
            ("  0.000  a\n  0.100  b\n  0.100  c\n", "-  1.000  d"),
            (
                "  0.000  a\n  0.100  b\n  0.100  c\n  1.000  d\n  1.000  e\n",
                "+  1.000  e",
            ),
            ("", "-  0.000  a"),
        ] {
            let diff = verdict(bad).expect_err(bad);
            assert!(diff.contains(expected_in_diff), "{diff}");
        }
    }

    #[test]
    fn text_without_times_keeps_the_order_of_the_groups() {
        let expected = golden(GOLDEN);
        assert_eq!(expected.match_text("a\nc\nb\nd\n"), Ok(()));
        for bad in [
            "a\nb\nc\n",
            "b\na\nc\nd\n",
            "a\nb\nc\nd\nd\n",
            "a\nb\nc\nD\n",
        ] {
            assert!(expected.match_text(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn recordings() {
        let parsed =
            Recording::parse("x", "# x\n0.100\t-\ta\tb\n0.200\t7\t\n# end 1.5\n");
        assert!(parsed.is_err(), "an end with one decimal was taken");

        let parsed =
            Recording::parse("x", "# x\n0.100\t-\ta\tb\n0.200\t7\t\n# end 1.500\n")
                .expect("a recording");
        assert_eq!(parsed.ended, Some(Duration::from_millis(1500)));
        assert_eq!(parsed.transcript.to_string(), "  0.100  a\tb\n  0.200\n");

        let cut = Recording::parse("x", "# x\n0.100\t-\ta\n").expect("a recording");
        assert_eq!(cut.ended, None);
        assert_eq!(Recording::parse("x", "").map(|empty| empty.ended), Ok(None));

        for bad in ["# y\n", "# x\nhello\n", "# x\n# end 0.000\nmore\n"] {
            assert!(Recording::parse("x", bad).is_err(), "{bad:?} was taken");
        }
    }
}
