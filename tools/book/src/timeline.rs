//! The timeline: a lane for each task, and a mark for each line that it prints.

use std::fmt::Write as _;

use xtask::transcript::Transcript;

use crate::html::escape;

/// The height of a lane, in pixels.
const LANE: usize = 34;

/// How much of the width is left of time zero, and how much is used, in percent.
const PLOT: (f64, f64) = (2.0, 94.0);

/// The lines that a task prints at one time.
struct Mark<'a> {
    millis: u64,
    texts: Vec<&'a str>,
}

/// A task with its marks.
struct Lane<'a> {
    task: &'a str,
    marks: Vec<Mark<'a>>,
}

/// The picture of a transcript in which each line has the task of the same place in
/// `tasks`. Its horizontal places are shares of the width, so that it fits any; colours
/// are those of the style sheet.
pub fn svg(name: &str, transcript: &Transcript, tasks: &[String]) -> String {
    let lanes = lanes(transcript, tasks);
    let end = transcript.end.max(1);
    let bottom = lanes.len() * LANE + 4;
    let height = bottom + 22;
    let mut text = format!(
        "<svg class=\"timeline\" role=\"img\" width=\"100%\" height=\"{height}\" \
         aria-labelledby=\"timeline-title timeline-text\">\n\
         <title id=\"timeline-title\">Timeline of {}</title>\n\
         <desc id=\"timeline-text\">{}</desc>\n",
        escape(name),
        escape(&description(&lanes, transcript))
    );
    for (millis, label) in ticks(end) {
        let x = place(millis, end);
        let _ = writeln!(
            text,
            "<line class=\"tick\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"{bottom}\"/>\
             <text class=\"time\" x=\"{x}\" y=\"{}\">{label}</text>",
            bottom + 16
        );
    }
    for (index, lane) in lanes.iter().enumerate() {
        let top = index * LANE;
        let middle = top + 22;
        let (first, last) = (lane.marks.first(), lane.marks.last());
        if let (Some(first), Some(last)) = (first, last) {
            let (from, to) = (place(first.millis, end), place(last.millis, end));
            let _ = writeln!(
                text,
                "<text class=\"lane\" x=\"0\" y=\"{}\">{}</text>\
                 <line class=\"span\" x1=\"{from}\" x2=\"{to}\" y1=\"{middle}\" \
                 y2=\"{middle}\"/>",
                top + 12,
                escape(lane.task)
            );
        }
        for mark in &lane.marks {
            text.push_str(&drawn(mark, &place(mark.millis, end), middle));
        }
    }
    text.push_str("</svg>\n");
    text
}

fn drawn(mark: &Mark<'_>, x: &str, y: usize) -> String {
    let seconds = seconds(mark.millis);
    let title = format!("{seconds} s: {}", mark.texts.join("\n"));
    let count = mark.texts.len();
    let (radius, number) = match count {
        1 => (5, String::new()),
        _ => (
            8,
            format!(
                "<text class=\"count\" x=\"{x}\" y=\"{}\">{count}</text>",
                y + 4
            ),
        ),
    };
    format!(
        "<g class=\"mark\"><title>{}</title>\
         <circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>{number}</g>\n",
        // A line end would end the block of HTML if an empty line followed.
        escape(&title).replace('\n', "&#10;")
    )
}

fn lanes<'a>(transcript: &'a Transcript, tasks: &'a [String]) -> Vec<Lane<'a>> {
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    let mut now = 0;
    for (line, task) in transcript.lines.iter().zip(tasks) {
        now = line.millis.unwrap_or(now);
        let known = lanes.iter().position(|lane| lane.task == task);
        let index = known.unwrap_or_else(|| {
            let marks = Vec::new();
            lanes.push(Lane { task, marks });
            lanes.len() - 1
        });
        let marks = &mut lanes[index].marks;
        match marks.last_mut().filter(|mark| mark.millis == now) {
            Some(mark) => mark.texts.push(&line.text),
            None => marks.push(Mark {
                millis: now,
                texts: vec![&line.text],
            }),
        }
    }
    lanes
}

/// What the picture shows, in words.
fn description(lanes: &[Lane<'_>], transcript: &Transcript) -> String {
    let count = transcript.lines.len();
    let end = seconds(transcript.end);
    let mut text = format!("{count} lines in {end} seconds.");
    for lane in lanes {
        let times = lane.marks.iter().map(|mark| seconds(mark.millis));
        let times = times.collect::<Vec<String>>().join(", ");
        let _ = write!(text, " {} prints at {times}.", lane.task);
    }
    text.push_str(
        " The transcript has the text of each line, with its time and its task.",
    );
    text
}

/// Where a time is, as a share of the width.
fn place(millis: u64, end: u64) -> String {
    let (left, width) = PLOT;
    // Times are small enough for a float to hold them.
    let share = millis as f64 / end as f64;
    format!("{:.2}%", left + width * share)
}

/// Round times from zero to the end, and what stands below them.
fn ticks(end: u64) -> Vec<(u64, String)> {
    let steps = [1, 2, 5].into_iter().cycle();
    let powers = (0..18).flat_map(|power| [power; 3]);
    let steps = steps
        .zip(powers)
        .map(|(step, power)| step * 10_u64.pow(power));
    let step = steps
        .into_iter()
        .find(|step| end / step <= 5)
        .unwrap_or(end);
    let times = (0..).map(|index| index * step);
    let times = times.take_while(|time| *time <= end);
    times
        .map(|time| (time, format!("{} s", short(time))))
        .collect()
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

fn short(millis: u64) -> String {
    let seconds = seconds(millis);
    seconds
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use xtask::transcript::Transcript;

    use super::{svg, ticks};

    #[test]
    fn a_lane_for_each_task_and_a_mark_for_each_time() {
        let golden = "  0.000  a\n  0.500  b <\n  0.500  c\n  1.000  d\n  1.000  (end)\n";
        let golden = Transcript::parse_golden(golden).unwrap();
        let tasks = ["main", "task 1", "task 1", "main"].map(str::to_owned);
        let svg = svg("x", &golden, &tasks);
        assert_eq!(svg.matches("class=\"lane\"").count(), 2);
        assert_eq!(svg.matches("class=\"mark\"").count(), 3);
        assert!(svg.contains("0.500 s: b &lt;&#10;c"), "{svg}");
        assert!(svg.contains("task 1 prints at 0.500."), "{svg}");
        assert!(svg.contains("cx=\"49.00%\""), "{svg}");
        assert!(!svg.contains("\n\n"));
    }

    #[test]
    fn ticks_are_few_and_round() {
        let labels = |end| {
            let ticks = ticks(end).into_iter().map(|(_, label)| label);
            ticks.collect::<Vec<String>>().join(" ")
        };
        assert_eq!(labels(2900), "0 s 0.5 s 1 s 1.5 s 2 s 2.5 s");
        assert_eq!(labels(500), "0 s 0.1 s 0.2 s 0.3 s 0.4 s 0.5 s");
        assert_eq!(labels(1), "0 s 0.001 s");
        assert_eq!(labels(100_000), "0 s 20 s 40 s 60 s 80 s 100 s");
    }
}
