//! The commands that README and `.ci/run` name refuse a tree in which one thing is wrong: a
//! small workspace, judged by the same program as this one.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use catalog::workspace::cargo;
use tests::{root, stderr, stdout};

/// A command, and what it must say: `cargo test`, or `check-all` of the xtask.
#[derive(Debug, Clone, Copy)]
enum Gate {
    CargoTest,
    CheckAll,
}

use Gate::{CargoTest, CheckAll};

/// The files of a workspace in which all is well, by their paths.
struct Tree {
    dir: PathBuf,
    target: PathBuf,
    files: BTreeMap<String, String>,
}

// Not `sample`, as a section of the fixture is called: both are built into one folder.
const PROGRAM: &str = "crates/small/src/good.rs";
const TWIN: &str = "crates/small/python/good.py";
const GOLDEN: &str = "crates/small/golden/good.txt";
const FAILS: &str = "crates/small/compile-fail/mismatched.rs";
const MAIN: &str = "crates/small/src/main.rs";
const MANIFEST: &str = "Cargo.toml";

impl Tree {
    fn new() -> Self {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
        let project = root().display().to_string().replace('\\', "/");
        let mut files = BTreeMap::new();
        let mut add = |path: &str, text: String| files.insert(path.to_owned(), text);
        let fixture = |name: &str| read(&format!("tests/fixture/{name}"));
        let members = "[workspace]\nresolver = \"3\"\nmembers = [\"crates/small\", \"judge\"]\n\
                       default-members = [\"crates/small\", \"judge\"]\n";
        let rest = fixture("Cargo.toml");
        let (_, rest) = rest.split_once("\n\n").unwrap();
        add(MANIFEST, format!("{members}\n{rest}"));
        add("Cargo.lock", read("Cargo.lock"));
        let section = fixture("section.toml").replace("SECTION", "small");
        add(
            "crates/small/Cargo.toml",
            section.replace("TOOLS", &format!("{project}/tools")),
        );
        add(
            MAIN,
            "#[macro_use]\nextern crate runner;\nextern crate harness as tokio;\n\nmod good;\n\
             \nrunner::section!();\n"
                .to_owned(),
        );
        add(PROGRAM, fixture("good.rs"));
        add(TWIN, fixture("good.py"));
        add(GOLDEN, fixture("good.txt"));
        add(
            FAILS,
            fixture("compile_fail.rs").replace("example: warns", "example: good"),
        );
        // One name, without the examples of the project.
        let names = read("docs/asyncio-api.tsv");
        let (head, _) = names.split_once('\n').unwrap();
        let row = names.lines().find(|it| it.starts_with("asyncio.gather\t"));
        let (row, _) = row.unwrap().rsplit_once('\t').unwrap();
        add("docs/asyncio-api.tsv", format!("{head}\n{row}\t\n"));
        add("docs/questions.tsv", "question\texamples\n".to_owned());
        add("docs/traps.tsv", "number\texample\n".to_owned());
        add("docs/crates.tsv", "name\tpurpose\n".to_owned());
        add("tools/python/run_twin.py", read("tools/python/run_twin.py"));
        add("tools/python/requirements.txt", String::new());
        add(
            "judge/Cargo.toml",
            format!(
                "[package]\nname = \"judge\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                 [lib]\npath = \"lib.rs\"\ntest = false\ndoctest = false\n\
                 [[test]]\nname = \"examples\"\npath = \"{project}/tests/tests/examples.rs\"\n\
                 harness = false\n[dependencies]\nanyhow = \"1\"\nlibtest-mimic = \"0.8\"\n\
                 catalog.path = \"{project}/tools/catalog\"\n\
                 checks.path = \"{project}/tools/checks\"\n"
            ),
        );
        add("judge/lib.rs", String::new());
        Self {
            dir: tmp.join("gates"),
            target: tmp.join("fixture-target"),
            files,
        }
    }

    /// Replaces a text that stands in a file once.
    fn replace(&mut self, path: &str, from: &str, to: &str) {
        let text = self.files.get_mut(path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {path}");
        *text = text.replace(from, to);
    }

    fn add(&mut self, path: &str, text: &str) {
        self.files.insert(path.to_owned(), text.to_owned());
    }

    /// Lets a gate judge the tree. Words of the form `NAME=VALUE` are for its environment.
    fn judge(&self, gate: Gate, words: &[&str]) -> Output {
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir).unwrap();
        }
        for (path, text) in &self.files {
            let path = self.dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut command = match gate {
            CargoTest => {
                let mut command = Command::new(cargo());
                command.arg("test");
                command
            }
            CheckAll => {
                let mut command = Command::new(tests::xtask());
                command.arg("check-all");
                command
            }
        };
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => command.env(name, value),
                None => command.arg(word),
            };
        }
        command
            .current_dir(&self.dir)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_NET_OFFLINE", "true")
            .env_remove("RUST_TEST_THREADS")
            .stdin(Stdio::null());
        command.output().unwrap()
    }
}

