//! Every example in each way in which it is used, and every program that must not compile:
//! a test each, as `SECTION/EXAMPLE/WAY`, judged once and finally.
//!
//! `cargo test hello_async` runs those of one example, `cargo test -- --list` lists all.
//! `cargo xtask check-all` is another view of the same checks.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::{Context as _, Error, Result, ensure};
use catalog::inventory;
use catalog::python::Python;
use catalog::report::Failure;
use catalog::workspace::{Example, Workspace};
use checks::{Built, Check, Checker, LIMIT, Run, Way, at_once, plan};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

/// Filled before the first test runs, and not for `--list`, which needs no build.
static CHECKER: OnceLock<Checker<'static>> = OnceLock::new();

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(at_once());
    // The tests own what they look at until the process ends.
    let workspace: &'static Workspace = Box::leak(Box::new(Workspace::open()?));
    let python = Python::if_there(false).map_err(Error::msg)?;
    let python: Option<&'static Python> =
        python.map(|python| &*Box::leak(Box::new(python)));
    let sections = workspace.sections.iter().filter(|it| it.is_default);
    let examples: Vec<&Example> =
        sections.flat_map(|section| &section.examples).collect();
    let mut checks = plan::all(workspace, &examples, |way| Way::QUICK.contains(&way))?;
    let counts = Counts::of(&checks);
    let on_disk = counts_on_disk(&workspace.root)?;
    ensure!(
        counts == on_disk && counts.0[0] > 0,
        "cargo test selects {counts}, but the folders hold {on_disk}"
    );
    plan::in_good_order(&mut checks);
    let filter = arguments.filter.clone().unwrap_or_default();
    if !arguments.list {
        let built = Box::leak(Box::new(Built::new(workspace, "")?));
        let checker = Checker::new(workspace, built, python, LIMIT);
        checker.prepare(checks.iter().filter(|it| it.to_string().contains(&filter)))?;
        CHECKER.set(checker).ok().context("it is set once")?;
    }
    let mut trials = vec![Trial::test("files", move || files(workspace))];
    trials.extend(checks.into_iter().map(|check| trial(check, python)));
    // That the gate can refuse; `gates.rs` has more of this.
    if let [first, second, ..] = workspace.sections[0].examples.as_slice() {
        let mut golden = first.clone();
        golden.golden.clone_from(&second.golden);
        trials.push(Trial::test("gate/changed_golden", move || refuses(&golden)));
        let mut program = first.clone();
        program.name.clone_from(&second.name);
        trials.push(Trial::test("gate/changed_program", move || {
            refuses(&program)
        }));
    }
    let all = trials.len();
    let conclusion = libtest_mimic::run(&arguments, trials);
    ended(&arguments, &conclusion, all, &counts)
}

/// Says how much was judged, and fails if that is not all that was asked for.
fn ended(
    arguments: &Arguments,
    conclusion: &Conclusion,
    all: usize,
    counts: &Counts,
) -> Result<ExitCode> {
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let judged = usize::try_from(conclusion.num_passed + conclusion.num_failed)?;
    let left_out = usize::try_from(conclusion.num_filtered_out)?;
    let ignored = usize::try_from(conclusion.num_ignored)?;
    if !arguments.list && judged == 0 {
        println!("No example, twin or copy has `{filter}` in its name.");
        ensure!(
            !filter.is_empty() || !arguments.skip.is_empty(),
            "nothing was judged"
        );
    }
    if !arguments.list && left_out == 0 {
        ensure!(judged + ignored == all, "{judged} of {all} were judged");
        match ignored {
            0 => println!("judged: {counts}, as many as there are files"),
            _ => println!(
                "judged: {counts}; but not {ignored} twins: no CPython is new enough"
            ),
        }
    }
    Ok(conclusion.exit_code())
}

fn trial(check: Check<'static>, python: Option<&Python>) -> Trial {
    let (name, can_run) = (check.to_string(), check.can_run(python));
    let trial = Trial::test(name, move || {
        let checker = CHECKER.get().ok_or("nothing was built")?;
        // It begins where libtest-mimic has put nothing before it.
        let failed = |failure| Failed::from(Failure::to_string(&failure));
        checker.judge(&check).map_err(failed)
    });
    trial.with_ignored_flag(!can_run)
}

/// That an example is refused whose golden or program is that of another one.
fn refuses(example: &Example) -> Result<(), Failed> {
    let checker = CHECKER.get().ok_or("nothing was built")?;
    match checker.judge(&Check::Example(Run::new(example, Way::Run))) {
        Err(failure) if failure.problem.contains("differs from") => Ok(()),
        other => Err(format!("a changed example is not refused: {other:?}").into()),
    }
}

/// That the files of the workspace belong together.
fn files(workspace: &Workspace) -> Result<(), Failed> {
    let problems = inventory::check(workspace, "")?;
    let problems: String = problems.iter().map(ToString::to_string).collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.into()),
    }
}

/// How much is judged: examples, twins, copies, and programs that must not compile.
#[derive(Debug, PartialEq, Eq)]
struct Counts([usize; 4]);

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [examples, twins, copies, fails] = self.0;
        let fails = format!("{fails} programs that must not compile");
        write!(
            f,
            "{examples} examples, {twins} twins, {copies} copies, {fails}"
        )
    }
}

impl Counts {
    fn of(checks: &[Check<'_>]) -> Self {
        let mut counts = [0; 4];
        for check in checks {
            let kind = match check.way() {
                Way::Run => 0,
                Way::Twin => 1,
                Way::Copy => 2,
                Way::CompileFail => 3,
                _ => continue,
            };
            counts[kind] += 1;
        }
        Self(counts)
    }
}

/// Counts the files themselves: of each folder of `crates` that the root's Cargo.toml names
/// twice, as a member and as a default member.
fn counts_on_disk(root: &Path) -> Result<Counts> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let mut counts = [0; 4];
    for section in fs::read_dir(root.join("crates"))? {
        let section = section?;
        let name = section.file_name().display().to_string();
        if manifest.contains("default-members")
            && manifest.matches(&format!("\"crates/{name}\"")).count() < 2
        {
            continue;
        }
        let count = |folder: &str, ending: &str| -> Result<usize> {
            let folder = section.path().join(folder);
            if !folder.exists() {
                return Ok(0);
            }
            let files: std::io::Result<Vec<_>> = fs::read_dir(folder)?.collect();
            let names = files?.into_iter().map(|it| it.file_name());
            let names = names.filter(|name| name.display().to_string().ends_with(ending));
            Ok(names.count())
        };
        let goldens = count("golden", ".txt")? - count("golden", ".python.txt")?;
        let [twins, copies] = [count("python", ".py")?, count("src", ".rs")? - 1];
        let own = [goldens, twins, copies, count("compile-fail", ".rs")?];
        counts = std::array::from_fn(|kind| counts[kind] + own[kind]);
    }
    Ok(Counts(counts))
}
