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

/// The directives by their keys, each with its form.
const FORMS: [(&str, &str); 9] = [
    ("clock", "real"),
    ("exit", "1 TEXT"),
    ("late", "50 (the reason)"),
    ("order", "TEXT"),
    ("python", "3.MINOR"),
    ("send", "no (the reason)"),
    ("stderr", "TEXT"),
    ("try", "ARGS -> TEXT"),
    ("twin", "none (the reason)"),
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
    let lines = hidden(source).lines().filter(|line| !line.is_empty());
    let lines = lines.map(|line| (line, line.strip_prefix(MARK).and_then(key_and_value)));
    let form = format!("is not of the form `{MARK}key: value`");
    let again = ["order", "stderr", "try"];
    let wrong = take_each(lines, &form, &again, |key, value| {
        directives.take(key, value)
    });
    problems.extend(wrong);
    (directives, problems)
}

/// Gives each line to `take`, by its key and its value. Says of which that is wrong; and which
/// line has no key, and which key stands `again` although it may not.
pub(crate) fn take_each<'a>(
    lines: impl Iterator<Item = (&'a str, Option<(&'a str, &'a str)>)>,
    form: &str,
    again: &[&str],
    mut take: impl FnMut(&'a str, &'a str) -> Result<(), String>,
) -> Vec<String> {
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    for (line, directive) in lines {
        let Some((key, value)) = directive else {
            problems.push(format!("`{line}` {form}"));
            continue;
        };
        if seen.contains(&key) && !again.contains(&key) {
            problems.push(format!("the directive `{key}:` stands twice"));
        }
        seen.push(key);
        problems.extend(take(key, value).err());
    }
    problems
}

/// Whether a line of a header is one of these directives, which do not belong there.
pub fn is_one(key: &str) -> bool {
    FORMS.iter().any(|(known, _)| *known == key)
}

impl Directives {
    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == key) else {
            let known = FORMS.map(|(key, _)| format!("`{key}:`")).join(", ");
            return Err(format!("unknown directive `{key}:`; there are {known}"));
        };
        let wrong = || format!("`{key}: {value}`: the form is `{key}: {form}`");
        self.set(key, value).ok_or_else(wrong)
    }

    /// Sets the field of the key, if the value has its form.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let reason = |word: &str| {
            let rest = value.strip_prefix(word)?.trim_start();
            some(rest.strip_prefix('(')?.strip_suffix(')')?.trim())
        };
        match key {
            "clock" => self.real_clock = (value == "real").then_some(true)?,
            "exit" => self.exit = Some(some(value.strip_prefix("1 ")?.trim())?),
            "late" => self.late = Some(reason("50")?),
            "order" => self.order.push(some(value)?),
            "python" => match value.strip_prefix("3.")?.parse() {
                Ok(minor) => self.python = Some(minor),
                Err(_) => return None,
            },
            "send" => self.not_send = Some(reason("no")?),
            "stderr" => self.stderr.push(some(value)?),
            "try" => {
                let (arguments, text) = value.split_once("->")?;
                let text = some(text.trim())?;
                self.tries.push((arguments.trim().to_owned(), text));
            }
            _ => self.no_twin = Some(reason("none")?),
        }
        Some(())
    }
}

/// Splits `key: value` where the key is a single lower-case word.
pub fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let is_word = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase());
    is_word.then_some((key, value.trim()))
}