/// Each gate refuses the tree that `tamper` makes, and says why.
#[track_caller]
fn refused(tamper: impl Fn(&mut Tree), gates: &[(Gate, &str)]) {
    for (gate, why) in gates {
        let mut tree = Tree::new();
        tamper(&mut tree);
        assert_refuses(&tree, *gate, &[], why);
    }
}

#[track_caller]
fn assert_refuses(tree: &Tree, gate: Gate, words: &[&str], why: &str) {
    let output = tree.judge(gate, words);
    let said = stdout(&output) + &stderr(&output);
    assert!(!output.status.success(), "{gate:?} passes:\n{said}");
    assert!(said.contains(why), "{gate:?} does not say `{why}`:\n{said}");
    println!("{gate:?}: {why}");
}

/// One after the other: they share a folder.
#[test]
fn each_gate_refuses_each_tampered_tree() {
    let tree = Tree::new();
    for (gate, last) in [
        (
            CargoTest,
            "judged: 1 examples, 1 twins, 1 copies, 1 programs",
        ),
        (CheckAll, "6 passed, 0 failed"),
    ] {
        let output = tree.judge(gate, &["REQUIRE_CPYTHON=1"]);
        let said = stdout(&output) + &stderr(&output);
        assert!(
            output.status.success() && said.contains(last),
            "{gate:?}:\n{said}"
        );
    }
    let differs = "what it printed differs from crates/small/golden/good.txt";
    let both = |why: &'static str| [(CargoTest, why), (CheckAll, why)];
    refused(
        |tree| tree.replace(GOLDEN, "both are done", "both are over"),
        &both(differs),
    );
    refused(
        |tree| tree.replace(GOLDEN, "0.200", "0.201"),
        &both(differs),
    );
    refused(
        |tree| tree.replace(PROGRAM, "both are done", "both are over"),
        &both(differs),
    );
    refused(
        |tree| tree.replace(TWIN, "both are done", "both are over"),
        &both(differs),
    );
    let cut = "print(..., end=...) is not timed";
    refused(
        |tree| tree.replace(TWIN, "both are done\"", "done\", end=\"\""),
        &both(cut),
    );
    let name = "`asyncio.gathered` is not in docs/asyncio-api.tsv";
    refused(
        |tree| tree.replace(PROGRAM, "asyncio.gather", "asyncio.gathered"),
        &both(name),
    );
    let compiles = "it compiles, but must fail with E0308";
    refused(|tree| tree.replace(FAILS, "\"one\"", "1"), &both(compiles));
    let copy = "its copy does not compile: unused variable: `unused`";
    let unused = |tree: &mut Tree| {
        tree.replace(PROGRAM, "println!(\"both", "let unused = println!(\"both");
    };
    refused(unused, &both(copy));
    let hangs = "deadlock: every task waits and no timer is set";
    let pending = "std::future::pending::<()>().await";
    refused(
        |tree| tree.replace(PROGRAM, "both().await", &format!("{pending}; Ok(())")),
        &both(hangs),
    );
    let stray = [
        (CargoTest, "but the folders hold 2 examples"),
        (CheckAll, "without an example"),
    ];
    refused(
        |tree| tree.add("crates/small/golden/other.txt", "  0.000  (end)\n"),
        &stray,
    );
    let missing = [
        (CargoTest, "selects 0 examples"),
        (CheckAll, "`` is not checked"),
    ];
    refused(
        |tree| {
            tree.replace(
                MANIFEST,
                "default-members = [\"crates/small\", ",
                "default-members = [",
            )
        },
        &missing,
    );
    let unlisted = [
        (CargoTest, "cargo test selects 0 examples"),
        (CheckAll, "no example matches"),
    ];
    refused(|tree| tree.replace(MAIN, "mod good;\n", ""), &unlisted);
    for gate in [CargoTest, CheckAll] {
        let none = ["PYTHON=/no/such/python", "REQUIRE_CPYTHON=1"];
        assert_refuses(&Tree::new(), gate, &none, "there is no such program");
    }
    assert_refuses(
        &Tree::new(),
        CheckAll,
        &["gud"],
        "did you mean `small/good`?",
    );
}
