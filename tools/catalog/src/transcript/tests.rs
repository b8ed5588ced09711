use std::time::Duration;

use super::{Recording, Transcript};

fn golden(text: &str) -> Transcript {
    Transcript::parse_golden(text).expect("a golden")
}

const GOLDEN: &str = "  0.000  a\n  0.100  b\n  0.100  c\n  1.000  d\n  1.000  (end)\n";

#[test]
fn goldens_keep_their_bytes() {
    let odd = "  0.000\n  0.001   two spaces more \n           a logger's\n\
               \x20 9.999  tab\there\n12345.678  late\n12345.679  (end)\n";
    assert_eq!(golden(odd).to_string(), odd);
    assert_eq!(golden("  0.000  (end)\n").lines, []);
}

#[test]
fn what_is_not_a_golden_is_refused() {
    for bad in [
        "",
        ".000  (end)\n",
        "  0.000  a\n",
        "  0.000  (end)",
        "  0.000  (end)\n  0.000  a\n",
        "  0.200  a\n  0.100  b\n  0.200  (end)\n",
        "  0.200  a\n  0.100  (end)\n",
        "99999999999999999999.000  (end)\n",
    ] {
        assert!(Transcript::parse_golden(bad).is_err(), "{bad:?} was taken");
    }
    let lines = "0.000  a|   0.000  a|  0.00  a|  0,000  a|  0.000 a|  0.000  |a|";
    for bad in lines.split('|') {
        let golden = format!("{bad}\n  0.000  (end)\n");
        assert!(
            Transcript::parse_golden(&golden).is_err(),
            "{bad:?} was taken"
        );
    }
    let crlf = Transcript::parse_golden(&GOLDEN.replace('\n', "\r\n"));
    assert!(crlf.is_err_and(|said| said.contains("CR LF")));
}

/// What is printed instead, and what is said of it; an empty text where it passes.
const ON_THE_REAL_CLOCK: &str = "\
0.000 a, 0.100 b, 0.100 c, 1.000 d, 1.000 (end):
0.000 a, 0.100 c, 0.149 b, 1.050 d, 1.050 (end):
9.000 a, 9.000 c, 9.000 b, 9.000 d, 9.000 (end):
0.100 b, 0.100 a, 0.100 c, 1.000 d, 1.000 (end):out of order:   0.100  a, due at  0.000
0.000 a, 0.100 b, 1.000 d, 1.001 c, 1.001 (end):out of order:   1.001  c, due at  0.100
0.000 a, 0.100 b, 1.000 d, 1.051 (end):missing:   0.100  c
0.000 a, 0.100 b, 0.100 c, 0.999 d, 0.999 (end):
0.000 a, 0.100 b, 0.100 c, 0.998 d, 1.000 (end):early:   0.998  d, due at  1.000
0.000 a, 0.100 b, 0.100 c, 1.000 d, 0.998 (end):early: it ended at  0.998
0.000 a, 0.100 b, 0.100 b, 1.000 d, 1.000 (end):not expected:   0.100  b
0.000 a, 0.100 b, 0.100 c, 1.000 (end):missing:   1.000  d
0.000 a, 0.100 b, 0.100 c, 1.000 d, 1.000 e, 1.000 (end):not expected:   1.000  e";

#[test]
fn the_real_clock_forgives_lateness_and_order_within_the_slack() {
    for line in ON_THE_REAL_CLOCK.lines() {
        let (printed, said) = line.split_once(":").expect("a line of the table");
        let lines = printed.split(", ").map(|line| line.replace(' ', "\t-\t"));
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        let (lines, end) = lines.trim_end().rsplit_once('\n').expect("an end");
        let end = end.trim_end_matches("\t-\t(end)");
        let printed =
            format!("# x\n{lines}\n# end {end} 0.001\n").replace("\t-\t", "\tthread\t");
        let printed = Recording::parse(&printed).transcript;
        match golden(GOLDEN).match_real(&printed, &[]) {
            Ok(()) => assert_eq!(said, "", "{printed}"),
            Err(problems) => {
                assert!(
                    !said.is_empty() && problems.lines().any(|it| it == said),
                    "{problems}"
                );
            }
        }
    }
}

