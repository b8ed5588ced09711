//! Compares docs/contract.tsv with the goldens of the groups, and counts the verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use catalog::tables::{self, ApiName, Status};
use catalog::workspace::Workspace;

const TABLE: &str = "docs/contract.tsv";

/// A clause of asyncio's contract: a row of the table.
#[derive(Debug, serde::Deserialize)]
struct Clause {
    /// `NAME.METHOD.FACT`, and behind an `@` the counterpart, where a name has several.
    id: String,
    /// As docs/asyncio-api.tsv has it.
    name: String,
    /// What asyncio does.
    clause: String,
    /// `same`, `differs`, or `none`: there is no counterpart.
    verdict: String,
    /// How a port meets the difference.
    port: String,
    /// What happens in Rust, and what to do.
    in_rust: String,
    /// Where readers learn it: an example, a chapter, the `row` of the name, a `message`, or
    /// `here` alone. Of what is the same, unless a probe shows it: the test that shows it,
    /// `basics/timers::its_name`, a line of the transcripts, `basics/timers: Tick`, or `types`.
    said: String,
    /// The group that tries it. Otherwise `-` if it is the same, and of all others why
    /// nothing tries it: [`WHY_NOT`], or the version of CPython that it needs.
    probe: String,
    /// The tests of CPython that ask for it.
    tests: String,
}

/// Why nothing tries a clause: a type makes it impossible, or it needs unsafe code.
const WHY_NOT: [&str; 2] = ["types", "unsafe"];

impl Clause {
    /// Whether a group tries it.
    fn is_tried(&self) -> bool {
        let group = format!("tests/contract/src/{}.rs", self.probe);
        root().join(group).exists()
    }

