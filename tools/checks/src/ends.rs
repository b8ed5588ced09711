//! Whether a program ends, and complains, as its last lines say.

use catalog::workspace::Example;

use crate::process::Finished;

/// Says what is wrong with how the program ended.
pub fn how_it_ended(
    example: &Example,
    is_twin: bool,
    finished: &Finished,
) -> Option<String> {
    let Some(text) = &example.header.checks.exit else {
        return finished.problem();
    };
    let code = finished.status.as_ref().map(|status| status.code());
    match code {
        Ok(Some(1)) => {
            let error = match is_twin {
                true => error_of_traceback(&finished.stderr),
                false => finished.stderr.clone(),
            };
            let lack = || format!("its error does not contain `{text}`");
            (!error.contains(text)).then(lack)
        }
        Ok(Some(0)) => Some("it ended well, but it says `exit: 1`".to_owned()),
        _ => finished.problem(),
    }
}

/// The error that ended a Python program: of its last traceback, what is not indented.
fn error_of_traceback(stderr: &str) -> String {
    let last = stderr.rsplit("Traceback ").next();
    let lines = last.into_iter().flat_map(str::lines).skip(1);
    let lines = lines.filter(|line| !line.starts_with(' '));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Says what is wrong with what the program wrote to standard error.
pub fn unexpected(example: &Example, is_twin: bool, stderr: &str) -> Option<String> {
    let (texts, is_rust) = (&example.header.checks.stderr, !is_twin);
    // What is announced by `exit:` ends the output.
    let harness = format!("error: {}: ", example.name);
    let errors = if is_rust {
        [harness.as_str(), "Error: "]
    } else {
        ["Traceback "; 2]
    };
    let error = errors.iter().find_map(|error| stderr.find(error));
    let before = match error {
        Some(at) if example.header.checks.exit.is_some() => &stderr[..at],
        _ => stderr,
    };
    let missing = texts.iter().find(|text| !before.contains(*text));
    if let Some(text) = missing.filter(|_| is_rust) {
        return Some(format!("`stderr: {text}` is not on standard error"));
    }
    let is_known = |line: &str| {
        let of_any_panic = line.starts_with("thread '") && line.contains(" panicked at ")
            || line.starts_with("note: run with `RUST_BACKTRACE=1`");
        let is_announced = |text: &String| {
            // Of a traceback, only the end can be announced.
            of_any_panic || line.contains(text) || !is_rust && before.contains(text)
        };
        line.is_empty() || texts.iter().any(is_announced)
    };
    let line = before.lines().find(|line| !is_known(line))?;
    Some(format!(
        "it wrote to standard error, of which its last lines say nothing: `{line}`"
    ))
}
