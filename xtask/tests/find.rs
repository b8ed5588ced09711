//! What readers type leads to the right example.

use std::collections::BTreeSet;
use std::process::{self, Command};
use std::sync::LazyLock;
use std::{env, fs};

use catalog::tables::{self, Block};
use catalog::workspace::Workspace;
use search::{Index, Kind};

/// A query that was written without sight of the tables, and the examples that answer it.
#[derive(serde::Deserialize)]
struct Query {
    query: String,
    examples: String,
}

static WORKSPACE: LazyLock<Workspace> =
    LazyLock::new(|| Workspace::open().expect("the workspace opens"));

static INDEX: LazyLock<Index> =
    LazyLock::new(|| Index::of(&WORKSPACE).expect("the tables can be read"));

fn ids(query: &str, most: usize) -> Vec<String> {
    let hits = INDEX.find(query, most).hits.into_iter();
    hits.filter_map(|hit| Some(hit.shown?.id())).collect()
}

/// Runs the xtask: its exit code, and what it says.
fn xtask(words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = command.args(words).output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("text");
    (output.status.code(), said)
}

/// Each question, name, library and message, word for word, has a right example first.
#[test]
fn what_is_written_to_be_found_is_found_first() {
    let (mut total, mut missed) = (0, Vec::new());
    for (kind, text, examples) in INDEX.written() {
        // A name is searched without its counterpart, a message without what it means.
        let queries: Vec<&str> = match kind {
            Kind::Name | Kind::Library => text.split(" = ").take(1).collect(),
            Kind::Rust => text
                .split(" = ")
                .take(1)
                .flat_map(str::split_whitespace)
                .collect(),
            Kind::Message => text.split(" (").take(1).collect(),
            _ => vec![text],
        };
        if examples.is_empty() {
            continue;
        }
        for query in queries {
            total += 1;
            if !ids(query, 1).iter().all(|id| examples.contains(id)) {
                missed.push(query);
            }
        }
    }
    assert!(
        missed.len() * 100 <= total * 3,
        "{} of {total}: {missed:#?}",
        missed.len()
    );
}

/// Among how many hits what is typed has which example, or which page; and, for a name alone or
/// with the words that ask for its counterpart, the row above the hits.
const TYPED: &str = "\
2 asyncio.gather => concurrency/gather_results
2 TaskGroup => concurrency/join_set_group
2 asyncio.wait => concurrency/wait_all
2 wait_for => error-handling/call_with_timeout
2 create_task => basics/spawn_tasks
1 asyncio.Queue => concurrency/producer_consumer :: Python: asyncio.Queue = tokio::
1 asyncio.Queue equivalent in Rust? => concurrency/producer_consumer :: Python: asyncio.Queue = tokio::
1 tokio::select! => basics/select_in_a_loop :: Rust: waits for several
1 JoinSet => concurrency/join_set_group :: Rust: tasks that come
2 governor => best-practices/choose_a_crate :: Crate: governor: 
1 pybreaker => error-handling/circuit_breaker :: Python: pybreaker = failsafe
1 httpx-sse => real-world/streaming_responses :: Python: httpx_sse = 
1 aiohttp.ClientSession => real-world/http_requests :: Python: aiohttp = 
1 asyncio.sslproto.SSLProtocol => real-world/tls :: Python: asyncio.sslproto.SSLProtocol = 
1 mailbox => real-world/write_whole_file :: Python: mailbox = maildir
1 surrogateescape => real-world/crlf_lines :: Python: surrogateescape = Vec<u8>
1 redis.asyncio.Redis => services/redis_reconnect :: Python: redis.asyncio = 
3 When should you use tokio::join!() over tokio::spawn()? => basics/join_or_spawn
5 PyO3 => interop/
5 maturin => interop/
5 call Rust from Python => interop/
5 speed up asyncio => interop/
5 Event loop is closed => interop/
5 no running event loop with Rust => interop/
5 exit code 139 => interop/
5 Process finished with exit code 134 (interrupted by signal 6: SIGABRT) => interop/
3 use diesel in an async axum handler => real-world/blocking_in_threads
4 layout of an application => docs/chapters/09-application.md
4 project structure => docs/chapters/09-application.md
3 rdkafka consumer loses messages after a crash => docs/chapters/11-beyond-one-machine.md
3 reqwest ignores HTTP_PROXY => docs/chapters/06-choosing-crates.md
4 guide 3 => cargo xtask guide 3
4 Python Async Programming: A Detailed Guide => cargo xtask guide 3
4 When to use async => docs/chapters/04-async-threads-processes.md
4 Which channel => docs/chapters/05-which-one.md
4 which one do I use? => docs/chapters/05-which-one.md
4 how do I do it in Rust => docs/chapters/05-which-one.md";

