//! What only the checks and the harness read of an example: the last lines of its file, each
//! `//@ key: value`. Readers do not see them: copies, the book and `show` leave them out.

const MARK: &str = "//@ ";

/// What the last lines of an example say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// `clock: real`: the example cannot run on the virtual clock.
    pub real_clock: bool,
    /// `twin: none (why)`: the reason why there is no asyncio program.
    pub no_twin: Option<String>,
    /// `python: 3.13`: the minor version of Python 3 that the twin needs.
    pub python: Option<u32>,
    /// `send: no (why)`: the reason why `main` cannot be given to `tokio::spawn`.
    pub not_send: Option<String>,
    /// `exit: 1 TEXT`: `main` is meant to return an error that contains this text.
    pub exit: Option<String>,
    /// `order: TEXT`, once for each text: on several threads, lines with this text take any
    /// place among the lines of their time.
    pub order: Vec<String>,
    /// `late: 50 (why)`: the reason why it may be 50 ms late instead of 20.
    pub late: Option<String>,
    /// `stderr: TEXT`, once for each text: what the program writes to standard error.
    pub stderr: Vec<String>,
    /// `try: ARGS -> TEXT`: with these arguments the `main` of a copy prints this text.
    pub tries: Vec<(String, String)>,
}

const KEYS: [&str; 9] = [
    "clock", "exit", "late", "order", "python", "send", "stderr", "try", "twin",
];

/// Returns the text that readers see: without the directives and the empty line before them.
pub fn shown(source: &str) -> &str {
    let is_directive = |line: &str| line.starts_with(MARK.trim_end());
    let lines = source.split_inclusive('\n');
    let hidden: usize = lines
        .rev()
        .take_while(|it| is_directive(it))
        .map(str::len)
        .sum();
    match source[..source.len() - hidden].strip_suffix("\n\n") {
        Some(text) if hidden > 0 => &source[..text.len() + 1],
        _ => &source[..source.len() - hidden],
    }
}

/// Returns the rest, which readers do not see.
pub fn hidden(source: &str) -> &str {
    &source[shown(source).len()..]
}

/// Reads the directives of a source file and says everything that is wrong with them.
pub fn parse(source: &str) -> (Directives, Vec<String>) {
    let (mut directives, mut problems) = (Directives::default(), Vec::new());
    let program = shown(source);
    if program
        .lines()
        .any(|line| line.starts_with(MARK.trim_end()))
    {
        problems.push(format!(
            "`{MARK}` lines stand at the end of the file, and nowhere else"
        ));
    }
    let mut seen = Vec::new();
    for line in hidden(source).lines().filter(|line| !line.is_empty()) {
        let directive = line.strip_prefix(MARK).and_then(key_and_value);
        let Some((key, value)) = directive else {
            problems.push(format!("`{line}` is not of the form `{MARK}key: value`"));
            continue;
        };
        if seen.contains(&key) && !["order", "stderr", "try"].contains(&key) {
            problems.push(format!("the directive `{key}:` stands twice"));
        }
        seen.push(key);
        problems.extend(directives.take(key, value).err());
    }
    (directives, problems)
}

/// Whether a line of a header is one of these directives, which do not belong there.
pub fn is_one(key: &str) -> bool {
    KEYS.contains(&key)
}

