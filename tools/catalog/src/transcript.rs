//! Transcripts: the lines that an example prints, each with its time, and its end.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use similar::TextDiff;

/// The text of a golden's last line, whose time is that of the example's end.
const END: &str = "(end)";

/// How late a line may be on the real clock: far less than any example waits or blocks.
pub const SLACK: Duration = Duration::from_millis(50);

/// How many lines of a diff are shown.
const MOST_LINES: usize = 100;

/// A printed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since the start, rounded down; nothing if it was not `println!` that
    /// printed the line, but a logger, say.
    pub millis: Option<u64>,
    /// The text without the time.
    pub text: String,
    /// Which task printed it; nothing if that is not known, as in a golden.
    pub task: Option<String>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.millis {
            None => write!(f, "         {text}"),
            Some(millis) if text.is_empty() => f.write_str(&seconds(millis)),
            Some(millis) => write!(f, "{}  {text}", seconds(millis)),
        }
    }
}

impl Line {
    fn new(millis: Option<u64>, text: &str, task: Option<&str>) -> Self {
        Self {
            millis,
            text: text.to_owned(),
            task: task.map(str::to_owned),
        }
    }
}

fn seconds(millis: u64) -> String {
    format!("{:>3}.{:03}", millis / 1000, millis % 1000)
}

/// All lines of an example; its `Display` is the form of the goldens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// In the order in which they were printed.
    pub lines: Vec<Line>,
    /// When the example ended, in milliseconds.
    pub end: u64,
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "{}  {END}", seconds(self.end))
    }
}

/// How a transcript differs from what the golden asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Whether nothing is wrong but that lines came too late, and perhaps in another order
    /// for that.
    pub late: bool,
    /// From the golden to what was printed.
    pub diff: String,
}

impl Transcript {
    /// Reads a golden.
    ///
    /// # Errors
    ///
    /// A message with the number of the first line that is not of the golden's form, or
    /// that is earlier than a line before it.
    pub fn parse_golden(golden: &str) -> Result<Self, String> {
        if golden.contains('\r') {
            return Err("its lines end in CR LF; goldens have LF alone".to_owned());
        }
        let mut lines: Vec<Line> = Vec::new();
        let mut before = 0;
        for (number, text) in (1..).zip(golden.lines()) {
            let line = parse_golden_line(text)
                .filter(|line| line.to_string() == text)
                .ok_or_else(|| {
                    format!("line {number} is not `SECONDS  TEXT`: `{text}`")
                })?;
            let millis = line.millis.unwrap_or(before);
            if millis < before {
                return Err(format!("line {number} is earlier than the one before it"));
            }
            before = millis;
            lines.push(line);
        }
        lines
            .pop()
            .filter(|line| line.text == END && golden.ends_with('\n'))
            .and_then(|line| line.millis)
            .map(|end| Self { lines, end })
            .ok_or_else(|| format!("the last line is not `SECONDS  {END}`"))
    }

    /// The times of the lines and of the end, each once.
    pub fn times(&self) -> Vec<u64> {
        let times = self.lines.iter().filter_map(|line| line.millis);
        let mut times: Vec<u64> = times.chain([self.end]).collect();
        times.dedup();
        times
    }