#[test]
fn what_is_typed_leads_to_its_page() {
    for line in TYPED.lines() {
        let (typed, expected) = line.split_once(" => ").expect("what is found");
        let (most, query) = typed.split_once(' ').expect("among how many");
        let (page, answer) = expected.split_once(" :: ").unwrap_or((expected, ""));
        let found = INDEX.find(query, most.parse().expect("a number"));
        let told = found.answer.unwrap_or_default();
        assert!(told.starts_with(answer), "{query}: {told}");
        let mut hits = found.hits.iter();
        let is_found = hits.any(|hit| match (hit.shown, &hit.page) {
            (Some(example), None) => example.id().starts_with(page),
            (_, found) => found.as_deref() == Some(page),
        });
        assert!(is_found, "{query}: {:?}", found.hits);
    }
    // A question is no name, even if it ends with one.
    let question = "When should you use tokio::join!() over tokio::spawn()?";
    assert_eq!(INDEX.find(question, 1).answer, None);
}

/// A rare word that is the name of a row brings the row first, even if no example shows it. A
/// longer question only mentions the name.
#[test]
fn a_rare_name_among_other_words_brings_its_row_first() {
    for (query, name) in [
        ("base64 decode", "base64"),
        ("decode base64 in Python", "base64"),
        ("email.utils.parseaddr", "email.utils"),
        ("socket.getfqdn", "socket.getfqdn"),
    ] {
        let hits = INDEX.find(query, 1).hits;
        let reason = hits[0].reason.clone().unwrap_or_default();
        let row = format!("Python: {name} = ");
        assert!(reason.starts_with(&row), "{query}: {hits:?}");
    }
    for (query, example) in [
        ("actor mailbox", "concurrency/actor"),
        (
            "boto3 paginator or csv.DictReader inside async",
            "iterators/blocking_iterator",
        ),
    ] {
        assert_eq!(ids(query, 1), [example], "{query}");
    }
}

/// What is pasted as a whole, and an example that answers it: the message of a panic or
/// of Python's last line, or a text with `\n` for the ends of its lines.
#[derive(serde::Deserialize)]
struct Pasted {
    form: String,
    text: String,
    example: String,
}

/// Of what is pasted as a whole, the lines count that tell what is wrong.
#[test]
fn pasted_text_is_found_by_the_lines_that_tell() {
    let trace = "stack backtrace:\n   0: __rustc::rust_begin_unwind\n   \
                 1: core::panicking::panic_fmt\n   2: tokio::sync::mpsc::chan::Rx<T,S>::recv\n\
                 note: Some details are omitted, run with `RUST_BACKTRACE=full`\n";
    let python = "Traceback (most recent call last):\n  File \"/srv/queue.py\", line 5, in \
                  <module>\n    asyncio.run(main())\n  File \"/srv/lock.py\", line 9, in main\n    \
                  await semaphore.acquire(timeout=3)\n";
    let panic = "\nthread 'main' (15) panicked at /root/t-1.54.1/src/queue.rs:51:21:\n";
    let rows = tables::read::<Pasted>(&WORKSPACE.root, "xtask/tests/pasted.tsv");
    for (place, row) in rows.expect("the texts can be read") {
        let text = match &*row.form {
            "panic" => format!("{panic}{}\n{trace}", row.text),
            "Python" => format!("{python}{}\n", row.text),
            _ => row.text.replace("\\n", "\n"),
        };
        let found = INDEX.find(&text, 3);
        let ids = ids(&text, 3);
        assert!(ids.contains(&row.example), "{place} {text}: {ids:?}");
        // What differs from case to case is no word, nor a wrong spelling of one.
        assert!(found.corrected.is_empty(), "{place}: {:?}", found.corrected);
    }
}

