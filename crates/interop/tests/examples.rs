//! Each example, with the module of Rust and without it: the same transcript, exit code 0
//! and nothing on standard error. A hundred times each with it, as a crash at the exit is a
//! race.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::{env, fs};

use catalog::python::Python;
use catalog::workspace::Workspace;

const RUNS: usize = 100;

/// Runs a program under uvloop.
const UVLOOP: &str = "
import asyncio, runpy, sys, uvloop

def run(main):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)

asyncio.run = run
runpy.run_path(sys.argv[1], run_name='__main__')
";

/// Functions of `attacks.py` that leave standard error empty.
const ATTACKS: [&str; 12] = [
    "memory_stays_flat",
    "five_thousand_at_the_same_time",
    "cancelled_at_each_millisecond",
    "eight_threads_with_eight_loops",
    "a_thread_of_python_runs_at_the_end",
    "zero_is_refused",
    "numbers_that_do_not_fit_are_refused",
    "objects_that_workers_drop_are_freed",
    "fork_before_the_first_call",
    "fork_after_the_first_call",
    "spawn_after_the_first_call",
    "a_loop_closes_under_a_pending_future",
];

/// The one that does not, and what is there.
const LOUD_ATTACK: (&str, &str) = ("panics_become_exceptions", "in a future");

/// The functions of `promises.py`: the name of an example, and what its page says.
const PROMISES: [&str; 16] = [
    "async_function_starts_the_work_at_the_call",
    "async_function_returns_a_future_that_create_task_refuses",
    "async_function_fails_without_a_running_event_loop",
    "async_iterator_is_at_most_ahead_rows_ahead",
    "async_iterator_stays_open_after_a_break",
    "async_iterator_total_closes_after_an_error",
    "call_python_pauses_ten_ms_more_each_time",
    "call_python_leaves_the_coroutine_of_a_dropped_future_running",
    "call_python_finds_no_event_loop_in_a_task_of_tokio",
    "cpu_bound_leaves_the_event_loop_free",
    "cpu_bound_delays_the_exit_by_two_seconds_when_it_is_cancelled",
    "log_and_trace_does_not_notice_a_level_that_changes_later",
    "queue_between_puts_nothing_when_put_is_cancelled",
    "shared_client_takes_no_line_of_more_than_64_kib",
    "shared_client_closes_a_connection_in_use_after_its_answer",
    "shutdown_waits_up_to_its_limit",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The names of the Python programs, and of the goldens and the modules: all the same.
fn names() -> Vec<String> {
    let stems = |dir: &str| {
        let files = fs::read_dir(folder(dir)).expect("a folder");
        let paths = files.map(|file| file.expect("a file").path());
        let stems = paths.map(|path| path.file_stem().expect("a name").to_owned());
        let mut names: Vec<String> =
            stems.map(|it| it.to_string_lossy().into()).collect();
        names.sort_unstable();
        names
    };
    let names = stems("python");
    assert_eq!(names, stems("golden"));
    let modules = stems("src").into_iter();
    assert!(
        modules
            .filter(|it| !["lib", "main", "tests"].contains(&it.as_str()))
            .eq(names.clone())
    );
    assert!(names.len() > 10, "{names:?}");
    names
}

/// The interpreter itself, as a wrapper would be started a thousand times.
fn python() -> String {
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    let output = command
        .args(["-c", "import sys; print(sys.executable, end='')"])
        .output();
    String::from_utf8(output.expect("CPython").stdout).expect("a path")
}

/// Runs the launcher.
fn launch(args: &[&str]) -> Output {
    let mut command = limited(env!("CARGO_BIN_EXE_interop"));
    command.args(args).output().expect("the launcher starts")
}

/// Where the launcher links the modules; it does so for each example here.
static MODULES: LazyLock<PathBuf> = LazyLock::new(|| {
    for name in names() {
        assert_eq!(problem(&launch(&[&name]), &golden(&name)), None, "{name}");
    }
    Path::new(env!("CARGO_BIN_EXE_interop")).with_file_name("interop-modules")
});

/// Runs Python with the modules.
fn run(python: &str, arguments: &[&str]) -> Output {
    let mut command = limited(python);
    command.env("PYTHONPATH", &*MODULES).args(arguments);
    command.output().expect("CPython starts")
}

fn path(file: &str) -> String {
    folder(file).display().to_string()
}

/// The interpreter in the environment with uvloop.
fn python_with_uvloop() -> String {
    let workspace = Workspace::open().expect("the workspace opens");
    let python = Python::find().expect("CPython");
    let python = python.environment(&workspace).expect("an environment");
    python.display().to_string()
}

fn limited(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["600", program]);
    command
}

