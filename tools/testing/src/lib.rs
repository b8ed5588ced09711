//! What the tests of several examples share.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;
use tokio::task::JoinHandle;

const FEW: u64 = 500;
const MANY: u64 = 20_000;

/// Asserts that each of 20,000 waiters or entries costs at most five times as much as each
/// of 500: processors' caches make it two times, a loop over all of them forty times.
///
/// Counts the time that this thread works, so that other load does not matter. The pass
/// gets the number, and runs on the real clock.
///
/// # Panics
///
/// When the cost of each grows.
pub fn assert_each_costs_the_same(pass: impl AsyncFn(u64)) {
    let cost = |number: u64| {
        let passes = (0..2).map(|_| {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("the system has room for it");
            let begun = thread_time();
            runtime.block_on(pass(number));
            thread_time() - begun
        });
        let least = passes.min().unwrap_or_default();
        least.as_secs_f64() / number as f64
    };
    let (few, many) = (cost(FEW), cost(MANY));
    assert!(
        many < 5.0 * few,
        "each of {FEW} costs {few:.2e} s, each of {MANY} {many:.2e} s"
    );
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it is not negative")
}

/// Spawns that many tasks, and returns when all of them wait.
pub async fn all_wait<F>(number: u64, task: impl Fn(u64) -> F) -> Vec<JoinHandle<()>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks = (0..number).map(|index| tokio::spawn(task(index))).collect();
    // On one thread, tasks have their first turn in the order in which they were spawned.
    tokio::spawn(async {}).await.expect("it does not panic");
    tasks
}

/// Returns when all tasks have ended.
///
/// # Panics
///
/// When a task has panicked.
pub async fn all_end(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.await.expect("it does not panic");
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::assert_each_costs_the_same;

    async fn copy_all_each_time(number: u64) {
        let all = vec![1_u64; number as usize];
        for _ in 0..number {
            black_box(all.to_vec());
        }
    }

    #[test]
    #[should_panic(expected = "each of 500 costs")]
    fn work_on_all_for_each_is_noticed() {
        assert_each_costs_the_same(copy_all_each_time);
    }
}
