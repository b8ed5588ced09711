//! Every exercise of `docs/exercises.tsv`: its gap fails, and for no other reason; a
//! plausible mistake fails; its solution passes.

use std::collections::BTreeMap;
use std::thread;

use anyhow::Result;
use catalog::exercises::{all, compile, run, with_body, with_gaps};
use catalog::files::read;
use catalog::report::Failure;
use catalog::rustc::shown;
use catalog::tables::Exercise;
use catalog::workspace::{Example, Workspace};

/// How a program that was made of an exercise failed.
type Outcome = (String, Result<(), Failure>);

/// Makes a text of each exercise, compiles those of a section to one program, and runs them.
fn outcomes(
    workspace: &Workspace,
    exercises: &[Exercise],
    kind: &str,
    make: fn(&str, &Exercise) -> Result<String>,
) -> Vec<Outcome> {
    let mut sections: BTreeMap<&str, Vec<(&Example, String)>> = BTreeMap::new();
    for exercise in exercises {
        let example = workspace.example(&exercise.example);
        let example = example.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(example.id(), exercise.example);
        let source = read(&example.source).expect("the example can be read");
        let text = make(&source, exercise);
        let text = text.unwrap_or_else(|e| panic!("{}: {e}", exercise.example));
        let texts = sections.entry(&example.section).or_default();
        texts.push((example, text));
    }
    thread::scope(|scope| {
        let mut running = Vec::new();
        // The slow ones on the real clock are in the last section.
        for (section, texts) in sections.into_iter().rev() {
            let compiled = compile(workspace, &format!("{section}-{kind}"), &texts);
            let (program, errors) = compiled.expect("rustc can be run");
            assert!(errors.is_empty(), "{kind}: {}", shown(&errors));
            for (example, _) in texts {
                let program = program.clone();
                let run = move || (example.id(), run(workspace, example, &program));
                running.push(scope.spawn(run));
            }
        }
        let ended = running.into_iter().map(|it| it.join());
        ended.map(|it| it.expect("a run does not panic")).collect()
    })
}

#[test]
fn each_gap_and_each_mistake_fails_and_each_solution_passes() {
    let mut workspace = Workspace::open().expect("the workspace opens");
    workspace.build("").expect("it builds");
    let workspace = &workspace;
    let exercises = &all(workspace).expect("docs/exercises.tsv");
    let (gaps, mistakes) = thread::scope(|scope| {
        let gaps = scope.spawn(|| outcomes(workspace, exercises, "gap", with_gaps));
        let mistake = |source: &str, exercise: &Exercise| {
            with_body(source, &exercise.functions[0], &exercise.wrong)
        };
        let mistakes = outcomes(workspace, exercises, "mistake", mistake);
        (gaps.join().expect("the gaps"), mistakes)
    });
    let mut problems = Vec::new();
    for (id, outcome) in gaps {
        let problem = outcome.err().map(|failure| failure.problem);
        if !problem.is_some_and(|it| it.starts_with("the gap is still there: write")) {
            problems.push(format!("{id}: its gap is not noticed"));
        }
    }
    for (id, outcome) in mistakes {
        if outcome.is_ok() {
            problems.push(format!("{id}: the mistake in the table passes"));
        }
    }
    for exercise in exercises {
        let example = workspace.example(&exercise.example).expect("it is there");
        // Those on the real clock are checked with all examples, and with more patience.
        if !example.header.checks.real_clock {
            let section = workspace.binary(&example.section).expect("it was built");
            let failure = run(workspace, example, section).err();
            problems.extend(failure.map(|failure| failure.to_string()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(exercises.len() >= 25, "{} exercises", exercises.len());
}

/// The exercises of the guides, EX-1 to EX-5, are there: each has one of its examples.
#[test]
fn the_exercises_of_the_guides_can_be_done() {
    let workspace = Workspace::open().expect("the workspace opens");
    let exercises = all(&workspace).expect("docs/exercises.tsv");
    let blocks = catalog::tables::read(&workspace.root, "docs/guides.tsv");
    let blocks: Vec<(String, catalog::tables::Block)> = blocks.expect("docs/guides.tsv");
    let of_guides = blocks.iter().filter(|(_, block)| block.guide() == "EX");
    let mut count = 0;
    for (_, block) in of_guides {
        let is_one = |it: &Exercise| block.examples.contains(&it.example);
        assert!(
            exercises.iter().any(is_one),
            "{}: {}",
            block.block,
            block.heading
        );
        count += 1;
    }
    assert_eq!(count, 5);
}