    /// Whether it is tried, or its row says why not.
    fn has_probe(&self) -> bool {
        let why = match self.verdict.as_str() {
            "same" => self.probe == "-",
            _ => WHY_NOT.contains(&&*self.probe) || self.probe.starts_with("3."),
        };
        why || self.is_tried()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn clauses() -> Vec<Clause> {
    let rows = tables::read(&root(), TABLE).expect("each row has its columns");
    rows.into_iter().map(|(_, clause)| clause).collect()
}

/// What happened in one language, by the ids of the clauses.
fn lines(group: &str, ending: &str) -> BTreeMap<String, String> {
    let golden = format!("tests/contract/golden/{group}{ending}");
    let golden = fs::read_to_string(root().join(&golden)).expect(&golden);
    let texts = golden.lines().filter_map(|line| line.get(9..));
    let pairs = texts.filter_map(|text| text.split_once(": "));
    pairs.map(|(id, told)| (id.into(), told.into())).collect()
}

/// Each line of a group has its row and each row its line in both languages. The two lines of
/// a clause are equal if and only if its verdict is `same`.
#[test]
fn the_table_says_what_the_goldens_show() {
    let problems = wrong(&clauses());
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Returns what the table and the goldens do not agree on.
fn wrong(clauses: &[Clause]) -> Vec<String> {
    let tried = clauses.iter().filter(|it| it.is_tried());
    let groups: BTreeSet<&str> = tried.map(|it| it.probe.as_str()).collect();
    let mut problems = Vec::new();
    for group in groups {
        let is_same = !root()
            .join(format!("tests/contract/golden/{group}.python.txt"))
            .exists();
        let ending = if is_same { ".txt" } else { ".python.txt" };
        let (mut rust, mut python) = (lines(group, ".txt"), lines(group, ending));
        for Clause { id, verdict, .. } in clauses.iter().filter(|it| it.probe == group) {
            let (Some(rust), Some(python)) = (rust.remove(id), python.remove(id)) else {
                problems.push(format!("{id}: no line in the goldens of {group}"));
                continue;
            };
            if (rust == python) != (verdict == "same") {
                let told = format!("Python: {python}; Rust: {rust}");
                problems.push(format!("{id}: the verdict is `{verdict}`, but {told}"));
            }
        }
        let without_row = rust.keys().chain(python.keys());
        problems.extend(without_row.map(|id| format!("{id} of {group} has no row")));
    }
    problems
}

/// Of each clause the row says all, and what it names is there.
#[test]
fn each_clause_is_said_or_shown() {
    let workspace = Workspace::open().expect("the workspace opens");
    let names = tables::rows::<ApiName>(&root());
    let names = names.expect("the table of names").into_iter();
    let names: BTreeMap<String, Status> =
        names.map(|(_, row)| (row.name, row.status)).collect();
    let (mut seen, mut problems) = (BTreeSet::new(), Vec::new());
    let mut last = String::new();
    for it in clauses() {
        let (fact, _) = it.id.split_once('@').unwrap_or((&it.id, ""));
        let follows = fact == last || !it.id.contains('@');
        let mut wrong = wrong_in_row(&workspace, names.get(&it.name), &it);
        if !seen.insert(it.id.clone()) {
            wrong.push("there twice");
        }
        if !follows && it.clause.starts_with("The same") {
            wrong.push("it does not follow the clause that is the same");
        }
        problems.extend(wrong.into_iter().map(|what| format!("{}: {what}", it.id)));
        last = fact.to_owned();
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Returns what a row lacks, and where its columns contradict each other. The status is that
/// of its name.
fn wrong_in_row(
    workspace: &Workspace,
    status: Option<&Status>,
    it: &Clause,
) -> Vec<&'static str> {
    let is_there = |place: &str| match place.strip_prefix("chapter ") {
        Some(chapter) => is_chapter(chapter),
        None if place.contains('/') => {
            workspace.example(place).is_ok() || is_shown(workspace, place)
        }
        None => ["row", "message", "here", "types"].contains(&place),
    };
    let ports: &[&str] = match it.verdict.as_str() {
        "same" => &["-"],
        "differs" => &["silent", "hangs", "loud", "looks different"],
        "none" => &["-", "loud"],
        _ => &[],
    };
    let shows = it.is_tried() || it.said == "types" || is_shown(workspace, &it.said);
    let rules = [
        (status.is_some(), "its name is not in the table of names"),
        (!it.clause.is_empty(), "no clause"),
        (!it.tests.is_empty(), "no test asks for it"),
        (is_there(&it.said), "what `said` names is not there"),
        (it.has_probe(), "no group tries it, and nothing says why"),
        (
            ports.contains(&&*it.port),
            "no such verdict, or not for a port",
        ),
        (
            (it.verdict == "same") == (it.in_rust == "-"),
            "`in_rust` is of what is not the same",
        ),
        (
            it.verdict != "same" || shows,
            "nothing shows that it is the same",
        ),
        (
            it.verdict != "differs" || status != Some(&Status::Direct),
            "it differs, but the table of names calls the counterpart direct",
        ),
    ];
    let broken = rules.into_iter().filter(|(holds, _)| !holds);
    broken.map(|(_, problem)| problem).collect()
}

/// Whether a place names what shows a clause: a test of the example, or a line that is in
/// the transcripts of both languages.
fn is_shown(workspace: &Workspace, place: &str) -> bool {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    if let Some((id, test)) = place.split_once("::") {
        let example = workspace.example(id).ok();
        let tests = example.and_then(|it| it.tests.as_deref());
        return tests.is_some_and(|tests| has_test(&read(tests), test));
    }
    let Some((id, line)) = place.split_once(": ") else {
        return false;
    };
    let tells = |golden: &PathBuf| {
        let golden = read(golden);
        golden.lines().any(|told| told.get(9..) == Some(line))
    };
    workspace
        .example(id)
        .is_ok_and(|it| tells(&it.golden) && tells(&it.twin_golden))
}

/// Whether a file has a test of this name: below its attribute.
fn has_test(tests: &str, name: &str) -> bool {
    let mut is_test = false;
    for line in tests.lines().map(str::trim_start) {
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let name_of = line
            .split_once("fn ")
            .and_then(|(_, it)| it.split_once("("));
        if let Some((found, _)) = name_of {
            if is_test && found == name {
                return true;
            }
            is_test = false;
        }
    }
    false
}

/// Whether a chapter begins so: with its number, as `03`.
fn is_chapter(number: &str) -> bool {
    let chapters = fs::read_dir(root().join("docs/chapters")).expect("the chapters");
    let mut names = chapters.map(|it| it.expect("a chapter").file_name());
    names.any(|name| name.to_string_lossy().starts_with(number))
}

/// Prints the table of verdicts: `cargo test -p contract verdicts -- --nocapture`.
#[test]
fn verdicts() {
    let clauses = clauses();
    let count = |is: &dyn Fn(&Clause) -> bool| clauses.iter().filter(|it| is(it)).count();
    let of = |verdict: &str| count(&|it| it.verdict == verdict && it.in_rust != "-");
    let table = [
        ("same", count(&|it| it.verdict == "same")),
        ("differs, said", of("differs")),
        ("no counterpart, said", of("none")),
        (
            "not said",
            count(&|it| it.verdict != "same" && it.in_rust == "-"),
        ),
        ("wrong", wrong(&clauses).len()),
    ];
    println!("{} clauses", clauses.len());
    for (verdict, count) in table {
        println!("{count:5}  {verdict}");
    }
    let mut ports = BTreeMap::<&str, usize>::new();
    for it in clauses.iter().filter(|it| it.verdict == "differs") {
        *ports.entry(&it.port).or_default() += 1;
    }
    println!("Of those that differ: {ports:?}");
    let tried = count(&|it| it.is_tried());
    let shown =
        count(&|it| it.verdict == "same" && it.probe == "-" && it.said != "types");
    println!("{tried} tried in both languages, {shown} shown by a test or a transcript");
    let mut untried = BTreeMap::<&str, usize>::new();
    for it in &clauses {
        if it.verdict != "same" && !it.is_tried() {
            *untried.entry(&it.probe).or_default() += 1;
        }
    }
    println!("Of those that are not the same, nothing tries: {untried:?}");
    assert_eq!(
        table[..4].iter().map(|(_, count)| count).sum::<usize>(),
        clauses.len()
    );
}
