//! `cargo xtask bless`: record goldens, and show what changed.

use std::path::Path;

use anyhow::Result;
use catalog::python::Python;
use catalog::report::{Failure, counted};
use catalog::transcript::{SLACK, Transcript, diff};
use catalog::workspace::{Example, Workspace, read_golden};
use catalog::{WrongCall, files};
use checks::{Built, Checker, LIMIT, Outcome, Program, Report, Run};

/// From line to line, the times of a golden that is recorded on the real clock are rounded down
/// to a multiple of this; such examples wait for multiples of it. What the work between two
/// waits has taken does not add up then, so no quicker machine is early.
const GRID: u64 = 50;

/// By how many milliseconds a step may be measured too short, as both ends are rounded down.
const ROUNDED: u64 = 2;

/// Records the goldens of each example that the filter selects.
///
/// The recording is the twin's, so that a port cannot bless its own mistake. Only where
/// there is no twin, or where the two differ on purpose, is the Rust program recorded.
///
/// # Errors
///
/// [`WrongCall`] when the filter selects nothing, or there is no Python for a twin; any
/// other error when a golden or standard output cannot be written.
pub fn bless(workspace: &Workspace, filter: &str) -> Result<Outcome> {
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
            programs.push((Program::Rust, &example.golden));
        }
        if example.has_twin() {
            programs.push((Program::Twin, &example.twin_golden));
        }
        let mut outcome = Ok(());
        for (program, golden) in programs {
            if program == Program::Twin
                && let Some(python) = &python
                && !python.is_new_enough_for(example)
            {
                let problem = format!("its twin needs a newer one than {python}");
                outcome = Err(Failure::new(example.id(), problem));
                continue;
            }
            let real = example.header.checks.real_clock;
            match checker.record(Run {
                example,
                program,
                real,
            }) {
                Ok((recording, _)) => {
                    if let Some(changes) = write(example, golden, recording.transcript)? {
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
        let (mut before, mut due) = (0, 0);
        for millis in times.chain([&mut transcript.end]) {
            let step = millis.saturating_sub(before) + ROUNDED;
            before = *millis;
            due += step - step % GRID;
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
