//! Looks in the programs for what the tables of names call a counterpart.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use catalog::files::entries;
use catalog::tables::{self, ApiName, Neighbour, SheetRow, Status};
use catalog::workspace::Workspace;

/// Counterparts that no program here uses, each with the reason.
const NOT_USED: [(&str, &str); 12] = [
    ("AsyncFd::writable", "AsyncFd needs unsafe code"),
    (
        "AsyncWriteExt::write_vectored",
        "writes less than it is given",
    ),
    (
        "Dump::tasks",
        "needs a build of Tokio with tokio_unstable, on Linux",
    ),
    (
        "Handle::dump",
        "needs a build of Tokio with tokio_unstable, on Linux",
    ),
    ("OwnedReadHalf::reunite", "undoes into_split"),
    ("TcpStream::async_io", "for a system call by hand"),
    ("UdpSocket::take_error", "an error that comes late"),
    (
        "console_subscriber::init",
        "needs a build of Tokio with tokio_unstable",
    ),
    ("dns_lookup::getnameinfo", "needs a name server"),
    (
        "runtime::Builder::on_task_spawn",
        "needs a build of Tokio with tokio_unstable",
    ),
    ("tokio_test::io::Builder::read_error", "a crate for tests"),
    (
        "tokio_util::udp::UdpFramed",
        "a frame of its own for each datagram",
    ),
];

/// Code of a trap that is right in its place.
const IN_ITS_PLACE: [&str; 1] = ["taskdump_tree(true)"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the code of a file has.
#[derive(Default)]
struct Program {
    words: BTreeSet<String>,
    /// What it calls as a method, and the functions that it defines.
    methods: BTreeSet<String>,
    /// What stands behind each other in its paths, those of `use` among them.
    pairs: BTreeSet<(String, String)>,
}

impl Program {
    fn new(code: &str) -> Self {
        let mut program = Self::default();
        let tokens = tokens(code);
        let token = |at: Option<usize>| at.and_then(|at| tokens.get(at)).copied();
        // What stands before each open brace, if a `use` lists its parts in there.
        let mut listed = Vec::new();
        for (at, word) in tokens.iter().enumerate() {
            let (before, after) = (token(at.checked_sub(1)), token(Some(at + 1)));
            let path = before.filter(|it| *it == "::");
            let path = path.and_then(|_| token(at.checked_sub(2)));
            match *word {
                "{" => listed.push(path),
                "}" => drop(listed.pop()),
                word if word.starts_with(is_no_word) => {}
                word => {
                    let parent = match before {
                        Some("{" | ",") => listed.last().copied().flatten(),
                        _ => path,
                    };
                    let pair = parent.map(|it| (it.to_owned(), word.to_owned()));
                    program.pairs.extend(pair);
                    let called = before == Some(".") && matches!(after, Some("(" | "::"));
                    if called || before == Some("fn") {
                        program.methods.insert(word.to_owned());
                    }
                    program.words.insert(word.to_owned());
                }
            }
        }
        program
    }

    /// Whether it names `first::last`, or calls the method `last` and names its type.
    fn has(&self, first: &str, last: &str) -> bool {
        self.pairs.contains(&(first.to_owned(), last.to_owned()))
            || self.words.contains(first) && self.methods.contains(last)
    }
}

/// Adds the programs of a folder. Comments are left out.
fn learn(folder: &Path, programs: &mut Vec<Program>) {
    for path in entries(folder).expect("a folder of programs") {
        if path.is_dir() {
            learn(&path, programs);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let program = fs::read_to_string(&path).expect("a program");
            let code = program.lines().map(str::trim_start);
            let code: Vec<&str> = code.filter(|line| !line.starts_with("//")).collect();
            programs.push(Program::new(&code.join("\n")));
        }
    }
}

fn is_no_word(c: char) -> bool {
    !c.is_alphanumeric() && c != '_'
}

/// Splits code into its words, its `::`, and other characters.
fn tokens(code: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), code.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = match rest.find(is_no_word) {
            Some(0) if rest.starts_with("::") => 2,
            Some(0) => first.len_utf8(),
            length => length.unwrap_or(rest.len()),
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Returns the paths of a text: words with `::` between them.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| is_no_word(c) && c != ':');
    let parts = parts.map(|it| it.trim_matches(':'));
    parts.filter(|it| it.contains("::") && !it.starts_with(is_no_word))
}

