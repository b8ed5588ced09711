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
mod tests {
    use std::time::Duration;

    use super::{Recording, Transcript};

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

    /// What is printed instead, and what is said of it; an empty text where it passes.
    const ON_THE_REAL_CLOCK: &str = "\
0.000 a, 0.100 b, 0.100 c, 1.000 d, 1.000 (end):
0.000 a, 0.100 c, 0.149 b, 1.050 d, 1.050 (end):
9.000 a, 9.000 c, 9.000 b, 9.000 d, 9.000 (end):
0.100 b, 0.100 a, 0.100 c, 1.000 d, 1.000 (end):out of order:   0.100  a, due at  0.000
0.000 a, 0.100 b, 1.000 d, 1.001 c, 1.001 (end):out of order:   1.001  c, due at  0.100
0.000 a, 0.100 b, 1.000 d, 1.051 (end):missing:   0.100  c
0.000 a, 0.100 b, 0.100 c, 0.999 d, 0.999 (end):
0.000 a, 0.100 b, 0.100 c, 0.998 d, 1.000 (end):early:   0.998  d, due at  1.000
0.000 a, 0.100 b, 0.100 c, 1.000 d, 0.998 (end):early: it ended at  0.998
0.000 a, 0.100 b, 0.100 b, 1.000 d, 1.000 (end):not expected:   0.100  b
0.000 a, 0.100 b, 0.100 c, 1.000 (end):missing:   1.000  d
0.000 a, 0.100 b, 0.100 c, 1.000 d, 1.000 e, 1.000 (end):not expected:   1.000  e";

    #[test]
    fn the_real_clock_forgives_lateness_and_order_within_the_slack() {
        for line in ON_THE_REAL_CLOCK.lines() {
            let (printed, said) = line.split_once(":").expect("a line of the table");
            let lines = printed.split(", ").map(|line| line.replace(' ', "\t-\t"));
            let lines: String = lines.map(|line| format!("{line}\n")).collect();
            let (lines, end) = lines.trim_end().rsplit_once('\n').expect("an end");
            let end = end.trim_end_matches("\t-\t(end)");
            let printed = format!("# x\n{lines}\n# end {end} 0.001\n")
                .replace("\t-\t", "\tthread\t");
            let printed = Recording::parse(&printed).transcript;
            match golden(GOLDEN).match_real(&printed, &[]) {
                Ok(()) => assert_eq!(said, "", "{printed}"),
                Err(problems) => {
                    assert!(
                        !said.is_empty() && problems.lines().any(|it| it == said),
                        "{problems}"
                    );
                }
            }
        }
    }

    #[test]
    fn lines_whose_times_are_close_may_trade_places() {
        for (due, passes) in [("0.149", true), ("0.150", false)] {
            let golden = format!("  0.100  a\n  {due}  b\n  {due}  (end)\n");
            let text = "# x\n0.200\tthread\tb\n0.200\tthread\ta\n# end 0.200 0.001\n";
            let actual = Recording::parse(text).transcript;
            let golden = Transcript::parse_golden(&golden).expect("a golden");
            assert_eq!(golden.match_real(&actual, &[]).is_ok(), passes, "{due}");
            assert_eq!(golden.match_real(&actual, &["a".to_owned()]), Ok(()));
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
            assert_eq!(
                golden.match_real(&actual, &[]).is_ok(),
                passes,
                "{printed:?}"
            );
            assert_eq!(golden.match_real(&actual, &["a".to_owned()]), Ok(()));
        }
    }

    /// A copy stamps a logger's lines too, at whatever time they come.
    #[test]
    fn lines_of_a_copy_keep_the_order_of_the_groups() {
        let golden =
            golden("           log\n  0.100  a\n           of b\n  0.100  (end)\n");
        for (lines, passes) in [
            ([(10, "  log"), (100, "a"), (149, "  of b")], true),
            ([(10, "  log"), (100, "  of b"), (900, "a")], true),
            ([(100, "a"), (100, "  log"), (100, "  of b")], false),
            ([(10, "  log"), (98, "a"), (100, "  of b")], false),
        ] {
            let at = |millis| Duration::from_millis(millis);
            let lines = lines.map(|(millis, text)| (at(millis), format!("{text}\n")));
            let recording = Recording::of_lines(&lines, at(140));
            let compared = golden.match_real(&recording.transcript, &[]);
            assert_eq!(compared.is_ok(), passes, "{lines:?}");
        }
    }

    #[test]
    fn a_delay_is_counted_from_line_to_line() {
        let golden = golden("  0.000  a\n  0.100  b\n  0.200  c\n  0.200  (end)\n");
        for (printed, delay) in [
            ("0.900 a, 1.003 b, 1.100 c, 1.100 (end)", 3),
            ("0.000 a, 0.100 b, 0.230 c, 0.300 (end)", 70),
            ("0.000 a, 0.100 b, 0.200 c, 0.200 (end)", 0),
        ] {
            let printed = printed.split(", ").map(|line| line.replace(' ', "  "));
            let printed: String = printed.map(|line| format!("  {line}\n")).collect();
            let printed = Transcript::parse_golden(&printed).expect("it is of that form");
            assert_eq!(golden.longest_delay(&printed), Duration::from_millis(delay));
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
        let diff = golden(GOLDEN)
            .match_exactly(&flood)
            .expect_err("it is another");
        assert!(diff.contains("lines more"), "{diff}");
        assert_eq!(diff.lines().count(), 101);
    }
}