/// Returns what is wrong with a run.
fn problem(output: &Output, golden: &str) -> Option<String> {
    let is_right = output.status.success()
        && output.stdout == golden.as_bytes()
        && output.stderr.is_empty();
    (!is_right).then(|| {
        let [out, err] =
            [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
        format!("{}\n{out}\n{err}", output.status)
    })
}

fn golden(name: &str) -> String {
    fs::read_to_string(folder("golden").join(format!("{name}.txt"))).expect("a golden")
}

#[test]
fn without_the_module_each_prints_its_golden() {
    for name in names() {
        let wrong = problem(&launch(&["--pure", &name]), &golden(&name));
        assert_eq!(wrong, None, "{name}");
    }
}

#[test]
fn with_the_module_each_prints_its_golden_and_ends_well_a_hundred_times() {
    let (names, python) = (names(), python());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(name) = names.get(number / RUNS) else {
                return wrong;
            };
            let output = run(&python, &[&path(&format!("python/{name}.py"))]);
            wrong.extend(problem(&output, &golden(name)).map(|it| (name, it)));
        }
    };
    let wrong: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(work)).collect();
        let each = threads.into_iter().map(|it| it.join().expect("no panic"));
        each.flatten().collect()
    });
    let count = wrong.len();
    assert_eq!(
        count,
        0,
        "of {} runs; the first: {:?}",
        names.len() * RUNS,
        wrong[0]
    );
}

#[test]
fn under_uvloop_each_prints_its_golden_and_ends_well() {
    let python = python_with_uvloop();
    for name in names().iter().cycle().take(5 * names().len()) {
        let output = run(
            &python,
            &["-c", UVLOOP, &path(&format!("python/{name}.py"))],
        );
        assert_eq!(problem(&output, &golden(name)), None, "{name}");
    }
}

#[test]
fn attacks_are_survived_on_both_event_loops() {
    let (python, attacks) = (python_with_uvloop(), path("tests/attacks.py"));
    for event_loop in ["asyncio", "uvloop"] {
        for attack in ATTACKS {
            let output = run(&python, &[&attacks, event_loop, attack]);
            assert_eq!(problem(&output, ""), None, "{event_loop}: {attack}");
        }
        let (attack, line) = LOUD_ATTACK;
        let output = run(&python, &[&attacks, event_loop, attack]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{event_loop}: {attack}: {error}");
        assert!(error.contains(line), "{event_loop}: {attack}: {error}");
    }
}

#[test]
fn what_the_pages_promise_holds_on_both_event_loops() {
    let (python, promises) = (python_with_uvloop(), path("tests/promises.py"));
    for event_loop in ["asyncio", "uvloop"] {
        for promise in PROMISES {
            let output = run(&python, &[&promises, event_loop, promise]);
            assert_eq!(problem(&output, ""), None, "{event_loop}: {promise}");
        }
    }
}

#[test]
fn a_module_that_does_not_load_is_not_taken_for_a_missing_one() {
    let output = launch(&["no_such_example"]);
    assert!(!output.status.success());
    // Without the variable the launcher would find the Python of the machine.
    let mut command = Command::new(env!("CARGO_BIN_EXE_interop"));
    let output = command.arg("cancel").env("PYTHON", "false").output();
    let output = output.expect("the launcher starts");
    assert!(!output.status.success() && output.stdout.is_empty());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("`cancel_rs` does not load"), "{error}");
}
