//! Which task prints each line: found by running the examples, and kept until a source
//! changes.

use std::collections::BTreeMap;

use anyhow::Result;
use futures::{StreamExt, stream};
use xtask::check::{Options, Program, default_jobs, run, runtime};
use xtask::files::read;
use xtask::transcript::{Line, Transcript};
use xtask::workspace::{Example, Workspace};

use crate::cache::Cache;
use crate::versions::Versions;

/// What stands in place of a task for a line of which no run says who printed it.
pub const UNKNOWN: &str = "?";

/// What stands there for a line that no `println!` printed.
const LOGGED: &str = "log";

/// The name of what is kept; another one where its form has changed.
const KIND: &str = "tasks2";

/// The tasks of each example's lines, by `section/example`, in the order of the golden.
pub type Tasks = BTreeMap<String, Vec<String>>;

/// Takes the tasks of all examples from the cache, or runs the examples: on the virtual
/// clock, or really where they say so, many at once.
///
/// Without `may_run`, and where a run prints something else than the golden, lines are of
/// the task [`UNKNOWN`]. That the two agree is for the tests to say.
///
/// # Errors
///
/// When a section does not build, an example cannot be run, or a file cannot be read or
/// written.
pub fn tasks(
    workspace: &mut Workspace,
    versions: &Versions,
    goldens: &BTreeMap<String, Transcript>,
    may_run: bool,
) -> Result<Tasks> {
    let cache = Cache::new(workspace);
    let mut recorded = BTreeMap::new();
    let mut missing = Vec::new();
    for example in workspace.examples() {
        let source = read(&example.source)?;
        match cache.get(KIND, &[&source, &versions.lock]) {
            Some(text) => drop(recorded.insert(example.id(), parse(&text))),
            None if may_run => missing.push((example.id(), source)),
            None => {}
        }
    }
    let mut sections: Vec<&str> = Vec::new();
    sections.extend(missing.iter().filter_map(|(id, _)| id.split('/').next()));
    sections.dedup();
    for section in sections {
        workspace.build(&format!("{section}/"))?;
    }
    let workspace = &*workspace;
    let options = Options::new(false);
    let examples = missing
        .iter()
        .map(|(id, source)| Ok((workspace.example(id)?, source.as_str())));
    let examples: Vec<(&Example, &str)> = examples.collect::<Result<_>>()?;
    let (real, fast): (Vec<_>, Vec<_>) = examples
        .into_iter()
        .partition(|(example, _)| options.is_real(example));
    for (group, real) in [(fast, false), (real, true)] {
        let runs = group.iter().map(|(example, source)| {
            let options = &options;
            async move {
                let ran = run(workspace, example, Program::Rust, options).await;
                (example.id(), *source, ran)
            }
        });
        let runs = stream::iter(runs).buffer_unordered(default_jobs(real));
        let runs: Vec<_> = runtime()?.block_on(runs.collect());
        for (id, source, ran) in runs {
            let (recording, _) = ran.map_err(|failure| anyhow::anyhow!("{failure}"))?;
            let lines = recording.transcript.lines;
            let text: String = lines.iter().map(written).collect();
            cache.put(KIND, &[source, &versions.lock], &text)?;
            recorded.insert(id, parse(&text));
        }
    }
    let mut tasks = Tasks::new();
    for (id, golden) in goldens {
        let printed = recorded.remove(id).unwrap_or_default();
        tasks.insert(id.clone(), assign(golden, printed));
    }
    Ok(tasks)
}

fn written(line: &Line) -> String {
    let task = line.task.as_deref().unwrap_or(LOGGED);
    format!("{task}\t{}\n", line.text)
}

fn parse(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    lines
        .map(|(task, text)| (task.to_owned(), text.to_owned()))
        .collect()
}

/// For each line of the golden the task of the first printed line with its text that was
/// not taken yet: on the real clock, lines of one time come in any order.
fn assign(golden: &Transcript, mut printed: Vec<(String, String)>) -> Vec<String> {
    let task_of = |line: &Line| {
        let found = printed.iter().position(|(_, text)| *text == line.text);
        found.map_or_else(|| UNKNOWN.to_owned(), |index| printed.remove(index).0)
    };
    golden.lines.iter().map(task_of).collect()
}

/// What a reader calls the tasks, in the order of their first lines: the runtime's
/// numbers say nothing.
pub fn names(tasks: &[String]) -> Vec<String> {
    let mut known: Vec<&str> = Vec::new();
    let mut names = Vec::new();
    for task in tasks {
        names.push(match task.as_str() {
            "-" => "main".to_owned(),
            "thread" => "a thread".to_owned(),
            LOGGED => "a logger".to_owned(),
            UNKNOWN => "unknown".to_owned(),
            task => {
                let known_at = known.iter().position(|known| *known == task);
                let index = known_at.unwrap_or_else(|| {
                    known.push(task);
                    known.len() - 1
                });
                format!("task {}", index + 1)
            }
        });
    }
    names
}

#[cfg(test)]
mod tests {
    use xtask::transcript::Transcript;

    use super::{assign, names};

    #[test]
    fn lines_find_their_tasks_whatever_their_order() {
        let golden = "  0.100  a\n  0.100  b\n  0.100  a\n  0.200  c\n  0.200  (end)\n";
        let golden = Transcript::parse_golden(golden).unwrap();
        let printed = [("7", "b"), ("5", "a"), ("-", "a")];
        let printed = printed.map(|(task, text)| (task.to_owned(), text.to_owned()));
        let tasks = assign(&golden, printed.to_vec());
        assert_eq!(tasks, ["5", "7", "-", "?"]);
        assert_eq!(names(&tasks), ["task 1", "task 2", "main", "unknown"]);
    }
}
