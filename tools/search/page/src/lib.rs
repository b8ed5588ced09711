//! The search of `cargo xtask find` for the pages of the book, as WebAssembly.
//!
//! The page writes bytes to where [`room`] says, and calls [`load`] for an index that was
//! saved, or [`find`] for what was typed.
#![expect(unsafe_code, reason = "a page finds these functions by their names")]

use std::sync::Mutex;

use search::{Found, Hit, Index, Kind};

/// How many hits a page shows.
const MOST: usize = 20;

struct State {
    bytes: Vec<u8>,
    index: Option<Index>,
}

static STATE: Mutex<State> = Mutex::new(State {
    bytes: Vec::new(),
    index: None,
});

/// Calls a function with the state. Whatever a panic has left of it is of use.
fn with<T>(call: impl FnOnce(&mut State) -> T) -> T {
    call(&mut STATE.lock().unwrap_or_else(|broken| broken.into_inner()))
}

/// Returns where as many bytes go.
#[unsafe(no_mangle)]
pub extern "C" fn room(length: usize) -> *const u8 {
    with(|state| {
        state.bytes = vec![0; length];
        state.bytes.as_ptr()
    })
}

/// Takes the bytes for a saved index.
#[unsafe(no_mangle)]
pub extern "C" fn load() {
    with(|state| {
        let index = Index::load(&String::from_utf8_lossy(&state.bytes));
        state.index = Some(index.expect("the book has saved it"));
    });
}

/// Takes the bytes for what was typed. Returns where the hits are: a line for each, with the
/// page, what has matched, and the example, between tabs.
#[unsafe(no_mangle)]
pub extern "C" fn find() -> *const u8 {
    with(|state| {
        let query = String::from_utf8_lossy(&state.bytes);
        let index = state.index.as_ref();
        let lines = index.map(|index| lines(index.find(&query, MOST)));
        state.bytes = lines.unwrap_or_default().into_bytes();
        state.bytes.as_ptr()
    })
}

/// Returns how many bytes there are.
#[unsafe(no_mangle)]
pub extern "C" fn length() -> usize {
    with(|state| state.bytes.len())
}

fn lines(found: Found<'_>) -> String {
    let mut lines = String::new();
    let corrected = found.corrected.iter();
    let corrected =
        corrected.map(|(wrong, right)| format!("Searched for {right}, not {wrong}. "));
    let corrected: String = corrected.collect();
    let mut add = |page: &str, what: &str, note: &str| {
        lines += &format!("{page}\t{what}\t{corrected}{note}\n");
    };
    if let (Some(answer), Some(page)) = (&found.answer, &found.answer_page) {
        add(page, answer, "");
    }
    for Hit {
        shown,
        page,
        kind,
        reason,
    } in found.hits
    {
        let Some(shown) = shown else {
            add(&page.unwrap_or_default(), &reason.unwrap_or_default(), "");
            continue;
        };
        let id = shown.id();
        // A trap begins with its number, where its page has an anchor.
        let trap = reason.as_deref().filter(|_| kind == Kind::Trap);
        let page = match (trap.and_then(|it| it.split_once(": ")), page) {
            (Some((number, _)), _) => format!("{id}.html#{number}"),
            (None, page) => page.unwrap_or_else(|| format!("{id}.html")),
        };
        match reason.filter(|it| found.answer.as_ref() != Some(it)) {
            Some(reason) => add(&page, &reason, &format!("{id}: {}", shown.summary)),
            None => add(&page, &shown.summary, &id),
        }
    }
    if let Some((page, heading)) = &found.section {
        add(page, heading, "");
    }
    lines
}