    /// Whether the other has the same lines in the same order, each at a time that is at
    /// most `slack` away, and so the end.
    pub fn is_close(&self, other: &Self, slack: Duration) -> bool {
        let times = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => u128::from(a.abs_diff(b)) <= slack.as_millis(),
            _ => a == b,
        };
        let lines =
            |(a, b): (&Line, &Line)| a.text == b.text && times(a.millis, b.millis);
        self.lines.len() == other.lines.len()
            && self.lines.iter().zip(&other.lines).all(lines)
            && times(Some(self.end), Some(other.end))
    }

    /// What a program has to print on the virtual clock: the same lines, in the same
    /// order, at the same times, and to end then; or a diff from this golden.
    pub fn match_exactly(&self, actual: &Self) -> Result<(), Mismatch> {
        diff(&self.to_string(), &actual.to_string())
            .map_err(|diff| Mismatch { late: false, diff })
    }

    /// What a program has to print on the real clock. The lines that share a time form a
    /// group; groups come in order, lines within a group in any order, as long as those
    /// of one task keep theirs, but for those that contain one of the texts `free`. No
    /// line is early, nor the end, and none is more than `slack` late.
    ///
    /// # Errors
    ///
    /// A diff in which the lines that are right stand as in the golden.
    pub fn match_loosely(
        &self,
        actual: &Self,
        slack: Duration,
        free: &[String],
    ) -> Result<(), Mismatch> {
        let slack = u64::try_from(slack.as_millis()).unwrap_or(u64::MAX);
        self.compare(actual, slack, free).map_err(|diff| Mismatch {
            late: self.is_late(actual, slack),
            diff,
        })
    }

    /// What a program has to print whatever the threads do: the lines that share a time in
    /// the golden's order, but for those that contain one of the texts `free`. Times do
    /// not matter here, nor lines that are missing.
    ///
    /// # Errors
    ///
    /// A diff of the lines that are not free, without their times.
    pub fn match_order(&self, actual: &Self, free: &[String]) -> Result<(), Mismatch> {
        let is_free = |text: &str| contains_one(text, free);
        let (mut group, mut time) = (0, None);
        let mut due: Vec<(usize, &str)> = Vec::new();
        for line in &self.lines {
            if line.millis.is_some() && line.millis != time {
                (group, time) = (group + 1, line.millis);
            }
            due.push((group, &line.text));
        }
        // Of a text that comes at several times, nobody knows which of them was printed.
        let all = due.clone();
        let is_clear = |(group, text): &(usize, &str)| {
            !is_free(text) && all.iter().all(|(at, it)| it != text || at == group)
        };
        due.retain(is_clear);
        let (mut missing, mut came) = (due.clone(), Vec::new());
        for line in &actual.lines {
            let found = missing.iter().position(|(_, text)| *text == line.text);
            came.extend(found.map(|index| missing.remove(index)));
        }
        due.retain(|line| came.contains(line));
        came.sort_by_key(|(group, _)| *group);
        let text = |lines: &[(usize, &str)]| -> String {
            lines.iter().map(|(_, text)| format!("{text}\n")).collect()
        };
        diff(&text(&due), &text(&came)).map_err(|diff| Mismatch { late: false, diff })
    }

    /// Whether all lines came, none of them early, but one or the end more than `slack`
    /// late. What comes late may come after what it was to come before.
    fn is_late(&self, actual: &Self, slack: u64) -> bool {
        let mut missing: Vec<&Line> = self.lines.iter().collect();
        let mut times = vec![(self.end, actual.end)];
        for printed in &actual.lines {
            let found = missing.iter().position(|due| due.text == printed.text);
            let Some(due) = found.map(|index| missing.remove(index)) else {
                return false;
            };
            match (due.millis, printed.millis) {
                (Some(due), Some(came)) => times.push((due, came)),
                (None, _) => {}
                (Some(_), None) => return false,
            }
        }
        let is_early = times.iter().any(|(due, came)| came < due);
        let is_late = |(due, came): &(u64, u64)| came.saturating_sub(*due) > slack;
        let is_late = times.iter().any(is_late);
        missing.is_empty() && is_late && !is_early
    }

    fn compare(&self, actual: &Self, slack: u64, free: &[String]) -> Result<(), String> {
        let on_time = |due: u64, came: u64| due <= came && came - due <= slack;
        let mut aligned = Self::default();
        let mut rest = actual.lines.as_slice();
        // A line without a time belongs to the group before it.
        let same_time = |a: &Line, b: &Line| b.millis.is_none() || a.millis == b.millis;
        for group in self.lines.chunk_by(same_time) {
            let (chunk, after) = rest.split_at(group.len().min(rest.len()));
            rest = after;
            // Which of the group's lines were printed: those of a task are looked for in
            // the golden's order.
            let mut taken = vec![false; group.len()];
            let mut next: HashMap<&str, usize> = HashMap::new();
            let mut unexpected = Vec::new();
            for printed in chunk {
                let in_order =
                    |task: &&str| *task != "thread" && !contains_one(&printed.text, free);
                let task = printed.task.as_deref().filter(in_order);
                let from = task.and_then(|task| next.get(task).copied());
                let found = (from.unwrap_or(0)..group.len()).find(|&index| {
                    let due = &group[index];
                    let fits = match (due.millis, printed.millis) {
                        (Some(due), Some(came)) => on_time(due, came),
                        // A logger's line, which a copy prints like any other.
                        (None, _) => true,
                        (Some(_), None) => false,
                    };
                    !taken[index] && printed.text == due.text && fits
                });
                match found {
                    Some(index) => {
                        taken[index] = true;
                        next.extend(task.map(|task| (task, index + 1)));
                    }
                    None => unexpected.push(printed.clone()),
                }
            }
            let expected = group.iter().zip(taken).filter(|(_, taken)| *taken);
            aligned.lines.extend(expected.map(|(line, _)| line.clone()));
            aligned.lines.extend(unexpected);
        }
        aligned.lines.extend_from_slice(rest);
        aligned.end = match on_time(self.end, actual.end) {
            true => self.end,
            false => actual.end,
        };
        diff(&self.to_string(), &aligned.to_string())
    }
}

