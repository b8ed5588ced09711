use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::process::{Command, Stdio};
use std::thread::ThreadId;
use std::time::Duration;

use crate::transcript::seconds;

/// How wide the drawing is where nobody tells the terminal's width, in columns.
const USUAL_WIDTH: usize = 80;

/// The widest name of a lane, in columns: who, and the first words that it printed.
const WIDEST_NAME: usize = 30;

/// The least distance between two times of the scale, in columns.
const SCALE_STEP: usize = 12;

/// Who prints a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The thread of the example's `main`, outside of any task.
    Main,
    /// The task with this id.
    Task(tokio::task::Id),
    /// Another thread, outside of any task.
    Thread(ThreadId),
}

/// A printed line.
#[derive(Debug, Clone)]
pub struct Mark {
    pub who: Who,
    pub at: Duration,
    pub text: String,
}

struct Lane {
    who: Who,
    name: String,
    marks: Vec<Duration>,
}

/// A lane for each task, in the order of their first lines, with a mark at the time of
/// each line, and a scale below. `width` is that of the terminal, in columns.
pub fn draw(marks: &[Mark], end: Duration, width: usize) -> String {
    let lanes = lanes(marks);
    if lanes.is_empty() {
        return "\nNo line was printed, so there is no timeline.\n".to_owned();
    }
    let last = marks.iter().map(|mark| mark.at).max().unwrap_or_default();
    let end = end.max(last);
    let names = lanes.iter().map(|lane| lane.name.chars().count());
    let widest = names.max().unwrap_or(0).min(WIDEST_NAME).min(width / 3);
    let columns = width.saturating_sub(widest + 2).max(SCALE_STEP);
    let column = |at: Duration| {
        let part = at.as_secs_f64() / end.as_secs_f64().max(f64::MIN_POSITIVE);
        // In bounds: a part of 0 to 1 of a few hundred columns.
        (part * (columns - 1) as f64).round() as usize
    };
    let mut text = format!(
        "\nTimeline of {} s: `o` is a line, a digit so many lines.\n",
        seconds(end)
    );
    for lane in &lanes {
        let mut counts = vec![0_usize; columns];
        for at in &lane.marks {
            counts[column(*at)] += 1;
        }
        let name = shortened(&lane.name, widest);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:widest$}  {}", row(&counts));
    }
    let (ruler, times) = scale(end, columns, column);
    let _ = writeln!(text, "{:widest$}  {ruler}\n{:widest$}  {times}", "", "");
    text
}

/// What each task and thread has printed.
fn lanes(marks: &[Mark]) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    let (mut tasks, mut threads) = (0, 0);
    for mark in marks {
        if let Some(lane) = lanes.iter_mut().find(|lane| lane.who == mark.who) {
            lane.marks.push(mark.at);
            continue;
        }
        let who = match mark.who {
            Who::Main => "main".to_owned(),
            Who::Task(_) => {
                tasks += 1;
                format!("task {tasks}")
            }
            Who::Thread(_) => {
                threads += 1;
                format!("thread {threads}")
            }
        };
        lanes.push(Lane {
            who: mark.who,
            name: match mark.text.trim() {
                "" => who,
                text => format!("{who}: {}", text.replace(char::is_control, " ")),
            },
            marks: vec![mark.at],
        });
    }
    lanes
}

/// The text, with an ellipsis where it is cut.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(3)).collect();
    format!("{}...", kept.trim_end())
}

/// The marks of a lane, with a line from the first to the last.
fn row(counts: &[usize]) -> String {
    let first = counts.iter().position(|count| *count > 0);
    let last = counts.iter().rposition(|count| *count > 0);
    let within = first.unwrap_or(0)..=last.unwrap_or(0);
    let mark = |(column, count): (usize, &usize)| match count {
        0 if within.contains(&column) => '-',
        0 => ' ',
        1 => 'o',
        // More than nine are as good as nine.
        count => char::from_digit((*count).min(9) as u32, 10).unwrap_or('9'),
    };
    let row: String = counts.iter().enumerate().map(mark).collect();
    row.trim_end().to_owned()
}

