//! The commands that README and `.ci/run` name refuse a tree in which one thing is wrong: a
//! small workspace, judged by the same program as this one.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use catalog::workspace::cargo;
use tests::{Fixture, Ran, root};

const TREE: &str = "
[small/good]

[crates/small/compile-fail/mismatched.rs]
- warns
+ good
";

/// A workspace in which all is well.
fn tree() -> Fixture {
    let project = root().display().to_string().replace('\\', "/");
    let judge = format!(
        "[package]\nname = \"judge\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [lib]\npath = \"lib.rs\"\ntest = false\ndoctest = false\n\
         [[test]]\nname = \"examples\"\npath = \"{project}/tests/tests/examples.rs\"\n\
         harness = false\n[dependencies]\nanyhow = \"1\"\nlibtest-mimic = \"0.8\"\n\
         catalog.path = \"{project}/tools/catalog\"\n\
         checks.path = \"{project}/tools/checks\"\n"
    );
    let files = [
        ("docs/traps.tsv", "number\texample\n"),
        ("judge/Cargo.toml", &judge),
        ("judge/lib.rs", ""),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let tmp = env!("CARGO_TARGET_TMPDIR");
    let mut tree = Fixture::of(tmp, "gates", TREE, BTreeMap::from(files));
    let members = "members = [\"crates/small\", \"judge\"]";
    let both = format!("{members}\ndefault-{members}");
    tree.replace("Cargo.toml", "members = [\"crates/*\"]", &both);
    tree
}

/// What a gate says of the tree, and whether it passes.
fn judged(tree: &Fixture, gate: &str, words: &[&str]) -> (String, bool) {
    tree.lay();
    let ran = match gate {
        "cargo test" => {
            let mut command = tree.command(cargo());
            let words = words.iter().filter_map(|word| word.split_once('='));
            command.arg("test").envs(words);
            Ran::of(command.env_remove("RUST_TEST_THREADS"))
        }
        _ => tree.xtask(&[words, &["check-all"]].concat()),
    };
    (ran.said(), ran.code == Some(0))
}

/// Both gates refuse the tree, and say why; behind `||`, what `check-all` says instead.
#[track_caller]
fn assert_refused(tree: &Fixture, why: &str, words: &[&str]) {
    let (first, second) = why.split_once(" || ").unwrap_or((why, why));
    for (gate, why) in [("cargo test", first), ("check-all", second)] {
        let (said, passed) = judged(tree, gate, words);
        assert!(!passed, "{gate} passes:\n{said}");
        assert!(said.contains(why), "{gate} does not say `{why}`:\n{said}");
        println!("{gate}: {why}");
    }
}

/// In a file below `crates/small`, what is replaced by what, and why that is refused.
const TAMPERED: &str = r#"
golden/good.txt: both are done => both are over :: differs from crates/small/golden/good.txt
golden/good.txt: 0.200 => 0.201 :: differs from crates/small/golden/good.txt
src/good.rs: both are done => both are over :: differs from crates/small/golden/good.txt
python/good.py: both are done => both are over :: differs from crates/small/golden/good.txt
python/good.py: both are done" => done", end="" :: print(..., end=...) is not timed
src/good.rs: asyncio.gather => gathered :: `gathered` is not in docs/asyncio-api.tsv
compile-fail/mismatched.rs: "one" => 1 :: it compiles, but must fail with E0308
src/good.rs: println!("both => let it = println!("both :: does not compile: unused variable: `it`
src/good.rs: both().await => std::future::pending().await :: every task waits and no timer is set
src/main.rs: mod good; => :: cargo test selects 0 examples || no example matches
../../Cargo.toml: default-members = ["crates/small", => default-members = [ :: selects 0 || not checked
"#;

/// One after the other: they share a folder.
#[test]
fn each_gate_refuses_each_tampered_tree() {
    for (gate, last) in [
        (
            "cargo test",
            "judged: 1 examples, 1 twins, 1 copies, 1 prog",
        ),
        ("check-all", "6 passed, 0 failed"),
    ] {
        let (said, passed) = judged(&tree(), gate, &["REQUIRE_CPYTHON=1"]);
        assert!(passed && said.contains(last), "{gate}:\n{said}");
    }
    for row in TAMPERED.trim().lines() {
        let (change, why) = row.split_once(" :: ").unwrap();
        let (path, change) = change.split_once(": ").unwrap();
        let (from, to) = change.split_once(" =>").unwrap();
        let path = match path.strip_prefix("../../") {
            Some(path) => path.to_owned(),
            None => format!("crates/small/{path}"),
        };
        let mut tree = tree();
        tree.replace(&path, from, to.trim());
        assert_refused(&tree, why, &[]);
    }
    let mut stray = tree();
    let golden = "crates/small/golden/other.txt".to_owned();
    stray.files.insert(golden, "  0.000  (end)\n".to_owned());
    let why = "but the folders hold 2 examples || without an example";
    assert_refused(&stray, why, &[]);
    drop(stray);
    let none = ["PYTHON=/no/such/python", "REQUIRE_CPYTHON=1"];
    assert_refused(&tree(), "there is no such program", &none);
}
