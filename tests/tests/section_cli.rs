//! The command line of a section, as a user calls it.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use snapbox::str;
use tests::{Fixture, Mutant};
use xtask::transcript::Transcript;

const PROGRAMS: [Mutant; 3] = [
    Mutant::new(
        "returns_error",
        "Ok(())",
        r#"Err("no such file".to_owned())"#,
    ),
    Mutant::new("panics", "Ok(())", r#"panic!("the sky falls")"#),
    Mutant::new(
        "spawns",
        r#"println!("both are done");"#,
        r#"tokio::spawn(async { println!("first\n\nthird\tcolumn"); }).await.unwrap();
               println!();"#,
    ),
];

fn sample() -> (Fixture, PathBuf) {
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "section", &PROGRAMS, &[]);
    let section = fixture.section();
    (fixture, section)
}

/// Runs the fixture's section with these arguments.
fn run(arguments: &[&str]) -> snapbox::cmd::OutputAssert {
    let (_fixture, section) = sample();
    snapbox::cmd::Command::new(section).args(arguments).assert()
}

const GOOD: &str = "  0.000  left starts
  0.000  right starts
  0.300  left ends
  0.400  right ends
  0.650  both are done
";

#[test]
fn one_example_on_the_virtual_clock() {
    run(&["--virtual-time", "good"])
        .success()
        .stdout_eq(GOOD)
        .stderr_eq("");
}

#[test]
fn one_example_on_the_real_clock() {
    let output = run(&["good"]).success().stderr_eq("").get_output().clone();
    let printed = String::from_utf8(output.stdout).unwrap();
    let golden =
        |lines: &str| Transcript::parse_golden(&format!("{lines} 99.000  (end)\n"));
    let (printed, golden) = (golden(&printed).unwrap(), golden(GOOD).unwrap());
    assert_eq!(
        golden.match_loosely(&printed, Duration::from_secs(5)),
        Ok(())
    );
}

#[test]
fn several_examples_have_headings_and_clocks_of_their_own() {
    run(&["--virtual-time", "good", "good"])
        .success()
        .stdout_eq(format!(
            "# good: Wait for two at once.\n{GOOD}\n# good: Wait for two at once.\n{GOOD}"
        ));
}