fn contains_one(text: &str, parts: &[String]) -> bool {
    parts.iter().any(|part| text.contains(part))
}

fn parse_golden_line(line: &str) -> Option<Line> {
    if let Some(text) = line.strip_prefix("         ") {
        return Some(Line::new(None, text, None));
    }
    let line = line.trim_start();
    let (time, text) = line.split_once("  ").unwrap_or((line, ""));
    Some(Line::new(Some(parse_seconds(time)?), text, None))
}

/// Reads `1.250` as 1250.
fn parse_seconds(seconds: &str) -> Option<u64> {
    let (whole, millis) = seconds.split_once('.')?;
    let digits = [whole, millis].concat();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = is_number && millis.len() == 3 && !whole.is_empty();
    digits.parse().ok().filter(|_| is_time)
}

/// What an example printed in the form for programs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recording {
    /// The lines, each with its task, and the end if there was one.
    pub transcript: Transcript,
    /// How long the program ran by the machine's clock; nothing if it did not come to its
    /// end.
    pub wall: Option<Duration>,
}

impl Recording {
    /// Takes the lines of a program without a runner, each with the time at which it
    /// arrived, as those of one task that is not known.
    pub fn of_lines(lines: &[(Duration, String)], elapsed: Duration) -> Self {
        let millis = |at: Duration| u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let line = |(at, text): &(Duration, String)| {
            Line::new(Some(millis(*at)), text.trim_end_matches(['\r', '\n']), None)
        };
        let transcript = Transcript {
            lines: lines.iter().map(line).collect(),
            end: millis(elapsed),
        };
        Self {
            transcript,
            wall: Some(elapsed),
        }
    }

    /// Reads the output of `--tsv` for one example. Lines that its `println!` did not
    /// write are lines without a time.
    pub fn parse(stdout: &str) -> Self {
        let mut recording = Self::default();
        // The first line is the runner's, with the example's name.
        for text in stdout.lines().skip(1) {
            let end = text.strip_prefix("# end ").and_then(|end| {
                let (end, wall) = end.split_once(' ')?;
                Some((parse_seconds(end)?, parse_seconds(wall)?))
            });
            if let Some((end, wall)) = end {
                recording.transcript.end = end;
                recording.wall = Some(Duration::from_millis(wall));
                continue;
            }
            let mut columns = text.splitn(3, '\t');
            let mut timed = || {
                let millis = parse_seconds(columns.next()?)?;
                let (task, text) = (columns.next()?, columns.next()?);
                Some(Line::new(Some(millis), text, Some(task)))
            };
            let line = timed().unwrap_or_else(|| Line::new(None, text, None));
            recording.transcript.lines.push(line);
        }
        recording
    }
}

/// Compares what was expected with what came; the error is a unified diff, or the first
/// lines of a long one.
pub fn diff(expected: &str, actual: &str) -> Result<(), String> {
    if expected == actual {
        return Ok(());
    }
    let diff = TextDiff::from_lines(expected, actual)
        .unified_diff()
        .header("expected", "printed")
        .to_string();
    Err(first_lines(&diff))
}