#[test]
fn a_file_is_found_by_its_text() {
    let file = env::temp_dir().join(format!("find-{}.txt", process::id()));
    let text =
        "\nthread 'main' panicked at src/main.rs:2:3:\n`period` must be non-zero.\n";
    fs::write(&file, text).expect("it is written");
    let (_, said) = xtask(&["find", &file.display().to_string()]);
    fs::remove_file(&file).expect("it is there");
    assert!(said.starts_with("iterators/interval_ticks "), "{said}");
}

/// The nearest section of a chapter is named after the hits, if it has most of the words and
/// is none of them.
#[test]
fn the_nearest_section_of_a_chapter_is_named() {
    for (query, heading) in [
        (
            "Do I need to await the JoinHandle of spawn_blocking or may I just drop it",
            "Tasks, and",
        ),
        ("celery chains and wallpaper zebra", ""),
    ] {
        let found = INDEX.find(query, 10).section.unwrap_or_default().1;
        assert!(found.starts_with(heading), "{query}: {found}");
        assert_eq!(found.is_empty(), heading.is_empty(), "{query}: {found}");
    }
    // These are hits already, or named.
    for (query, heading) in [
        ("dashmap get_mut deadlocks with crossbeam", "Which lock"),
        ("malloc_trim after many tasks", "Memory stays high"),
        ("lock", "Which lock"),
    ] {
        let found = INDEX.find(query, 10);
        let hits = found
            .hits
            .iter()
            .filter_map(|hit| Some(&hit.shown?.summary));
        let section = found.section.as_ref().map(|(_, heading)| heading);
        let mut headings = hits.chain(section);
        assert!(headings.any(|it| it.starts_with(heading)), "{query}");
    }
}

/// A short word has too many others near it.
#[test]
fn a_short_word_is_not_corrected() {
    assert!(INDEX.find("mpnc channel", 1).corrected.is_empty());
    assert_eq!(INDEX.find("gathr", 1).corrected[0].1, "gather");
    let corrected = INDEX.find("semaphroe channel", 1).corrected;
    let right: Vec<&str> = corrected.iter().map(|(_, right)| right.as_str()).collect();
    assert_eq!(right, ["semaphore"]);
}

/// The pages of the book search in a saved index: they find the same, in the same order.
#[test]
fn the_pages_of_the_book_find_the_same() {
    let index = Index::of(&WORKSPACE).expect("the tables can be read");
    // As in the book, each heading has its own address.
    let saved = index.save(|_, text, page| page.map(|page| format!("{page}#{text}")));
    let saved = Index::load(&saved.expect("it is JSON")).expect("it is whole");
    let rows = tables::read::<Query>(&WORKSPACE.root, "xtask/tests/queries.tsv");
    let rows = rows.expect("the queries can be read");
    let typed = TYPED
        .lines()
        .map(|line| line.split_once(" => ").expect("what is found"));
    let typed = typed.map(|(typed, _)| typed.split_once(' ').expect("among how many").1);
    let queries = rows.iter().map(|(_, row)| row.query.as_str()).chain(typed);
    for query in queries {
        let [saved, found] = [&saved, &INDEX].map(|index| {
            let found = index.find(query, 10);
            let hits = found.hits.into_iter();
            let hits: Vec<_> = hits
                .map(|hit| (hit.shown.map(|it| it.id()), hit.reason))
                .collect();
            (hits, found.answer, found.corrected)
        });
        assert_eq!(saved, found, "{query}");
    }
}

