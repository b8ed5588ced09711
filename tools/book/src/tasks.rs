//! Which task prints each line: found by running the examples.

use std::time::Duration;

use anyhow::{Result, ensure};
use catalog::transcript::{Line, Recording, Transcript};
use catalog::workspace::Example;
use checks::{Built, process};

/// More time than any example takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs an example: on the virtual clock, or really where it says so. That it prints what
/// its golden says is for the tests to find out.
pub fn run(built: &Built, example: &Example) -> Result<Vec<Line>> {
    let mut command = process::limited(built.binary(&example.section)?);
    command.arg("--tsv").arg(&example.name);
    if !example.header.checks.real_clock {
        command.arg("--virtual-time");
    }
    let finished = process::run(command, LIMIT, || {})?;
    let Recording { transcript, wall } = Recording::parse(&finished.stdout());
    let (id, stderr) = (example.id(), finished.stderr);
    ensure!(wall.is_some(), "{id} does not end:\n{stderr}");
    Ok(transcript.lines)
}

/// Returns for each line of the golden what a reader calls the task that printed it, in
/// the order of their first lines: the runtime's numbers say nothing.
///
/// Takes the first printed line with the same text that was not taken yet: on the real
/// clock, lines of one time come in any order.
pub fn names(golden: &Transcript, printed: &[Line]) -> Vec<String> {
    let mut printed: Vec<&Line> = printed.iter().collect();
    let mut known: Vec<&str> = Vec::new();
    let name = |line: &Line| {
        let Some(index) = printed.iter().position(|other| other.text == line.text) else {
            return "unknown".to_owned();
        };
        match printed.remove(index).task.as_deref() {
            Some("-") => "main".to_owned(),
            Some("thread") => "a thread".to_owned(),
            // No `println!` has printed it.
            None => "a logger".to_owned(),
            Some(task) => {
                let index = known.iter().position(|known| *known == task);
                let index = index.unwrap_or_else(|| {
                    known.push(task);
                    known.len() - 1
                });
                format!("task {}", index + 1)
            }
        }
    };
    golden.lines.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use catalog::transcript::{Recording, Transcript};

    use super::names;

    #[test]
    fn lines_find_their_tasks_whatever_their_order() {
        let golden = "  0.100  a\n  0.100  b\n  0.100  a\n  0.200  c\n  0.200  (end)\n";
        let golden = Transcript::parse_golden(golden).expect("a golden");
        let printed = "# x\n0.100\t7\tb\n0.100\t5\ta\n0.100\t-\ta\n# end 0.200 0.200\n";
        let printed = Recording::parse(printed).transcript.lines;
        let names = names(&golden, &printed);
        assert_eq!(names, ["task 1", "task 2", "main", "unknown"]);
    }
}
