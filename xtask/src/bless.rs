//! `cargo xtask bless`: record goldens, and show what changed.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use crate::check::{Judge, Program, runtime};
use crate::python::Python;
use crate::report::Report;
use crate::scaffold;
use crate::transcript::{Transcript, diff};
use crate::workspace::{Example, Workspace};

/// The times of a golden that is recorded on the real clock are rounded down to a
/// multiple of this; such examples wait for multiples of it.
const GRID: Duration = Duration::from_millis(50);

/// Records the golden of each example that the filter selects, and returns whether all
/// of them could be recorded.
///
/// The recording is the twin's, so that a port cannot bless its own mistake; only an
/// example without a twin is recorded from Rust. `python` is asked for when the first
/// twin is to run.
///
/// # Errors
///
/// [`WrongCall`](crate::WrongCall) when the filter selects nothing; any other error when
/// a golden or standard output cannot be written, or when `python` fails.
pub fn bless(
    workspace: &Workspace,
    filter: &str,
    python: impl Fn() -> Result<Python>,
    limit: Duration,
) -> Result<bool> {
    let examples = workspace.matching(filter)?;
    let needs_python = examples
        .iter()
        .any(|example| example.header.no_twin.is_none());
    let python = if needs_python { Some(python()?) } else { None };
    let runtime = runtime()?;
    let mut report = Report::new(examples.len());
    let mut recorded = 0;
    for example in examples {
        let program = match (&example.header.no_twin, &python) {
            (None, Some(python)) => Program::Twin(python),
            _ => Program::Rust,
        };
        let judge = Judge {
            limit,
            ..Judge::new(program)
        };
        match runtime.block_on(judge.record(workspace, example)) {
            Ok(recording) => {
                let changes = write(&judge, example, recording.transcript)?;
                if let Some(changes) = changes {
                    recorded += 1;
                    report.show(&format!("recorded {}\n{changes}", example.id()))?;
                }
                report.pass(&example.id());
            }
            Err(failure) => report.fail(&failure)?,
        }
    }
    Ok(report.finish(&format!("{recorded} goldens changed"))?)
}

/// Writes the golden if it changes, and returns the changes.
fn write(
    judge: &Judge<'_>,
    example: &Example,
    mut transcript: Transcript,
) -> Result<Option<String>> {
    let before = fs::read_to_string(&example.golden).unwrap_or_default();
    if judge.is_real(example) {
        // Order within a group and small delays differ from run to run: a golden that
        // this run meets is as good as what this run would give.
        let golden = Transcript::parse_golden(&before).unwrap_or_default();
        if golden.match_loosely(&transcript, judge.slack).is_ok() && !before.is_empty() {
            return Ok(None);
        }
        let grid = u64::try_from(GRID.as_millis()).unwrap_or(1);
        for line in &mut transcript.lines {
            line.millis -= line.millis % grid;
        }
    }
    let after = transcript.to_string();
    if before == after && example.golden.exists() {
        return Ok(None);
    }
    scaffold::replace(&example.golden, &after)?;
    Ok(Some(diff(&before, &after)))
}