/// Questions in words that are not in the tables: eight of ten have a right example among
/// the first three.
#[test]
fn other_words_find_it_too() {
    let rows = tables::read::<Query>(&WORKSPACE.root, "xtask/tests/queries.tsv");
    let rows = rows.expect("the queries can be read");
    let missed: Vec<String> = rows
        .iter()
        .filter_map(|(place, row)| {
            let found = ids(&row.query, 3);
            let is_right = row
                .examples
                .split_whitespace()
                .any(|id| found.iter().any(|hit| hit == id));
            (!is_right).then(|| {
                format!("{place} {}: {found:?}, not {}", row.query, row.examples)
            })
        })
        .collect();
    let total = rows.len();
    assert!(
        missed.len() * 10 <= total * 2,
        "{} of {total}: {missed:#?}",
        missed.len()
    );
}

/// A guide is named by its number or its title. It has its mistakes, differences and advice.
#[test]
fn a_guide_is_printed_block_by_block() {
    let said = |words: &[&str]| xtask(&[&["guide"], words].concat());
    let (code, text) = said(&["3"]);
    assert_eq!((code, &text), (Some(0), &said(&["detailed", "Guide"]).1));
    let place = |part: &str| text.find(part).expect(part);
    let order = [
        "Guide 3: Python Async Programming: A Detailed Guide",
        "Said here: Concurrent tasks",
        "003-01 Synchronous",
        "003-30 Practical",
        "Wrong in the block: The limit of 2 requests",
        "real-world/token_bucket",
        "003-31 Practical",
        "See docs/chapters/10-key-points.md#what-to-remember",
    ];
    assert!(order.map(place).is_sorted(), "{text}");
    assert!(text.contains("    Differs: asyncio's gather"), "{text}");
    assert_eq!(said(&[]).1.lines().count(), 6);
    assert_eq!(said(&["7"]), (Some(2), String::new()));
}

#[test]
fn the_number_of_a_trap_leads_to_its_example() {
    let mut example = WORKSPACE.examples();
    let traps = |it: &&_| -> Option<String> {
        let example: &catalog::workspace::Example = it;
        let mut paragraphs = example.header.paragraphs.iter();
        paragraphs.find_map(|it| it.number.clone())
    };
    let example = example
        .find(|it| traps(it).is_some())
        .expect("it has a trap");
    let number = traps(&example).expect("a number");
    // Readers write `T58` for `T058`.
    let short = number.replacen("T0", "T", 1);
    assert_ne!(short, number);
    for asked in [number.to_lowercase(), short] {
        let hits = INDEX.find(&asked, 5).hits;
        let [hit] = hits.as_slice() else {
            panic!("{asked}: {hits:?}");
        };
        assert_eq!(hit.shown.map(|it| it.id()), Some(example.id()));
        let reason = hit.reason.clone().unwrap_or_default();
        assert!(reason.starts_with(&format!("{number}: ")), "{reason}");
    }
}

/// What a block of a guide shows: a row of `xtask/tests/guide-names.tsv`.
#[derive(serde::Deserialize)]
struct Shown {
    block: String,
    /// Names of asyncio and constructs of Python, with commas between them.
    names: String,
}

/// An example may change after its row was written. What its block shows, the twins or the
/// programs of the row still have.
#[test]
fn each_block_is_still_shown_by_its_examples() {
    let root = &WORKSPACE.root;
    let blocks = tables::rows::<Block>(root).expect("the guides can be read");
    let shown = tables::read::<Shown>(root, "xtask/tests/guide-names.tsv");
    let shown = shown.expect("the names can be read");
    assert!(shown.len() > 80, "{}", shown.len());
    for (_, Shown { block, names }) in shown {
        let row = blocks.iter().find(|(_, row)| row.block == block);
        let examples = &row
            .unwrap_or_else(|| panic!("no row is {block}"))
            .1
            .examples;
        let mut text = String::new();
        for id in examples {
            let example = WORKSPACE.example(id).expect("it is there");
            let twin = example.has_twin().then_some(&example.twin);
            for file in twin.into_iter().chain([&example.source]) {
                text += &fs::read_to_string(file).expect("it can be read");
            }
        }
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let words: BTreeSet<&str> = words.collect();
        for name in names.split(", ") {
            let is_phrase = name.contains(' ') && text.contains(name);
            let is_there = is_phrase || words.contains(name);
            assert!(is_there, "{block}: none of {examples:?} has `{name}`");
        }
    }
}
