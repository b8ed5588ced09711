//! Transcripts: the lines that an example prints, each with its time, and its end.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use similar::TextDiff;

/// The text of a golden's last line, whose time is that of the example's end.
const END: &str = "(end)";

/// Lines whose times in a golden differ by less than this may trade places on the real clock;
/// two transcripts differ if their times are further apart.
pub const SLACK: Duration = Duration::from_millis(50);

/// By how many milliseconds a clock that is read in another process may be ahead.
const EARLY: u64 = 1;

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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
    pub fn match_exactly(&self, actual: &Self) -> Result<(), String> {
        diff(&self.to_string(), &actual.to_string())
    }

    /// What a program has to print on the real clock, however busy the machine is: the
    /// golden's lines, each once, none of them earlier than there, nor the end. Two lines may
    /// trade places if their times in the golden differ by less than [`SLACK`]; lines of one
    /// task keep their order. A line that contains one of the texts `free` may come anywhere.
    /// How late a line comes does not matter.
    ///
    /// # Errors
    ///
    /// What is wrong, a line each, and what was printed.
    pub fn match_real(&self, actual: &Self, free: &[String]) -> Result<(), String> {
        let mut wrong = Vec::new();
        let dues = self.dues();
        let mut taken = vec![false; self.lines.len()];
        let mut next: HashMap<&str, usize> = HashMap::new();
        let mut latest = 0;
        for printed in &actual.lines {
            let is_free = contains_one(&printed.text, free);
            let task = printed.task.as_deref();
            let task = task.filter(|task| *task != "thread" && !is_free);
            let from = task.and_then(|task| next.get(task).copied()).unwrap_or(0);
            let is_it =
                |index: &usize| !taken[*index] && self.lines[*index].text == printed.text;
            let in_order = (from..taken.len()).find(is_it);
            let Some(index) = in_order.or_else(|| (0..from).find(is_it)) else {
                wrong.push(format!("not expected: {printed}"));
                continue;
            };
            if in_order.is_none() {
                wrong.push(format!("out of order in its task: {printed}"));
            }
            taken[index] = true;
            next.extend(task.map(|task| (task, index + 1)));
            let (due, has_time) = (dues[index], self.lines[index].millis.is_some());
            if has_time && printed.millis.is_some_and(|came| came + EARLY < due) {
                wrong.push(format!("early: {printed}, due at{}", seconds(due)));
            }
            if due + millis(SLACK) <= latest && !is_free {
                let due = seconds(due);
                wrong.push(format!("out of order: {printed}, due at{due}"));
            }
            latest = latest.max(due);
        }
        let missing = self.lines.iter().zip(taken).filter(|(_, taken)| !taken);
        wrong.extend(missing.map(|(line, _)| format!("missing: {line}")));
        if actual.end + EARLY < self.end {
            wrong.push(format!("early: it ended at{}", seconds(actual.end)));
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(first_lines(&format!(
                "{}\nprinted:\n{actual}",
                wrong.join("\n")
            ))),
        }
    }

    /// By how much the longest step from one line to the next, or to the end, took longer than
    /// in this golden. The time before the first line does not count: a process starts in it.
    pub fn longest_delay(&self, actual: &Self) -> Duration {
        let dues = self.dues();
        let mut taken = vec![false; self.lines.len()];
        let mut times = Vec::new();
        for printed in &actual.lines {
            let is_it = |(index, due): &(usize, &Line)| {
                !taken[*index] && due.text == printed.text && due.millis.is_some()
            };
            let due = self.lines.iter().enumerate().find(is_it);
            if let (Some((index, _)), Some(came)) = (due, printed.millis) {
                taken[index] = true;
                times.push((dues[index], came));
            }
        }
        times.push((self.end, actual.end));
        let delays = times.windows(2).filter_map(|pair| {
            let [(due, came), (next_due, next_came)] = [pair[0], pair[1]];
            let step = next_due.checked_sub(due)?;
            Some((next_came.saturating_sub(came)).saturating_sub(step))
        });
        Duration::from_millis(delays.max().unwrap_or(0))
    }

    /// When each line is due. A line without a time belongs to the line before it.
    fn dues(&self) -> Vec<u64> {
        let mut before = 0;
        let lines = self.lines.iter();
        lines
            .map(|line| {
                before = line.millis.unwrap_or(before);
                before
            })
            .collect()
    }

    /// What a program has to print whatever the threads do: the lines that share a time in
    /// the golden's order, but for those that contain one of the texts `free`. Times do
    /// not matter here, nor lines that are missing.
    ///
    /// # Errors
    ///
    /// A diff of the lines that are not free, without their times.
    pub fn match_order(&self, actual: &Self, free: &[String]) -> Result<(), String> {
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
        diff(&text(&due), &text(&came))
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
    match digits.parse() {
        Ok(number) if is_time => Some(number),
        _ => None,
    }
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
    /// Takes the lines of a program without a harness, each with the time at which it
    /// arrived, as those of one task that is not known.
    pub fn of_lines(lines: &[(Duration, String)], elapsed: Duration) -> Self {
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
        // The first line is the harness's, with the example's name.
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
mod tests;
