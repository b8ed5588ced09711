//! Whether programs are in time. A busy machine makes them late, so no gate asks for it.

use std::time::Duration;

use catalog::report::Failure;

use crate::checker::Checker;
use crate::{Run, Way};

/// How many runs a program has to be in time once.
const RUNS: usize = 5;

/// How late the slowest step of the best run may be.
const LATE: Duration = Duration::from_millis(20);

/// The same for an example that says `late: 50 (why)`.
const LATER: Duration = Duration::from_millis(50);

/// More wall time than a run on the virtual clock takes that does not block.
const BLOCKING: Duration = Duration::from_millis(100);

impl Checker<'_> {
    /// Runs an example as its reader does, five times on the real clock, and where it has no
    /// `clock: real` also on the virtual one: the best run counts.
    ///
    /// # Errors
    ///
    /// That it is late, that it blocks, or that it does not print its golden.
    pub(crate) fn judge_timing(&self, run: Run<'_>) -> Result<(), Failure> {
        let example = run.example;
        let failed = |problem: String| Failure::new(example.id(), problem);
        if !example.header.checks.real_clock {
            let (way, real, mut wall) = (Way::Run, false, Duration::MAX);
            for _ in 0..RUNS {
                let (recording, _) = self.record(Run { way, real, ..run })?;
                wall = wall.min(recording.wall.unwrap_or_default());
            }
            if wall > BLOCKING {
                let took = wall.as_secs_f64();
                let fix = "do not block; an example about blocking says `clock: real`";
                let problem =
                    format!("it blocks: on the virtual clock it took {took:.3} s");
                return Err(failed(problem).then("fix it", fix));
            }
        }
        let most = match example.header.checks.late {
            Some(_) => LATER,
            None => LATE,
        };
        let mut best = Duration::MAX;
        for _ in 0..RUNS {
            best = best.min(self.judge_run(run)?);
        }
        match best <= most {
            true => Ok(()),
            false => Err(failed(format!(
                "it is {} ms late in the best of {RUNS} runs, {} are the most",
                best.as_millis(),
                most.as_millis()
            ))),
        }
    }
}
