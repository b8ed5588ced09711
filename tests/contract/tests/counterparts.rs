//! Looks in the programs for what the table of names calls a counterpart.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use catalog::files::entries;
use catalog::tables::{self, ApiName, Status};

/// Paths of counterparts that no program here uses, each with the reason.
const NOT_USED: [(&str, &str); 12] = [
    (
        "AsyncWriteExt::write_vectored",
        "writes less than it is given",
    ),
    ("Framed::backpressure_boundary", "a number to look at"),
    ("Framed::set_backpressure_boundary", "a number to set"),
    ("Framed::write_buffer", "a buffer to look at"),
    ("OwnedReadHalf::reunite", "undoes into_split"),
    ("TcpStream::async_io", "for a system call by hand"),
    ("UdpSocket::take_error", "an error that comes late"),
    ("dns_lookup::getnameinfo", "needs a name server"),
    (
        "runtime::Builder::on_task_spawn",
        "needs a build of Tokio with tokio_unstable",
    ),
    ("tokio_test::io::Builder::read_error", "a crate for tests"),
    (
        "tokio::io::unix::AsyncFd",
        "its constructor without unsafe code is deprecated",
    ),
    (
        "tokio_util::udp::UdpFramed",
        "a frame of its own for each datagram",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Adds the words of the programs in a folder: comments and what else readers do not run are
/// left out.
fn learn(folder: &Path, words: &mut BTreeSet<String>) {
    for path in entries(folder).expect("a folder of programs") {
        if path.is_dir() {
            learn(&path, words);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let program = fs::read_to_string(&path).expect("a program");
            let code = program.lines().map(str::trim_start);
            for line in code.filter(|line| !line.starts_with("//")) {
                words.extend(line.split(is_no_word).map(str::to_owned));
            }
        }
    }
}

fn is_no_word(c: char) -> bool {
    !c.is_alphanumeric() && c != '_'
}

/// Returns the paths of a text: words with `::` between them.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| is_no_word(c) && c != ':');
    let parts = parts.map(|it| it.trim_matches(':'));
    parts.filter(|it| it.contains("::") && !it.starts_with(is_no_word))
}

/// The last part of each path that is a counterpart is a word of the code of an example, a
/// test or a probe. Otherwise nothing has compiled it.
#[test]
fn each_counterpart_is_compiled() {
    let mut words = BTreeSet::new();
    for folder in ["crates", "application", "tests/contract/src"] {
        learn(&root().join(folder), &mut words);
    }
    let rows = tables::rows::<ApiName>(&root());
    let rows = rows.expect("the table of names").into_iter();
    let (mut unused, mut problems) = (BTreeSet::new(), Vec::new());
    for (place, row) in rows.filter(|(_, row)| row.status != Status::None) {
        for path in paths(&row.counterpart) {
            if path
                .rsplit("::")
                .next()
                .is_some_and(|it| words.contains(it))
            {
                continue;
            }
            if !NOT_USED.iter().any(|(known, _)| *known == path) {
                problems.push(format!("{place}: no program uses `{path}`"));
            }
            unused.insert(path.to_owned());
        }
    }
    let used = NOT_USED.iter().filter(|(path, _)| !unused.contains(*path));
    problems.extend(used.map(|(path, _)| format!("`{path}` is used, or in no row")));
    assert!(problems.is_empty(), "{problems:#?}");
}