/// A ruler and the times below it.
fn scale(
    end: Duration,
    columns: usize,
    column: impl Fn(Duration) -> usize,
) -> (String, String) {
    let step = step(end, columns);
    let (mut ruler, mut times) = (vec!['-'; columns], String::new());
    let mut at = Duration::ZERO;
    loop {
        let (column, time) = (column(at), seconds(at));
        ruler[column] = '+';
        if column + time.len() <= columns {
            let _ = write!(times, "{:1$}", "", column.saturating_sub(times.len()));
            times.push_str(&time);
        }
        at += step;
        if at > end {
            break;
        }
    }
    (ruler.into_iter().collect(), times)
}

/// The time between two marks of the scale: 1, 2 or 5, with zeros before or behind.
fn step(end: Duration, columns: usize) -> Duration {
    let most = (columns / SCALE_STEP).max(1) as u32;
    let mut power = Duration::from_millis(1);
    loop {
        for factor in [1, 2, 5] {
            if power * factor * most >= end {
                return power * factor;
            }
        }
        power *= 10;
    }
}

/// The width of the terminal: `COLUMNS` where it is set, or what the terminal says.
pub fn width() -> usize {
    let told = env::var("COLUMNS").ok().or_else(of_terminal);
    let told = told.and_then(|told| told.trim().parse().ok());
    told.filter(|width| *width > 0).unwrap_or(USUAL_WIDTH)
}

/// What `stty` says of the terminal that standard output goes to.
fn of_terminal() -> Option<String> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let mut stty = Command::new("stty");
    let stty = stty.arg("size").stdin(Stdio::from(io::stdout()));
    let said = String::from_utf8(stty.output().ok()?.stdout).ok()?;
    said.split_whitespace().nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Mark, Who, draw, step};

    fn mark(who: Who, millis: u64, text: &str) -> Mark {
        Mark {
            who,
            at: Duration::from_millis(millis),
            text: text.to_owned(),
        }
    }

    fn drawn(marks: &[(u64, &str)], end: u64, width: usize) -> String {
        let marks = marks.iter().map(|(at, text)| mark(Who::Main, *at, text));
        draw(
            &marks.collect::<Vec<Mark>>(),
            Duration::from_millis(end),
            width,
        )
    }

    #[test]
    fn first_and_last_stand_at_the_ends() {
        let drawing = "
Timeline of 1.000 s: `o` is a line, a digit so many lines.
main: a  o---------2-----------------------------o
         +-------------------+-------------------+
         0.000               0.500
";
        let lines = [(0, "a"), (250, "b"), (251, "c"), (1000, "d")];
        assert_eq!(drawn(&lines, 1000, 50), drawing);
    }

    #[test]
    fn each_thread_has_a_lane_and_long_names_are_cut() {
        let other = std::thread::spawn(|| std::thread::current().id());
        let other = Who::Thread(other.join().expect("it ends"));
        let own = Who::Thread(std::thread::current().id());
        let marks = [
            mark(own, 0, "a name that is too long for its lane"),
            mark(other, 50, "ü\tx"),
            mark(own, 100, "b"),
        ];
        let drawing = "
Timeline of 0.100 s: `o` is a line, a digit so many lines.
thread 1:...   o-----------------------o
thread 2: ü x              o
               +-----------+-----------+
               0.000       0.050
";
        assert_eq!(draw(&marks, Duration::from_millis(100), 40), drawing);
    }

    #[test]
    fn what_takes_no_time_or_prints_nothing_or_very_much() {
        assert!(drawn(&[], 10, 80).contains("No line was printed"));
        let one = drawn(&[(0, "")], 0, 80);
        assert!(one.contains("main  o\n      +---"), "{one}");
        let many = [(5, "x"); 12];
        assert!(drawn(&many, 10, 80).contains(" 9\n"));
    }

    #[test]
    fn no_width_and_no_time_breaks_it() {
        for width in [1, 10, 20, 80, 500] {
            for end in [0, 1, 7, 999, 1000, 123_456, 360_000_000] {
                let text = drawn(&[(0, "first words"), (end, "last")], end, width);
                let most = width.max(20);
                let fits = |line: &&str| line.chars().count() <= most;
                assert!(text.lines().skip(2).all(|line| fits(&line)), "{text}");
            }
        }
        assert_eq!(step(Duration::from_secs(4), 48), Duration::from_secs(1));
        assert_eq!(step(Duration::from_secs(100), 24), Duration::from_secs(50));
    }
}
