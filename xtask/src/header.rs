//! The header comment of an example: summary, prose and directives.

/// What the header of an example says, as far as tools need it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// The first line.
    pub summary: String,
    /// `asyncio: ...`: the names in asyncio that the example answers.
    pub asyncio: Vec<String>,
    /// `clock: real`: the example cannot run on the virtual clock.
    pub real_clock: bool,
    /// `twin: none (why)`: the reason why there is no asyncio program.
    pub no_twin: Option<String>,
    /// `send: no (why)`: the reason why `run` cannot be given to `tokio::spawn`.
    pub not_send: Option<String>,
}

const DIRECTIVES: [&str; 4] = ["asyncio", "clock", "send", "twin"];

/// Reads the header of a source file and says everything that is wrong with it.
///
/// A header is a block of `//!` lines: a summary that is one sentence, an empty line,
/// prose, and as its last paragraph the directives, one a line.
pub fn parse(source: &str) -> (Header, Vec<String>) {
    let mut header = Header::default();
    let mut problems = Vec::new();
    let lines: Vec<&str> = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect();
    let mut paragraphs = lines
        .split(|line| line.is_empty())
        .filter(|p| !p.is_empty());

    let starts_with_text = lines.first().is_some_and(|line| !line.is_empty());
    let Some(&[summary]) = paragraphs.next().filter(|_| starts_with_text) else {
        problems.push(
            "the header has no summary: its first line is one sentence, followed by an \
             empty `//!` line"
                .to_owned(),
        );
        return (header, problems);
    };
    header.summary = summary.to_owned();
    if !summary.ends_with('.') || directive(summary).is_some() {
        problems.push(format!(
            "the header has no summary: `{summary}` is not a sentence with a full stop"
        ));
    }

    let mut paragraphs: Vec<&[&str]> = paragraphs.collect();
    let directives = paragraphs.pop().unwrap_or_default();
    if paragraphs.is_empty() {
        problems.push(
            "the header needs prose between its summary and its directives".to_owned(),
        );
    }
    for line in paragraphs.concat() {
        if let Some((key, _)) = directive(line).filter(|(key, _)| is_known(key)) {
            problems.push(format!(
                "the directive `{key}:` belongs in the last paragraph of the header"
            ));
        }
    }
    let mut seen = Vec::new();
    for line in directives {
        let Some((key, value)) = directive(line) else {
            problems.push(format!(
                "`{line}` is not a directive; the last paragraph of the header holds \
                 `key: value` lines only"
            ));
            continue;
        };
        if seen.contains(&key) {
            problems.push(format!("the directive `{key}:` stands twice"));
        }
        seen.push(key);
        if let Err(problem) = header.take(key, value) {
            problems.push(problem);
        }
    }
    if !seen.contains(&"asyncio") {
        problems.push(
            "the directive `asyncio:` is missing: which names of asyncio does this answer?"
                .to_owned(),
        );
    }
    (header, problems)
}

impl Header {
    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        match (key, value) {
            ("asyncio", names) => {
                self.asyncio = names
                    .split(',')
                    .map(|name| name.trim().to_owned())
                    .collect();
                if self.asyncio.iter().any(String::is_empty) {
                    return Err("`asyncio:` takes names, separated by commas".to_owned());
                }
            }
            ("clock", "real") => self.real_clock = true,
            ("clock", other) => {
                return Err(format!("`clock: {other}`: the only value is `real`"));
            }
            ("send", value) => self.not_send = Some(reason("send", "no", value)?),
            ("twin", value) => self.no_twin = Some(reason("twin", "none", value)?),
            (unknown, _) => {
                return Err(format!(
                    "unknown directive `{unknown}:`; there are {}",
                    DIRECTIVES.map(|key| format!("`{key}:`")).join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// The text in the brackets of `key: word (why)`.
fn reason(key: &str, word: &str, value: &str) -> Result<String, String> {
    value
        .strip_prefix(word)
        .map(str::trim)
        .and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'))
        .filter(|why| !why.trim().is_empty())
        .map(str::to_owned)
        .ok_or_else(|| {
            format!("`{key}: {value}`: the form is `{key}: {word} (the reason)`")
        })
}

/// Splits `key: value` where the key is a single lower-case word.
fn directive(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let is_word = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase());
    is_word.then_some((key, value.trim()))
}

fn is_known(key: &str) -> bool {
    DIRECTIVES.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::parse;

    const GOOD: &str = "\
//! Yield values.
//!
//! What carries over: everything. Mind the trap.
//! A second line.
//!
//! asyncio: async generators, async for
//! clock: real
//! send: no (it holds an Rc)
//! twin: none (there is no such thing)

use std::pin::pin;
";

    #[test]
    fn a_good_header() {
        let (header, problems) = parse(GOOD);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(header.summary, "Yield values.");
        assert_eq!(header.asyncio, ["async generators", "async for"]);
        assert!(header.real_clock);
        assert_eq!(header.not_send.as_deref(), Some("it holds an Rc"));
        assert_eq!(header.no_twin.as_deref(), Some("there is no such thing"));
    }

    #[track_caller]
    fn one_problem(from: &str, to: &str, expected: &str) {
        assert!(GOOD.contains(from), "{from} is not in the good header");
        let (_, problems) = parse(&GOOD.replace(from, to));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(expected), "{problems:?}");
    }

    #[test]
    fn each_mistake_is_named() {
        one_problem("//! Yield values.\n//!\n", "", "no summary");
        one_problem("//! Yield values.\n", "", "no summary");
        one_problem("Yield values.", "Yield values", "full stop");
        one_problem(
            "//! clock: real",
            "//! clok: real",
            "unknown directive `clok:`",
        );
        one_problem("clock: real", "clock: fast", "the only value is `real`");
        one_problem("clock: real", "in real time", "is not a directive");
        one_problem("none (there is no such thing)", "none", "the form is");
        one_problem("none (there is no such thing)", "none ()", "the form is");
        one_problem("send: no (it holds an Rc)", "send: yes", "the form is");
        one_problem("async generators, async for", "", "separated by commas");
        one_problem(
            "//! asyncio: async generators, async for\n",
            "",
            "is missing",
        );
        one_problem(
            "//! clock: real\n",
            "//! clock: real\n//! clock: real\n",
            "twice",
        );
        one_problem("//! A second line.", "//! clock: real", "last paragraph");
        one_problem(
            "//! What carries over: everything. Mind the trap.\n//! A second line.\n//!\n",
            "",
            "needs prose",
        );
    }

    #[test]
    fn no_header_at_all() {
        let (_, problems) = parse("use std::pin::pin;\n");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("no summary"), "{problems:?}");
    }
}