#[test]
fn lines_whose_times_are_close_may_trade_places() {
    for (due, passes) in [("0.149", true), ("0.150", false)] {
        let golden = format!("  0.100  a\n  {due}  b\n  {due}  (end)\n");
        let text = "# x\n0.200\tthread\tb\n0.200\tthread\ta\n# end 0.200 0.001\n";
        let actual = Recording::parse(text).transcript;
        let golden = Transcript::parse_golden(&golden).expect("a golden");
        assert_eq!(golden.match_real(&actual, &[]).is_ok(), passes, "{due}");
        assert_eq!(golden.match_real(&actual, &["a".to_owned()]), Ok(()));
    }
}

#[test]
fn the_lines_of_one_task_keep_their_order() {
    let golden = golden("  0.100  a\n  0.100  b\n  0.100  a\n  0.100  (end)\n");
    for (printed, passes) in [
        ([("1", "a"), ("1", "b"), ("1", "a")], true),
        ([("1", "b"), ("2", "a"), ("1", "a")], true),
        // Two threads are not told apart.
        ([("thread", "b"), ("thread", "a"), ("thread", "a")], true),
        ([("1", "b"), ("1", "a"), ("1", "a")], false),
        ([("-", "a"), ("-", "a"), ("-", "b")], false),
    ] {
        let lines = printed.map(|(task, text)| format!("0.100\t{task}\t{text}\n"));
        let text = format!("# x\n{}# end 0.100 0.100\n", lines.concat());
        let actual = Recording::parse(&text).transcript;
        assert_eq!(
            golden.match_real(&actual, &[]).is_ok(),
            passes,
            "{printed:?}"
        );
        assert_eq!(golden.match_real(&actual, &["a".to_owned()]), Ok(()));
    }
}

/// A copy stamps a logger's lines too, at whatever time they come.
#[test]
fn lines_of_a_copy_keep_the_order_of_the_groups() {
    let golden = golden("           log\n  0.100  a\n           of b\n  0.100  (end)\n");
    for (lines, passes) in [
        ([(10, "  log"), (100, "a"), (149, "  of b")], true),
        ([(10, "  log"), (100, "  of b"), (900, "a")], true),
        ([(100, "a"), (100, "  log"), (100, "  of b")], false),
        ([(10, "  log"), (98, "a"), (100, "  of b")], false),
    ] {
        let at = |millis| Duration::from_millis(millis);
        let lines = lines.map(|(millis, text)| (at(millis), format!("{text}\n")));
        let recording = Recording::of_lines(&lines, at(140));
        let compared = golden.match_real(&recording.transcript, &[]);
        assert_eq!(compared.is_ok(), passes, "{lines:?}");
    }
}

#[test]
fn a_delay_is_counted_from_line_to_line() {
    let golden = golden("  0.000  a\n  0.100  b\n  0.200  c\n  0.200  (end)\n");
    for (printed, delay) in [
        ("0.900 a, 1.003 b, 1.100 c, 1.100 (end)", 3),
        ("0.000 a, 0.100 b, 0.230 c, 0.300 (end)", 70),
        ("0.000 a, 0.100 b, 0.200 c, 0.200 (end)", 0),
    ] {
        let printed = printed.split(", ").map(|line| line.replace(' ', "  "));
        let printed: String = printed.map(|line| format!("  {line}\n")).collect();
        let printed = Transcript::parse_golden(&printed).expect("it is of that form");
        assert_eq!(golden.longest_delay(&printed), Duration::from_millis(delay));
    }
}

#[test]
fn recordings() {
    let printed = "# x\n0.100\t-\ta\tb\nINFO\tlog\n0.200\t7\t\n# end 1.500 0.002\n";
    let parsed = Recording::parse(printed);
    assert_eq!(parsed.wall, Some(Duration::from_millis(2)));
    assert_eq!(
        parsed.transcript.to_string(),
        "  0.100  a\tb\n         INFO\tlog\n  0.200\n  1.500  (end)\n"
    );
    assert_eq!(Recording::parse("# x\n0.100\t-\ta\n").wall, None);
    assert_eq!(Recording::parse("").wall, None);
}