/// Returns the counterparts of names, each with its place.
fn counterparts() -> Vec<(String, String)> {
    let rows = tables::rows::<ApiName>(&root()).expect("the table of names");
    let rows = rows
        .into_iter()
        .filter(|(_, row)| row.status != Status::None);
    rows.map(|(place, row)| (place, row.counterpart)).collect()
}

/// Returns what the table of neighbours says of crates, each with its place.
fn neighbours() -> Vec<(String, String)> {
    let rows = tables::rows::<Neighbour>(&root()).expect("the neighbours");
    let rows = rows.into_iter();
    rows.map(|(place, row)| (place, row.differs)).collect()
}

/// Returns the methods that a text calls: `.wait_for(..)`.
fn calls(text: &str) -> Vec<&str> {
    let tokens = tokens(text);
    let calls = tokens.windows(3).filter(|it| it[0] == "." && it[2] == "(");
    let calls = calls.map(|it| it[1]).filter(|it| *it != "await");
    calls.filter(|it| !it.starts_with(is_no_word)).collect()
}

/// The last two parts of each path that is a counterpart, and each method that it calls, are
/// in the code of an example, a test or a probe. Otherwise nothing has compiled it. Of
/// neighbours that holds unless the row says that its crate was tried elsewhere, or not.
#[test]
fn each_counterpart_is_compiled() {
    let mut programs = Vec::new();
    for folder in ["crates", "application", "tests/contract/src"] {
        learn(&root().join(folder), &mut programs);
    }
    let is_used = |text: &str| {
        !["Not tried here", "Tried with"]
            .iter()
            .any(|it| text.contains(it))
    };
    let neighbours = neighbours().into_iter().filter(|(_, text)| is_used(text));
    let (mut unused, mut problems) = (BTreeSet::new(), Vec::new());
    for (place, text) in counterparts().into_iter().chain(neighbours) {
        for path in paths(&text) {
            let (before, last) = path.rsplit_once("::").expect("it is a path");
            let first = before.rsplit("::").next().unwrap_or(before);
            if programs.iter().any(|it| it.has(first, last)) {
                continue;
            }
            if !NOT_USED.iter().any(|(known, _)| *known == path) {
                problems.push(format!("{place}: no program uses `{path}`"));
            }
            unused.insert(path.to_owned());
        }
        for method in calls(&text) {
            if !programs.iter().any(|it| it.methods.contains(method)) {
                problems.push(format!("{place}: no program calls `.{method}(`"));
            }
        }
    }
    let used = NOT_USED.iter().filter(|(path, _)| !unused.contains(*path));
    problems.extend(used.map(|(path, _)| format!("`{path}` is used, or in no row")));
    assert!(problems.is_empty(), "{problems:#?}");
}

/// What a trap quotes in its first sentence, if it is an expression or a statement, is what
/// readers must not write.
fn warned_of(workspace: &Workspace) -> Vec<String> {
    let mut warned = Vec::new();
    for example in workspace.examples() {
        for trap in example.header.labelled("Trap") {
            let text = trap.text.replace('\n', " ");
            let first = text.split(". ").next().unwrap_or_default();
            let quoted = first.split('`').skip(1).step_by(2);
            let is_code = |it: &&str| {
                let has_arguments = it.replace("()", "").contains('(');
                has_arguments
                    || [" = ", " - ", " + "].iter().any(|sign| it.contains(sign))
            };
            warned.extend(quoted.filter(is_code).map(dense));
        }
    }
    warned.retain(|it| !IN_ITS_PLACE.contains(&it.as_str()));
    warned
}

/// Returns a text without its spaces.
fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

/// No table gives as a counterpart what a trap warns of.
#[test]
fn no_row_has_code_that_a_trap_warns_of() {
    let workspace = Workspace::open().expect("the workspace opens");
    let sheet = tables::rows::<SheetRow>(&root()).expect("the sheet");
    let sheet = sheet.into_iter().map(|(place, row)| (place, row.tokio));
    let warned = warned_of(&workspace);
    assert!(warned.len() > 10, "{warned:?}");
    let mut problems = Vec::new();
    for (place, text) in counterparts().into_iter().chain(neighbours()).chain(sheet) {
        let text = dense(&text);
        let found = warned.iter().filter(|it| text.contains(it.as_str()));
        problems.extend(found.map(|it| format!("{place}: a trap warns of `{it}`")));
    }
    assert!(problems.is_empty(), "{problems:#?}");
}