/// The text, cut off after so many lines that nobody reads more.
pub fn first_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() <= MOST_LINES {
        return text.to_owned();
    }
    let (shown, more) = lines.split_at(MOST_LINES);
    format!("{}\n... and {} lines more\n", shown.join("\n"), more.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Mismatch, Recording, Transcript};

    fn golden(text: &str) -> Transcript {
        Transcript::parse_golden(text).expect("a golden")
    }

    const GOLDEN: &str =
        "  0.000  a\n  0.100  b\n  0.100  c\n  1.000  d\n  1.000  (end)\n";

    #[test]
    fn goldens_keep_their_bytes() {
        let odd = "  0.000\n  0.001   two spaces more \n           a logger's\n\
                   \x20 9.999  tab\there\n12345.678  late\n12345.679  (end)\n";
        assert_eq!(golden(odd).to_string(), odd);
        assert_eq!(golden("  0.000  (end)\n").lines, []);
    }

    #[test]
    fn what_is_not_a_golden_is_refused() {
        for bad in [
            "",
            ".000  (end)\n",
            "  0.000  a\n",
            "  0.000  (end)",
            "  0.000  (end)\n  0.000  a\n",
            "  0.200  a\n  0.100  b\n  0.200  (end)\n",
            "  0.200  a\n  0.100  (end)\n",
            "99999999999999999999.000  (end)\n",
        ] {
            assert!(Transcript::parse_golden(bad).is_err(), "{bad:?} was taken");
        }
        let lines = "0.000  a|   0.000  a|  0.00  a|  0,000  a|  0.000 a|  0.000  |a|";
        for bad in lines.split('|') {
            let golden = format!("{bad}\n  0.000  (end)\n");
            assert!(
                Transcript::parse_golden(&golden).is_err(),
                "{bad:?} was taken"
            );
        }
        let crlf = Transcript::parse_golden(&GOLDEN.replace('\n', "\r\n"));
        assert!(crlf.is_err_and(|said| said.contains("CR LF")));
    }

    /// What is printed instead, and what the diff says of it; an empty text where it
    /// passes, "late" where nothing is wrong but that.
    const ON_THE_REAL_CLOCK: &str = "\
0.000 a, 0.100 b, 0.100 c, 1.000 d, 1.000 (end):
0.000 a, 0.100 c, 0.149 b, 1.050 d, 1.050 (end):
0.050 a, 0.100 c, 0.100 b, 1.000 d, 1.000 (end):
0.000 a, 0.100 b, 0.151 c, 1.000 d, 1.000 (end):late
0.000 a, 0.100 b, 0.100 c, 1.000 d, 1.051 (end):late
0.000 a, 0.100 b, 0.100 c, 1.000 d, 2.000 (end):late +  2.000  (end)
0.000 a, 0.100 b, 1.000 d, 1.001 c, 1.001 (end):late +  1.001  c
0.000 a, 0.100 b, 1.000 d, 1.051 (end):-  0.100  c
0.000 a, 0.100 b, 0.999 d, 1.001 c, 1.001 (end):+  0.999  d
0.000 a, 0.100 b, 1.000 d, 1.000 d, 1.000 c, 1.000 (end):+  1.000  d
0.000 a, 0.100 b, 0.100 c, 0.999 d, 1.000 (end):+  0.999  d
0.000 a, 0.100 b, 1.000 d, 1.000 (end):-  0.100  c
0.000 a, 0.100 b, 0.100 b, 1.000 d, 1.000 (end):+  0.100  b
0.000 a, 0.100 b, 0.100 c, 1.000 (end):-  1.000  d
0.000 a, 0.100 b, 0.100 c, 1.000 d, 1.000 e, 1.000 (end):+  1.000  e
0.100 b, 0.100 a, 0.100 c, 1.000 d, 1.000 (end):late +  0.100  a";

    #[test]
    fn the_real_clock_forgives_order_within_a_group_and_lateness_within_the_slack() {
        for line in ON_THE_REAL_CLOCK.lines() {
            let (printed, said) = line.split_once(':').expect("a line of the table");
            let printed = printed.split(", ").map(|line| line.replace(' ', "  "));
            let printed: String = printed.map(|line| format!("  {line}\n")).collect();
            let slack = Duration::from_millis(50);
            match golden(GOLDEN).match_loosely(&golden(&printed), slack, &[]) {
                Ok(()) => assert_eq!(said, "", "{printed}"),
                Err(Mismatch { late, diff }) => {
                    assert_ne!(said, "", "{diff}");
                    assert_eq!(late, said.starts_with("late"), "{diff}");
                    let said = said.trim_start_matches("late").trim_start();
                    assert!(diff.contains(said), "{diff}");
                }
            }
        }
    }

    /// Lateness within the slack excuses no order.
    #[test]
    fn times_that_are_closer_than_the_slack_keep_their_order() {
        let golden = golden("  0.100  a\n  0.120  b\n  0.120  (end)\n");
        let slack = Duration::from_millis(50);
        for (a, passes, is_late) in
            [(110, true, false), (150, false, false), (151, false, true)]
        {
            let mut lines = [(120, "b"), (a, "a")];
            lines.sort();
            let lines = lines.map(|(millis, text)| format!("0.{millis}\t1\t{text}\n"));
            let text = format!("# x\n{}# end 0.160 0.160\n", lines.concat());
            let actual = Recording::parse(&text).transcript;
            let compared = golden.match_loosely(&actual, slack, &[]);
            assert_eq!(compared.is_ok(), passes, "{a}");
            assert_eq!(compared.is_err_and(|it| it.late), is_late, "{a}");
        }
    }

    #[test]
    fn the_lines_of_one_task_keep_their_order() {
        let golden = golden("  0.100  a\n  0.100  b\n  0.100  a\n  0.100  (end)\n");
        for (printed, passes) in [
            ([("1", "a"), ("1", "b"), ("1", "a")], true),
            ([("1", "b"), ("2", "a"), ("1", "a")], true),
            // Two threads are not told apart.
            ([("thread", "b"), ("thread", "a"), ("thread", "a")], true),
            ([("1", "b"), ("1", "a"), ("1", "a")], false),
            ([("-", "a"), ("-", "a"), ("-", "b")], false),
        ] {
            let lines = printed.map(|(task, text)| format!("0.100\t{task}\t{text}\n"));
            let text = format!("# x\n{}# end 0.100 0.100\n", lines.concat());
            let actual = Recording::parse(&text).transcript;
            let compared = golden.match_loosely(&actual, Duration::ZERO, &[]);
            assert_eq!(compared.is_ok(), passes, "{printed:?}");
            let free = golden.match_loosely(&actual, Duration::ZERO, &["a".to_owned()]);
            assert_eq!(free, Ok(()), "{printed:?}");
        }
    }

    /// A copy stamps a logger's lines too, at whatever time they come.
    #[test]
    fn lines_of_a_copy_keep_the_order_of_the_groups() {
        let golden =
            golden("           log\n  0.100  a\n           of b\n  0.100  (end)\n");
        for (lines, passes) in [
            ([(10, "  log"), (100, "a"), (149, "  of b")], true),
            ([(10, "  log"), (100, "  of b"), (100, "a")], true),
            ([(10, "a"), (100, "  log"), (100, "  of b")], false),
            ([(100, "  log"), (151, "a"), (151, "  of b")], false),
            ([(10, "  log"), (99, "a"), (100, "  of b")], false),
        ] {
            let at = |millis| Duration::from_millis(millis);
            let lines = lines.map(|(millis, text)| (at(millis), format!("{text}\n")));
            let recording = Recording::of_lines(&lines, at(140));
            let compared = golden.match_loosely(&recording.transcript, at(50), &[]);
            assert_eq!(compared.is_ok(), passes, "{lines:?}");
        }
    }

    #[test]
    fn recordings() {
        let printed = "# x\n0.100\t-\ta\tb\nINFO\tlog\n0.200\t7\t\n# end 1.500 0.002\n";
        let parsed = Recording::parse(printed);
        assert_eq!(parsed.wall, Some(Duration::from_millis(2)));
        assert_eq!(
            parsed.transcript.to_string(),
            "  0.100  a\tb\n         INFO\tlog\n  0.200\n  1.500  (end)\n"
        );
        assert_eq!(Recording::parse("# x\n0.100\t-\ta\n").wall, None);
        assert_eq!(Recording::parse("").wall, None);
    }

    #[test]
    fn a_flood_is_cut_off() {
        let flood: String = (0..1000).map(|n| format!("  0.000  {n}\n")).collect();
        let flood = golden(&format!("{flood}  0.000  (end)\n"));
        let mismatch = golden(GOLDEN).match_exactly(&flood);
        let Mismatch { late, diff } = mismatch.expect_err("it is another");
        assert!(!late && diff.contains("lines more"), "{diff}");
        assert_eq!(diff.lines().count(), 101);
    }
}
