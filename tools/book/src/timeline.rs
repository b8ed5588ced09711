//! The timeline: a lane for each task, and a mark for each line that it prints.

use askama::Template;
use catalog::transcript::Transcript;

use crate::markup::seconds;

/// The height of a lane, in pixels.
const LANE: usize = 34;

/// How much of the width is left of time zero, and how much is used, in percent.
const PLOT: (f64, f64) = (2.0, 94.0);

/// The picture of a transcript. Its horizontal places are shares of the width, so that it
/// fits any; colours are those of the style sheet.
#[derive(Template)]
#[template(path = "timeline.svg", escape = "html")]
pub struct Timeline<'a> {
    name: &'a str,
    lanes: Vec<Lane<'a>>,
    lines: usize,
    end: u64,
}

/// A task with the texts that it prints at each time.
struct Lane<'a> {
    task: &'a str,
    marks: Vec<(u64, Vec<&'a str>)>,
}

impl Lane<'_> {
    /// Returns from when to when the task certainly runs.
    fn span<'b>(
        &self,
        first: &'b u64,
        last: &'b u64,
        end: &'b u64,
    ) -> (&'b u64, &'b u64) {
        match self.task {
            "main" => (&0, end),
            _ => (first, last),
        }
    }
}

impl<'a> Timeline<'a> {
    /// Returns that of a transcript in which each line has the task of the same place in
    /// `tasks`.
    pub fn new(name: &'a str, transcript: &'a Transcript, tasks: &'a [String]) -> Self {
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
            match marks.last_mut().filter(|(millis, _)| *millis == now) {
                Some((_, texts)) => texts.push(&line.text),
                None => marks.push((now, vec![&line.text])),
            }
        }
        Self {
            name,
            lanes,
            lines: transcript.lines.len(),
            end: transcript.end,
        }
    }

    fn bottom(&self) -> usize {
        self.lanes.len() * LANE + 4
    }

    /// Returns where a time is, as a share of the width.
    fn place(&self, millis: &u64) -> String {
        let (left, width) = PLOT;
        // Times are small enough for a float to hold them.
        let share = *millis as f64 / self.end.max(1) as f64;
        format!("{:.2}%", left + width * share)
    }

    /// Returns round times from zero to the end, and what stands below them.
    fn ticks(&self) -> Vec<(u64, String)> {
        let end = self.end.max(1);
        let steps = (0..18).flat_map(|power| [1, 2, 5].map(|it| it * 10_u64.pow(power)));
        let step = steps.into_iter().find(|step| end / step <= 5);
        let times = (0..=end).step_by(step.unwrap_or(end) as usize);
        let label = |time: u64| (time, format!("{} s", time as f64 / 1000.0));
        times.map(label).collect()
    }
}

#[cfg(test)]
mod tests {
    use askama::Template as _;
    use catalog::transcript::Transcript;

    use super::Timeline;

    #[test]
    fn a_lane_for_each_task_and_a_mark_for_each_time() {
        let golden = "  0.000  a\n  0.500  b <\n  0.500  c\n  1.000  d\n  2.000  (end)\n";
        let golden = Transcript::parse_golden(golden).expect("a golden");
        let tasks = ["main", "task 1", "task 1", "main"].map(str::to_owned);
        let svg = Timeline::new("x", &golden, &tasks).render();
        let svg = svg.expect("it renders");
        assert_eq!(svg.matches("class=\"lane\"").count(), 2);
        assert_eq!(svg.matches("class=\"mark\"").count(), 3);
        assert!(svg.contains("0.500 s: b &#60;&#10;c"), "{svg}");
        assert!(svg.contains("task 1 prints at 0.500."), "{svg}");
        assert!(svg.contains("cx=\"25.50%\""), "{svg}");
        let spans = ["x1=\"2.00%\" x2=\"96.00%\"", "x1=\"25.50%\" x2=\"25.50%\""];
        assert!(spans.iter().all(|span| svg.contains(span)), "{svg}");
        // An empty line would end the block of HTML.
        assert!(!svg.contains("\n\n"), "{svg}");
    }

    #[test]
    fn ticks_are_few_and_round() {
        let labels = |end| {
            let golden = Transcript {
                end,
                ..Transcript::default()
            };
            let ticks = Timeline::new("x", &golden, &[]).ticks().into_iter();
            ticks
                .map(|(_, label)| label)
                .collect::<Vec<String>>()
                .join(" ")
        };
        assert_eq!(labels(2900), "0 s 0.5 s 1 s 1.5 s 2 s 2.5 s");
        assert_eq!(labels(500), "0 s 0.1 s 0.2 s 0.3 s 0.4 s 0.5 s");
        assert_eq!(labels(1), "0 s 0.001 s");
        assert_eq!(labels(100_000), "0 s 20 s 40 s 60 s 80 s 100 s");
    }
}
