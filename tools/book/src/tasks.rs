//! Which task prints each line: found by running the examples.

use std::collections::HashMap;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::runtime::Builder;
use xtask::files::read;
use xtask::process;
use xtask::transcript::{Line, Recording, Transcript};
use xtask::workspace::{Example, Workspace, build};

/// More time than any example takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the examples whose sources are not in `printed` yet: on the virtual clock, or
/// really where they say so, many at once. That they print what their goldens say is for
/// the tests to find out.
///
/// # Errors
///
/// When a section does not build, or an example does not come to its end.
pub fn run(
    workspace: &Workspace,
    printed: &mut HashMap<String, Vec<Line>>,
) -> Result<()> {
    let mut programs = Vec::new();
    for section in &workspace.sections {
        for example in &section.examples {
            let source = read(&example.source)?;
            if !printed.contains_key(&source) {
                programs.push((example, source));
            }
        }
    }
    let mut binaries = HashMap::new();
    for (example, _) in &programs {
        if !binaries.contains_key(&example.section) {
            let binary = build(&workspace.root, &example.section)?;
            binaries.insert(&example.section, binary);
        }
    }
    let run = async |example: &Example, source: String| {
        let mut command = process::limited(&binaries[&example.section]);
        command.arg("--tsv").arg(&example.name);
        if !example.header.real_clock {
            command.arg("--virtual-time");
        }
        let finished = process::run(command, LIMIT).await?;
        let Recording { transcript, wall } = Recording::parse(&finished.stdout);
        let id = example.id();
        ensure!(wall.is_some(), "{id} does not end:\n{}", finished.stderr);
        Ok((source, transcript.lines))
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let cores = available_parallelism().map_or(1, NonZero::get);
    let (real, fast): (Vec<_>, Vec<_>) = programs
        .into_iter()
        .partition(|(example, _)| example.header.real_clock);
    for (group, jobs) in [(fast, cores), (real, 16 * cores)] {
        let runs = group
            .into_iter()
            .map(|(example, source)| run(example, source));
        let runs = stream::iter(runs).buffer_unordered(jobs);
        printed.extend(runtime.block_on(runs.try_collect::<Vec<_>>())?);
    }
    Ok(())
}

/// Returns for each line of the golden what a reader calls the task that printed it, in
/// the order of their first lines: the runtime's numbers say nothing.
///
/// Takes the first printed line with the same text that was not taken yet: on the real
/// clock, lines of one time come in any order.
pub fn names(golden: &Transcript, printed: Option<&Vec<Line>>) -> Vec<String> {
    let mut printed: Vec<&Line> = printed.into_iter().flatten().collect();
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
    use xtask::transcript::{Recording, Transcript};

    use super::names;

    #[test]
    fn lines_find_their_tasks_whatever_their_order() {
        let golden = "  0.100  a\n  0.100  b\n  0.100  a\n  0.200  c\n  0.200  (end)\n";
        let golden = Transcript::parse_golden(golden).expect("a golden");
        let printed = "# x\n0.100\t7\tb\n0.100\t5\ta\n0.100\t-\ta\n# end 0.200 0.200\n";
        let printed = Recording::parse(printed).transcript.lines;
        let names = names(&golden, Some(&printed));
        assert_eq!(names, ["task 1", "task 2", "main", "unknown"]);
    }
}
