//! Whether programs are in time. A busy machine makes them late, so no gate asks for it.

use std::time::Duration;

use catalog::report::Failure;
use catalog::workspace::{Example, read_golden};

use crate::checker::{Checker, Program, Run};

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
    pub fn judge_timing(&self, example: &Example) -> Result<(), Failure> {
        let failed = |problem: String| Failure::new(example.id(), problem);
        let golden = read_golden(&example.golden).map_err(failed)?;
        let program = match example.demo {
            Some(_) => Program::Rust,
            None => Program::Copy,
        };
        if program == Program::Copy {
            self.compile_copy(example)?;
        }
        if !example.header.checks.real_clock {
            self.judge_wall(example)?;
        }
        let late = match example.header.checks.late {
            Some(_) => LATER,
            None => LATE,
        };
        let free = &example.header.checks.order;
        let mut delays = Vec::new();
        for _ in 0..RUNS {
            let (recording, typed) = self.record(Run {
                example,
                program,
                real: true,
            })?;
            let printed = recording.transcript;
            golden.match_real(&printed, free).map_err(|wrong| {
                let failure =
                    failed("what it printed differs from its golden".to_owned());
                failure.with(wrong).then("run it again", &typed)
            })?;
            delays.push(golden.longest_delay(&printed));
        }
        let best = delays.into_iter().min().unwrap_or_default();
        if best > late {
            return Err(failed(format!(
                "it is {} ms late in the best of {RUNS} runs, {} are the most",
                best.as_millis(),
                late.as_millis()
            )));
        }
        Ok(())
    }

    /// That the example does not block, where blocking would take no virtual time.
    fn judge_wall(&self, example: &Example) -> Result<(), Failure> {
        let run = Run {
            example,
            program: Program::Rust,
            real: false,
        };
        let mut walls = Vec::new();
        for _ in 0..RUNS {
            walls.push(self.record(run)?.0.wall.unwrap_or_default());
        }
        let wall = walls.into_iter().min().unwrap_or_default();
        if wall > BLOCKING {
            let wall = wall.as_secs_f64();
            let problem = format!("it blocks: on the virtual clock it took {wall:.3} s");
            let fix = "do not block; an example about blocking says `clock: real`";
            return Err(Failure::new(example.id(), problem).then("fix it", fix));
        }
        Ok(())
    }
}
