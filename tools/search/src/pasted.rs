//! Pasted text: the lines of a panic, a traceback or the compiler's output that tell what is
//! wrong.

/// Words that only pasted text has.
const MARKS: [&str; 8] = [
    "Traceback",
    "panicked at",
    "error[E",
    "error: ",
    "called `Result::",
    "stack backtrace",
    "RuntimeWarning",
    "= help: ",
];

/// How the name of an exception ends, on the last line of a traceback.
const EXCEPTIONS: &str =
    "Error Exception Warning QueueFull QueueEmpty Interrupt Exit Group Timeout";

/// What asyncio and its libraries log about something that nobody awaited or closed.
const LOGGED: [&str; 5] = [
    "was never retrieved",
    "was destroyed but it is pending",
    "Exception in callback",
    "Unclosed ",
    "socket.send() raised",
];

/// Lines of the compiler that say how much went wrong, and not what.
const SAY_NOTHING: [&str; 5] = [
    "could not compile",
    "aborting due",
    " generated ",
    "run with `RUST_BACKTRACE",
    "Some details are omitted",
];

/// Returns the telling part of pasted text; nothing where the text is a typed question.
pub fn telling(text: &str) -> Option<String> {
    let is_pasted =
        text.lines().count() > 2 || MARKS.iter().any(|mark| text.contains(mark));
    if !is_pasted {
        return None;
    }
    let frame = |c: char| c.is_whitespace() || "|+".contains(c);
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_start_matches(frame))
        .filter(|line| !SAY_NOTHING.iter().any(|it| line.contains(it)))
        .collect();
    let mut found = headlines(&lines);
    if found.is_empty() || text.contains("Traceback") || text.contains("RuntimeWarning") {
        found.extend(last(&lines, 2, is_exception));
        // A message of several lines may begin on the next one.
        let after = lines.iter().rposition(|line| is_exception(line));
        let after = after.filter(|at| lines[*at].trim_end().ends_with(':'));
        let after = after.map(|at| lines[at + 1..].iter().find(|line| !line.is_empty()));
        found.extend(after.flatten());
    }
    found.extend(causes(&lines));
    if found.is_empty() {
        // The top is cut off: the compiler's labels still say what it refuses.
        found.extend(lines.iter().filter_map(|line| label(line)));
    }
    let notes = ["= note: ", "= help: ", "note: ", "help: "];
    let notes = |line: &str| notes.iter().any(|it| line.starts_with(it));
    found.extend(lines.iter().copied().filter(|line| notes(line)));
    if found.is_empty() {
        found = last(&lines, 3, |line| {
            !line.is_empty()
                && !line.starts_with("File \"")
                && !line.starts_with(['^', '~'])
        });
    }
    let told: Vec<String> = found.into_iter().map(without_noise).collect();
    Some(told.join("\n")).filter(|text| !text.trim().is_empty())
}

/// Returns what panics say, and the first lines of the compiler's errors and warnings.
fn headlines<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some((_, place)) = line.split_once("panicked at ") {
            // Since Rust 1.73 the message is on the next line, before that between quotes.
            match place.strip_prefix('\'') {
                Some(old) => {
                    found.push(old.rsplit_once('\'').map_or(old, |(own, _)| own));
                }
                None => found.extend(lines.get(at + 1)),
            }
        } else {
            let is_logged = LOGGED.iter().any(|it| line.contains(it));
            let is_said = ["error", "warning"].iter().any(|it| line.starts_with(it));
            if is_logged || is_said && line.contains(": ") {
                found.push(*line);
            }
        }
    }
    found
}

/// Returns what anyhow prints below an error that `main` returns.
fn causes<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let below = lines.iter().skip_while(|line| **line != "Caused by:");
    let causes = below.skip(1).take_while(|line| !line.is_empty());
    causes.copied().collect()
}

/// Returns the last lines that the condition holds for, at most as many as `most`.
fn last<'a>(lines: &[&'a str], most: usize, is: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let all: Vec<&str> = lines.iter().copied().filter(|line| is(line)).collect();
    all[all.len().saturating_sub(most)..].to_vec()
}

/// Returns what the compiler says under the code, behind its `^^^^`.
fn label(line: &str) -> Option<&str> {
    let (_, label) = line.rsplit_once("^ ")?;
    Some(label).filter(|label| label.contains(' '))
}

/// Whether the line is the last one of a traceback: `asyncio.exceptions.InvalidStateError: ..`,
/// or another class of a module.
fn is_exception(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().trim_end();
    let name = name.split(" (").next().unwrap_or_default();
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    !name.is_empty()
        && name.chars().all(is_name)
        && (EXCEPTIONS.split(' ').any(|end| last.ends_with(end))
            || last.starts_with("Cancelled")
            || last != name && last.starts_with(char::is_uppercase))
}

/// Drops what differs each time: paths, addresses, numbers, and the frame of `unwrap`.
fn without_noise(line: &str) -> String {
    let inner = line.split_once("on an `Err` value: ");
    let line = inner.map_or(line, |(_, inner)| inner);
    let is_noise = |word: &&str| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_path = word.contains('/') || word.contains('\\');
        let is_number = bare.starts_with(|c: char| c.is_ascii_digit())
            && !bare.contains(char::is_alphabetic);
        is_path || bare.starts_with("0x") || is_number
    };
    let words: Vec<&str> = line.split(' ').filter(|word| !is_noise(word)).collect();
    words.join(" ")
}