impl Directives {
    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        match (key, value) {
            ("clock", "real") => self.real_clock = true,
            ("clock", other) => {
                return Err(format!("`clock: {other}`: the only value is `real`"));
            }
            ("python", version) => {
                let Some(Ok(minor)) = version.strip_prefix("3.").map(str::parse) else {
                    let form = "the form is `python: 3.MINOR`";
                    return Err(format!("`python: {version}`: {form}"));
                };
                self.python = Some(minor);
            }
            ("order" | "stderr", "") => return Err(format!("`{key}:` takes a text")),
            ("order", text) => self.order.push(text.to_owned()),
            ("stderr", text) => self.stderr.push(text.to_owned()),
            ("exit", value) => {
                let text = value.strip_prefix("1 ").ok_or_else(|| {
                    let form = "the form is `exit: 1 TEXT`, the text being of the error";
                    format!("`exit: {value}`: {form}")
                })?;
                self.exit = Some(text.trim().to_owned());
            }
            ("try", value) => {
                let (arguments, text) = value
                    .split_once("->")
                    .map(|(arguments, text)| (arguments.trim(), text.trim()))
                    .filter(|(_, text)| !text.is_empty())
                    .ok_or_else(|| {
                        format!("`try: {value}`: the form is `try: ARGS -> TEXT`")
                    })?;
                self.tries.push((arguments.to_owned(), text.to_owned()));
            }
            ("late", value) => self.late = Some(reason("late", "50", value)?),
            ("send", value) => self.not_send = Some(reason("send", "no", value)?),
            ("twin", value) => self.no_twin = Some(reason("twin", "none", value)?),
            (unknown, _) => {
                let known = KEYS.map(|key| format!("`{key}:`")).join(", ");
                return Err(format!("unknown directive `{unknown}:`; there are {known}"));
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
pub fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let is_word = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase());
    is_word.then_some((key, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::{parse, shown};

    const GOOD: &str = "\
//! Yield values.

fn main() {}

//@ clock: real
//@ exit: 1 no such file
//@ order: a line
//@ python: 3.13
//@ send: no (it holds an Rc)
//@ stderr: the sky falls
//@ stderr: and the sea rises
//@ try: add tea -> 1 job
//@ try: -> usage
//@ twin: none (there is no such thing)
";

    #[test]
    fn good_directives() {
        let (directives, problems) = parse(GOOD);
        assert_eq!(problems, Vec::<String>::new());
        assert!(directives.real_clock);
        assert_eq!(directives.exit.as_deref(), Some("no such file"));
        assert_eq!(directives.order, ["a line"]);
        assert_eq!(directives.python, Some(13));
        assert_eq!(directives.stderr, ["the sky falls", "and the sea rises"]);
        let tries = directives.tries.iter();
        let tries = tries.map(|(args, text)| format!("{args}|{text}"));
        assert_eq!(tries.collect::<Vec<_>>(), ["add tea|1 job", "|usage"]);
        assert_eq!(directives.not_send.as_deref(), Some("it holds an Rc"));
        assert_eq!(
            directives.no_twin.as_deref(),
            Some("there is no such thing")
        );
        assert_eq!(shown(GOOD), "//! Yield values.\n\nfn main() {}\n");
        assert_eq!(shown("fn main() {}\n"), "fn main() {}\n");
    }

    /// A text of the good ones, what replaces it, and what is wrong then; `|` ends a line.
    const MISTAKES: &str = "\
clock: real => clok: real :: unknown directive `clok:`
clock: real => clock: fast :: the only value is `real`
clock: real => in real time :: not of the form
//@ clock: real => //@clock: real :: not of the form
none (there is no such thing) => none :: the form is
none (there is no such thing) => none () :: the form is
send: no (it holds an Rc) => send: yes :: the form is
exit: 1 no => exit: no :: the form is `exit: 1 TEXT`
stderr: the sky falls => stderr: :: takes a text
order: a line => order: :: takes a text
python: 3.13 => python: 4 :: the form is `python: 3.MINOR`
try: -> usage => try: usage :: the form is `try: ARGS -> TEXT`
clock: real => clock: real|//@ clock: real :: twice
fn main() {} => //@ clock: real|fn main() {} :: at the end";

    #[test]
    fn each_mistake_is_named() {
        for mistake in MISTAKES.lines() {
            let (change, expected) = mistake.split_once(":: ").expect("what is wrong");
            let (from, to) = change.split_once(" =>").expect("what is replaced");
            let [from, to] = [from, to.trim()].map(|it| it.replace('|', "\n"));
            assert!(GOOD.contains(&from), "{from} is not in the good ones");
            let (_, problems) = parse(&GOOD.replace(&from, &to));
            assert_eq!(problems.len(), 1, "{mistake}: {problems:?}");
            assert!(problems[0].contains(expected), "{mistake}: {problems:?}");
        }
    }
}
