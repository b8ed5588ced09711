//! The program that runs the twins: its clock, its `print`, its command line.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, ExitCode, Output};

use snapbox::assert_data_eq;
use tests::{Test, test};

const TESTS: &[Test] = &[
    test!(the_clock_moves_instead_of_waiting, Python),
    test!(equal_delays_end_in_the_order_in_which_they_began, Python),
    test!(equal_deadlines_fire_in_the_same_pass, Python),
    test!(the_time_module_shows_the_same_clock, Python),
    test!(a_sleep_that_blocks_the_loop_takes_its_time, Python),
    test!(the_clock_holds_still_while_an_executor_works, Python),
    test!(the_clock_holds_still_for_work_that_nobody_waits_for, Python),
    test!(the_clock_holds_still_while_executors_are_shut_down, Python),
    test!(print_writes_whole_lines, Python),
    test!(other_streams_are_left_alone, Python),
    test!(the_form_for_programs, Python),
    test!(on_the_real_clock, Python),
    test!(a_thread_that_is_left_belongs_to_the_program, Python),
    test!(a_program_that_can_never_go_on, Python),
    test!(a_closed_pipe_ends_it_quietly, Python),
    test!(wrong_calls, Python),
    test!(the_public_names_of_asyncio, Python),
];

fn main() -> ExitCode {
    tests::run(TESTS)
}

fn run_twin(arguments: &[&str], program: &str) -> Output {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let twin = dir.path().join("twin.py");
    fs::write(&twin, program).expect("the program can be written");
    command()
        .args(arguments)
        .arg(twin)
        .output()
        .expect("python runs")
}

fn command() -> Command {
    let mut command = Command::new(tests::python().program());
    command.arg(tests::root().join("tests/python/run_twin.py"));
    command
}

/// Runs the body of an `async def main` on the virtual clock.
#[track_caller]
fn assert_prints(body: &str, expected: &str) {
    let mut program =
        "import asyncio, sys, threading, time\nasync def main():\n".to_owned();
    for line in body.lines() {
        program.push_str(&format!("    {line}\n"));
    }
    program.push_str("asyncio.run(main())\n");
    let output = run_twin(&[], &program);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_data_eq!(
        String::from_utf8(output.stdout).unwrap(),
        expected.to_owned()
    );
    assert_eq!(output.status.code(), Some(0));
}

fn the_clock_moves_instead_of_waiting() {
    assert_prints(
        "print('a')\nawait asyncio.sleep(1000)\nprint('b')\nawait asyncio.sleep(0.001)\n\
         print('c')\nawait asyncio.sleep(0)\nprint('d')",
        "  0.000  a\n1000.000  b\n1000.001  c\n1000.001  d\n",
    );
}

fn equal_delays_end_in_the_order_in_which_they_began() {
    assert_prints(
        "async def wait(n):\n    await asyncio.sleep(0.1)\n    print(n)\n\
         await asyncio.gather(*(wait(n) for n in range(200)))",
        &(0..200)
            .map(|n| format!("  0.100  {n}\n"))
            .collect::<String>(),
    );
}

fn equal_deadlines_fire_in_the_same_pass() {
    // All have woken before any goes on, as on the real loop, where a pass takes longer
    // than the time between two of the calls.
    let line = |what: &str| {
        (0..20)
            .map(|n| format!("  0.100  {n} {what}\n"))
            .collect::<String>()
    };
    assert_prints(
        "async def wait(n):\n    await asyncio.sleep(0.1)\n    print(n, 'wakes')\n\
         \x20   await asyncio.sleep(0)\n    print(n, 'goes on')\n\
         await asyncio.gather(*(wait(n) for n in range(20)))",
        &(line("wakes") + &line("goes on")),
    );
}

fn the_time_module_shows_the_same_clock() {
    assert_prints(
        "readings = [time.time, time.monotonic, time.perf_counter]\n\
         before = [read() for read in readings]\n\
         before_ns = [time.time_ns(), time.monotonic_ns(), time.perf_counter_ns()]\n\
         await asyncio.sleep(2.5)\n\
         print([round(read() - was, 6) for read, was in zip(readings, before)])\n\
         after_ns = [time.time_ns(), time.monotonic_ns(), time.perf_counter_ns()]\n\
         print([round((b - a) / 1e9, 6) for a, b in zip(before_ns, after_ns)])\n\
         print(round(asyncio.get_running_loop().time(), 3))",
        "  2.500  [2.5, 2.5, 2.5]\n  2.500  [2.5, 2.5, 2.5]\n  2.500  2.5\n",
    );
}

fn a_sleep_that_blocks_the_loop_takes_its_time() {
    assert_prints(
        "async def tick():\n    await asyncio.sleep(0.1)\n    print('tick')\n\
         task = asyncio.create_task(tick())\n\
         await asyncio.sleep(0)\ntime.sleep(0.3)\nprint('awake')\nawait task\n\
         await asyncio.to_thread(time.sleep, 0.05)\nprint('after a thread')",
        "  0.300  awake\n  0.300  tick\n  0.300  after a thread\n",
    );
}

fn the_clock_holds_still_while_an_executor_works() {
    // A timer a thousand times shorter than the work does not fire before its end.
    assert_prints(
        "done = threading.Event()\n\
         async def timer():\n    await asyncio.sleep(0.0005)\n    print(done.is_set())\n\
         def work():\n    threading.Event().wait(0.5)\n    done.set()\n    return 7\n\
         task = asyncio.create_task(timer())\n\
         print(await asyncio.to_thread(work))\nawait task",
        "  0.000  7\n  0.000  True\n",
    );
}