#[test]
fn without_a_name_all_run_also_behind_those_that_fail() {
    let output = run(&["--virtual-time"]).code(1).get_output().clone();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let headings: Vec<&str> = stdout
        .lines()
        .filter(|line| line.starts_with('#'))
        .collect();
    assert_eq!(
        headings,
        ["good", "returns_error", "panics", "spawns"]
            .map(|name| format!("# {name}: Wait for two at once."))
    );
    snapbox::assert_data_eq!(
        String::from_utf8(output.stderr).unwrap(),
        str![[r#"
error: returns_error: "no such file"

thread 'main' ([..]) panicked at [..]
the sky falls
...
error: panics: panicked: the sky falls

"#]]
    );
}

#[test]
fn on_the_real_clock_failures_are_told_too() {
    run(&["returns_error", "panics"])
        .code(1)
        .stderr_eq(str![[r#"
error: returns_error: "no such file"

thread 'main' ([..]) panicked at [..]
the sky falls
...
error: panics: panicked: the sky falls

"#]]);
}

#[test]
fn the_form_for_programs() {
    run(&["--virtual-time", "--tsv", "spawns", "good"])
        .success()
        .stdout_eq(str![[r#"
# spawns
0.000	-	left starts
0.000	-	right starts
0.300	-	left ends
0.400	-	right ends
0.650	[..]	first
0.650	[..]	
0.650	[..]	third	column
0.650	-	
# end 0.650 0.[..]
# good
0.000	-	left starts
0.000	-	right starts
0.300	-	left ends
0.400	-	right ends
0.650	-	both are done
# end 0.650 0.[..]

"#]]);
}

#[test]
fn the_task_id_tells_tasks_apart() {
    let output = run(&["--virtual-time", "--tsv", "spawns"])
        .get_output()
        .clone();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let task = |text: &str| {
        let line = stdout.lines().find(|line| line.ends_with(text)).unwrap();
        line.split('\t').nth(1).unwrap().to_owned()
    };
    assert_eq!(task("left starts"), "-");
    task("first")
        .parse::<u64>()
        .expect("a spawned task has a number");
}

#[test]
fn each_line_of_a_text_has_its_time() {
    run(&["--virtual-time", "spawns"]).success().stdout_eq(
        "  0.000  left starts
  0.000  right starts
  0.300  left ends
  0.400  right ends
  0.650  first
  0.650
  0.650  third\tcolumn
  0.650
",
    );
}

/// Runs the fixture's section with these arguments and draws in so many columns.
fn draw(arguments: &[&str], columns: &str) -> String {
    let (_fixture, section) = sample();
    let output = Command::new(section)
        .arg("--timeline")
        .args(arguments)
        .env("COLUMNS", columns)
        .output()
        .expect("the section runs");
    String::from_utf8(output.stdout).unwrap()
}

const TIMELINE: &str = "
Timeline of 0.650 s: `o` is a line, a digit so many lines.
main: left starts  2----------------o----o-------------o
                   +---------------------------+--------
                   0.000                       0.500
";

#[test]
fn the_timeline_follows_the_run() {
    let drawn = draw(&["--virtual-time", "good"], "56");
    assert_eq!(drawn, format!("{GOOD}{TIMELINE}"));
}

#[test]
fn the_timeline_has_a_row_for_each_task() {
    assert_eq!(
        draw(&["--virtual-time", "spawns"], "56"),
        "  0.000  left starts
  0.000  right starts
  0.300  left ends
  0.400  right ends
  0.650  first
  0.650
  0.650  third\tcolumn
  0.650

Timeline of 0.650 s: `o` is a line, a digit so many lines.
main: left starts  2----------------o----o-------------o
task 1: first                                          3
                   +---------------------------+--------
                   0.000                       0.500
"
    );
    let spawned = draw(&["--virtual-time", "--spawn", "good"], "58");
    let main = TIMELINE.replace("main: left starts", "task 1: left starts");
    let main = main.replace("\n    ", "\n      ");
    assert_eq!(spawned, format!("{GOOD}{main}"));
}

#[test]
fn each_of_several_examples_has_its_timeline() {
    let heading = "# good: Wait for two at once.\n";
    let run = format!("{heading}{GOOD}{TIMELINE}");
    let drawn = draw(&["--virtual-time", "good", "good"], "56");
    assert_eq!(drawn, format!("{run}\n{run}"));
}

#[test]
fn the_width_is_that_of_the_terminal_or_eighty() {
    for (columns, width) in [("100", 100), ("", 80), ("0", 80), ("wide", 80)] {
        let drawn = draw(&["--virtual-time", "good"], columns);
        let ruler = drawn.lines().rev().nth(1).unwrap();
        assert_eq!(ruler.len(), width, "{columns}: {drawn}");
        assert!(ruler.ends_with("--"), "{ruler}");
    }
}

#[test]
fn what_fails_is_drawn_up_to_its_end() {
    for name in ["returns_error", "panics"] {
        let drawn = draw(&["--virtual-time", name], "56");
        assert!(drawn.ends_with(TIMELINE), "{name}: {drawn}");
    }
}

#[test]
fn the_timeline_on_the_real_clock() {
    let drawn = draw(&["good"], "56");
    let (_, timeline) = drawn.split_once("\n\nTimeline of 0.").expect(&drawn);
    let row = timeline.lines().nth(1).unwrap();
    let lane = row.strip_prefix("main: left starts").expect(&drawn);
    let lines = lane.chars().map(|mark| match mark {
        'o' => 1,
        mark => mark.to_digit(10).unwrap_or(0),
    });
    assert_eq!(lines.sum::<u32>(), 5, "{drawn}");
    assert!(lane.ends_with('o'), "{drawn}");
}

#[test]
fn the_list() {
    run(&["--list"]).success().stderr_eq("").stdout_eq(str![[r#"
good           Wait for two at once.
returns_error  Wait for two at once.
panics         Wait for two at once.
spawns         Wait for two at once.

"#]]);
}

#[test]
fn the_source_is_the_file() {
    let good = tests::root().join("tests/fixture/crates/sample/src/good.rs");
    run(&["--source", "good"])
        .success()
        .stdout_eq(fs::read_to_string(good).unwrap());
}

#[test]
fn the_help_names_every_option() {
    run(&["--help"]).success().stderr_eq("").stdout_eq(str![[r#"
A section for the tests

Usage: cargo run -p sample -- [OPTIONS] [EXAMPLE]... [-- ARGUMENTS]

Arguments:
  [EXAMPLE]...          The examples to run, in this order; without a name, all of them
  [-- ARGUMENTS]        What the program of a single example is given

Options:
      --virtual-time    Skip the waits; the printed times stay exact
      --spawn           Run each example inside `tokio::spawn`
      --timeline        Draw after the run when each task printed: a row for each task, a
                        mark for each line, in the terminal's width
      --tsv             Print seconds, task id and text, separated by tabs, between lines
                        that begin with #: the example's name, and its end
      --list            Print every example with its summary
      --source EXAMPLE  Print the source file, a complete program
  -h, --help            Print this help

Each line shows the seconds since the start of its example.

"#]]);
}

#[test]
fn an_unknown_name_runs_nothing_and_suggests_the_nearest() {
    run(&["good", "god"])
        .code(2)
        .stdout_eq("")
        .stderr_eq(str![[r#"
error: no example `god`; did you mean `good`?
`cargo run -p sample -- --help` explains the options.

"#]]);
    run(&["--source", "godd"])
        .code(2)
        .stdout_eq("")
        .stderr_eq(str![[r#"
error: no example `godd`; did you mean `good`?
...
"#]]);
    run(&["elephant"]).code(2).stdout_eq("").stderr_eq(str![[r#"
error: no example `elephant`; --list shows which there are
...
"#]]);
}

#[test]
fn wrong_options_run_nothing() {
    for arguments in [
        &["--virtual"][..],
        &["-v"],
        &["--source"],
        &["--source", "good", "--list"],
        &["--list", "good"],
        &["--list", "--tsv"],
        &["--list", "--timeline"],
        &["good", "--timeline", "--tsv"],
        &["", "good"],
        &["good", "good", "--", "for-whom"],
    ] {
        run(arguments)
            .code(2)
            .stdout_eq("")
            .stderr_eq("error: [..]\n`cargo run -p[..]\n");
    }
}

#[test]
fn the_iterators_suggest_the_generator() {
    let iterators = tests::executable("iterators");
    snapbox::cmd::Command::new(iterators)
        .arg("genrator")
        .assert()
        .code(2)
        .stdout_eq("")
        .stderr_eq("error: no example `genrator`; did you mean `generator`?\n...");
}

#[test]
fn lines_come_as_they_are_printed() {
    let (_fixture, section) = sample();
    let mut child = Command::new(section)
        .arg("good")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the section runs");
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert!(line.ends_with("left starts\n"), "{line}");
    // The example goes on for another 1.7 seconds; a buffer would have held the line
    // until the end.
    assert!(
        child.try_wait().unwrap().is_none(),
        "it had ended before the line came"
    );
    child.wait().unwrap();
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let (_fixture, section) = sample();
    for arguments in [&["--virtual-time"][..], &["good"], &["--list"], &["--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let Output { status, stderr, .. } = Command::new(&section)
            .args(arguments)
            .stdout(writer)
            .output()
            .expect("the section runs");
        assert_eq!(String::from_utf8_lossy(&stderr), "", "{arguments:?}");
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let (_fixture, section) = sample();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let output = Command::new(section)
        .arg("good")
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .expect("the section runs");
    snapbox::assert_data_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: cannot write to standard output: [..]\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// Programs that print in ways that are hard to get right.
const PRINTING: [Mutant; 6] = [
    Mutant::new(
        "thread",
        r#"println!("both are done");"#,
        r#"std::thread::spawn(|| println!("in a thread")).join().ok();"#,
    ),
    Mutant::new(
        "arguments",
        r#"println!("both are done");"#,
        r#"println!("{:?}", std::env::args().skip(1).collect::<Vec<_>>());"#,
    ),
    Mutant::new(
        "waits_for_ever",
        r#"println!("both are done");"#,
        "std::future::pending::<()>().await;",
    ),
    Mutant::new(
        "crowd",
        r#"println!("both are done");"#,
        r#"let tasks: Vec<_> = (0..500)
               .map(|n| tokio::spawn(async move { println!("{n}\n{n}"); }))
               .collect();
               for task in tasks { task.await.unwrap(); }"#,
    ),
    Mutant::new(
        "nested",
        r#"println!("both are done");"#,
        r#"struct Loud;
               impl std::fmt::Display for Loud {
                   fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                       println!("inner");
                       f.write_str("outer")
                   }
               }
               println!("{Loud}");"#,
    ),
    Mutant::new(
        "last_words",
        r#"println!("both are done");"#,
        r#"struct Last;
               impl Drop for Last {
                   fn drop(&mut self) { println!("dropped with the runtime"); }
               }
               let last = Last;
               tokio::spawn(async move {
                   let _last = last;
                   std::future::pending::<()>().await
               });
               sleep(Duration::from_millis(100)).await;"#,
    ),
];

fn printing() -> (Fixture, PathBuf) {
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "printing", &PRINTING, &[]);
    let section = fixture.section();
    (fixture, section)
}

#[test]
fn many_threads_print_whole_lines_in_the_order_of_time() {
    let (_fixture, section) = printing();
    let output = Command::new(section)
        .arg("crowd")
        .output()
        .expect("the section runs");
    let printed = String::from_utf8(output.stdout).unwrap();
    // Refuses a line that is earlier than the one before.
    let printed = format!("{printed} 99.000  (end)\n");
    let printed = Transcript::parse_golden(&printed).unwrap();
    let numbers: Vec<&str> = printed.lines[4..]
        .iter()
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(numbers.len(), 1000);
    for pair in numbers.chunks(2) {
        assert_eq!(pair[0], pair[1], "a text of two lines was torn apart");
    }
}

#[test]
fn a_thread_has_the_time_of_its_example() {
    let (_fixture, section) = printing();
    let program = snapbox::cmd::Command::new(section);
    let output = program.args(["--virtual-time", "--tsv", "thread"]).assert();
    output
        .success()
        .stdout_eq("...\n0.400\t-\tright ends\n0.650\tthread\tin a thread\n...");
}

#[test]
fn an_example_sees_only_its_own_arguments() {
    let (_fixture, section) = printing();
    for (arguments, seen) in [
        (&["--virtual-time", "arguments"][..], "[]"),
        (
            &["--virtual-time", "sample/Arguments", "--", "--list", "x y"],
            r#"["--list", "x y"]"#,
        ),
        (&["--virtual-time", "arguments", "nested"], "[]"),
    ] {
        let output = snapbox::cmd::Command::new(&section)
            .args(arguments)
            .assert();
        output
            .success()
            .stdout_eq(format!("...\n  0.650  {seen}\n..."));
    }
}

#[test]
fn a_deadlock_on_the_virtual_clock_is_told() {
    let (_fixture, section) = printing();
    for spawn in [&[][..], &["--spawn"]] {
        let program = snapbox::cmd::Command::new(&section);
        let output = program
            .args(["--virtual-time", "waits_for_ever"])
            .args(spawn)
            .assert();
        output.code(1).stderr_eq(
            "error: waits_for_ever: deadlock: every task waits and no timer is set\n",
        );
    }
}

#[test]
fn what_is_printed_may_print() {
    let (_fixture, section) = printing();
    let output = Command::new(section)
        .args(["--virtual-time", "nested"])
        .output()
        .expect("the section runs");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.ends_with("  0.650  inner\n  0.650  outer\n"),
        "{printed}"
    );
}

#[test]
fn a_destructor_at_the_very_end_reads_the_same_clock() {
    let (_fixture, section) = printing();
    for arguments in [&["--virtual-time"][..], &["--virtual-time", "--spawn"]] {
        let output = Command::new(&section)
            .args(arguments)
            .arg("last_words")
            .output()
            .expect("the section runs");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(
            printed.ends_with("  0.750  dropped with the runtime\n"),
            "{printed}"
        );
    }
}
