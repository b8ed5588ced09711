//! `cargo xtask bless`: record goldens, and show what changed.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use catalog::python::Python;
use catalog::report::{Failure, counted};
use catalog::transcript::{SLACK, Transcript, diff};
use catalog::workspace::{Example, Workspace, read_golden};
use catalog::{WrongCall, files};
use checks::{Built, Checker, LIMIT, Report, Run, Way};

/// The times of a golden that is recorded on the real clock are rounded down to a multiple of
/// this; such examples wait for multiples of it. What the work before a line has taken is left
/// out of the times after it: otherwise it would add up, and a quicker machine would be early.
const GRID: u64 = 50;

/// How often a program is recorded on the real clock.
const RUNS: usize = 5;

/// By how many milliseconds less than before the work may have delayed a line.
const CAUGHT_UP: u64 = 12;

/// Records the goldens of each example that the filter selects.
///
/// The recording is the twin's, so that a port cannot bless its own mistake. Only where
/// there is no twin, or where the two differ on purpose, is the Rust program recorded.
///
/// # Errors
///
/// [`WrongCall`] when the filter selects nothing, or there is no Python for a twin; any
/// other error when a golden or standard output cannot be written.
pub fn bless(workspace: &Workspace, filter: &str) -> Result<ExitCode> {
    let needs_rust =
        |example: &&Example| !example.has_twin() || example.header.differs.is_some();
    let examples = workspace.selected(filter)?;
    let built = match examples.iter().any(needs_rust) {
        true => Built::new(workspace, filter)?,
        false => Built::default(),
    };
    let python = match examples.iter().any(|example| example.has_twin()) {
        true => Some(Python::find().map_err(WrongCall)?),
        false => None,
    };
    let checker = Checker::new(workspace, &built, python.as_ref(), LIMIT);
    let mut report = Report::default();
    let mut recorded = 0;
    for example in examples {
        let mut programs = Vec::new();
        if needs_rust(&example) {
            programs.push((Way::Run, &example.golden));
        }
        if example.has_twin() {
            programs.push((Way::Twin, &example.twin_golden));
        }
        let mut outcome = Ok(());
        for (way, golden) in programs {
            if way == Way::Twin
                && let Some(python) = &python
                && !python.is_new_enough_for(example)
            {
                let problem = format!("its twin needs a newer one than {python}");
                outcome = Err(Failure::new(example.id(), problem));
                continue;
            }
            match earliest(&checker, example, way) {
                Ok(transcript) => {
                    if let Some(changes) = write(example, golden, transcript)? {
                        recorded += 1;
                        let golden = workspace.relative(golden);
                        report.show(&format!("recorded {golden}\n{changes}"))?;
                    }
                }
                Err(failure) => outcome = Err(failure),
            }
        }
        report.count(&example.id(), outcome)?;
    }
    report.finish(&format!("{} changed", counted(recorded, "golden")))
}

/// Records a program. On the real clock, each line has its earliest time in several runs: a
/// busy machine can only delay it.
fn earliest(
    checker: &Checker<'_>,
    example: &Example,
    way: Way,
) -> Result<Transcript, Failure> {
    let run = Run::new(example, way);
    let mut earliest = checker.record(run)?.0.transcript;
    for _ in 1..if run.real { RUNS } else { 1 } {
        let again = checker.record(run)?.0.transcript;
        let texts = |it: &Transcript| -> Vec<String> {
            it.lines.iter().map(|line| line.text.clone()).collect()
        };
        // With another order, its times are those of other lines.
        if texts(&again) != texts(&earliest) {
            continue;
        }
        for (line, other) in earliest.lines.iter_mut().zip(again.lines) {
            line.millis = line.millis.zip(other.millis).map(|(a, b)| a.min(b));
        }
        earliest.end = earliest.end.min(again.end);
    }
    Ok(earliest)
}

/// Writes the golden if it changes, and returns the changes.
fn write(
    example: &Example,
    golden: &Path,
    mut transcript: Transcript,
) -> Result<Option<String>> {
    let before = match golden.exists() {
        true => files::read(golden)?,
        false => String::new(),
    };
    if example.header.checks.real_clock {
        // Order within a group and small delays differ from run to run: a golden that
        // this run meets is as good as what this run would give.
        let before = read_golden(golden);
        if let Ok(before) = before
            && before
                .match_real(&transcript, &example.header.checks.order)
                .is_ok()
            && before.longest_delay(&transcript) <= SLACK
        {
            return Ok(None);
        }
        let times = transcript.lines.iter_mut();
        let times = times.filter_map(|line| line.millis.as_mut());
        let (mut delay, mut due) = (0, 0);
        for millis in times.chain([&mut transcript.end]) {
            let ideal = (*millis + CAUGHT_UP).saturating_sub(delay);
            due = due.max(ideal - ideal % GRID);
            delay = millis.saturating_sub(due);
            *millis = due;
        }
    }
    let after = transcript.to_string();
    let changes = diff(&before, &after).err();
    if changes.is_some() {
        files::replace(golden, &after)?;
    }
    Ok(changes)
}