fn the_clock_holds_still_for_work_that_nobody_waits_for() {
    assert_prints(
        "done = threading.Event()\n\
         def work():\n    threading.Event().wait(0.5)\n    done.set()\n\
         call = asyncio.get_running_loop().run_in_executor(None, work)\n\
         call.cancel()\n\
         await asyncio.sleep(1)\nprint(done.is_set())",
        "  1.000  True\n",
    );
}

fn the_clock_holds_still_while_executors_are_shut_down() {
    let program = "import asyncio, threading\n\
        async def main():\n    await asyncio.to_thread(print, 'in a thread')\n\
        asyncio.run(main())\nprint('behind the end of the loop')\n";
    let output = run_twin(&[], program);
    assert_data_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "  0.000  in a thread\n  0.000  behind the end of the loop\n"
    );
}

fn print_writes_whole_lines() {
    assert_prints(
        "print('a', 1, None, sep='-')\nprint()\nprint('two\\nlines')\n\
         try:\n    print('x', end='')\nexcept ValueError as error:\n    print(error)",
        "  0.000  a-1-None\n  0.000\n  0.000  two\n  0.000  lines\n\
         \x20 0.000  a twin prints whole lines: print(..., end=...) is not timed\n",
    );
}

fn other_streams_are_left_alone() {
    let output = run_twin(&[], "import sys\nprint('err', file=sys.stderr)\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

fn the_form_for_programs() {
    let program = "import asyncio\n\
        async def main():\n    print('a\\tb')\n    await asyncio.sleep(0.25)\n\
        print('before')\nasyncio.run(main())\n";
    let output = run_twin(&["--tsv"], program);
    assert_data_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "# twin\n0.000\t-\tbefore\n0.000\tTask-1\ta\tb\n# end 0.250 0.0[..]\n"
    );
}

fn on_the_real_clock() {
    let program = "import asyncio, time\n\
        async def main():\n    start = time.monotonic()\n    await asyncio.sleep(0.3)\n\
        \x20   print(time.monotonic() - start >= 0.29)\nasyncio.run(main())\n";
    let output = run_twin(&["--real-time"], program);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (seconds, text) = stdout.trim().split_once("  ").expect("a time and a text");
    assert_eq!(text, "True");
    assert!(seconds.parse::<f64>().unwrap() >= 0.29, "{stdout}");
}

fn a_thread_that_is_left_belongs_to_the_program() {
    let program = "import asyncio, threading, time\nasync def main():\n\
        \x20   threading.Thread(target=time.sleep, args=(0.3,)).start()\n\
        asyncio.run(main())\n";
    let output = run_twin(&["--tsv", "--real-time"], program);
    assert_data_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "# twin\n# end 0.3[..] 0.3[..]\n"
    );
}

fn a_program_that_can_never_go_on() {
    let program = "import asyncio\n\
        async def main():\n    await asyncio.Event().wait()\nasyncio.run(main())\n";
    let output = run_twin(&[], program);
    assert_data_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "...\nRuntimeError: deadlock: every task waits and no timer is set\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

fn a_closed_pipe_ends_it_quietly() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let twin = dir.path().join("twin.py");
    fs::write(&twin, "for n in range(1000):\n    print(n)\n").unwrap();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = command();
    command
        .arg(twin)
        .stdout(writer)
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("python runs");
    drop(command);
    let output = child.wait_with_output().expect("python ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

fn wrong_calls() {
    for arguments in [&[][..], &["no-such-file.py"], &["--fast", "x.py"]] {
        let output = command().args(arguments).output().expect("python runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        assert_data_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "usage: run_twin.py [..]\nrun_twin.py: error: [..]\n"
        );
    }
}

/// `tests/python/asyncio-all.tsv` says what this CPython says, if it is one of those that
/// the table is about.
fn the_public_names_of_asyncio() {
    let program = "import asyncio, sys; print('3.%d' % sys.version_info[1]); \
                   print(*asyncio.__all__, sep='\\n')";
    let python = Command::new(tests::python().program())
        .args(["-I", "-c", program])
        .output();
    let said = String::from_utf8(python.expect("python runs").stdout).unwrap();
    let (version, names) = said.split_once('\n').expect("a version");
    let names = names.lines().map(|name| format!("asyncio.{}", name.trim()));
    let names: BTreeSet<String> = names.collect();
    let path = tests::root().join("tests/python/asyncio-all.tsv");
    let table = fs::read_to_string(path).unwrap();
    let rows = table.lines().skip(1).map(|row| row.split('\t').collect());
    let rows: Vec<Vec<&str>> = rows.collect();
    let has_version =
        |row: &&Vec<&str>| row[1].split(' ').any(|has| has == version.trim());
    if !rows.iter().any(|row| has_version(&row)) {
        eprintln!("the table says nothing of CPython {version}");
        return;
    }
    let here = if cfg!(windows) { "Windows" } else { "Unix" };
    let listed = rows.iter().filter(has_version);
    let listed = listed.filter(|row| row[2] == "all" || row[2] == here);
    let listed: BTreeSet<String> = listed.map(|row| row[0].to_owned()).collect();
    let missing: Vec<&String> = names.difference(&listed).collect();
    let wrong: Vec<&String> = listed.difference(&names).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "CPython {version} also has {missing:?}, and does not have {wrong:?}"
    );
}
