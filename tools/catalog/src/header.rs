//! The header comment of an example: summary, prose and directives.

use crate::directives::{self, Directives, key_and_value as directive};

/// What the header of an example says, as far as tools need it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// The first line.
    pub summary: String,
    /// The prose between the summary and the directives.
    pub paragraphs: Vec<Paragraph>,
    /// `asyncio: ...`, on as many lines as it takes: the names and constructs of Python
    /// that the example answers.
    pub asyncio: Vec<String>,
    /// `differs: why`: the two programs print different transcripts, and this is why.
    pub differs: Option<String>,
    /// What only checks read, from the end of the file.
    pub checks: Directives,
}

/// A paragraph of a header's prose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph {
    /// One of [`LABELS`], if it begins with one.
    pub label: Option<&'static str>,
    /// The number of a trap, if `docs/traps.tsv` has one for it.
    pub number: Option<String>,
    /// What follows the label, with its line breaks.
    pub text: String,
}

impl Paragraph {
    fn new(lines: &[&str]) -> Self {
        // The brackets are for rustdoc.
        let text = lines.join("\n").replace("[`", "`").replace("`]", "`");
        let labelled = LABELS.into_iter().find_map(|label| {
            let text = text.strip_prefix(label)?.strip_prefix(": ")?;
            Some((label, text.to_owned()))
        });
        let (label, text) = labelled.map_or((None, text), |(it, text)| (Some(it), text));
        Self {
            label,
            number: None,
            text,
        }
    }

    /// Returns the label with the number, as in `Trap T001`.
    pub fn title(&self) -> Option<String> {
        let number = self.number.iter().map(|number| format!(" {number}"));
        Some(self.label?.to_owned() + &number.collect::<String>())
    }
}

const DIRECTIVES: [&str; 2] = ["asyncio", "differs"];

/// What a paragraph of the prose may begin with, in this order; the others come first.
pub const LABELS: [&str; 5] =
    ["Bounds", "Trap", "In production", "Platforms", "See also"];

/// Reads the header of a source file and says everything that is wrong with it.
///
/// A header is a block of `//!` lines: a summary that is one sentence, an empty
/// line, prose, in it the paragraphs with [`LABELS`], and as its last paragraph the
/// directives, one a line.
pub fn parse(source: &str) -> (Header, Vec<String>) {
    let mut header = Header::default();
    let (checks, mut problems) = directives::parse(source);
    header.checks = checks;
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
        let problem = "the header has no summary: its first line is one sentence, \
                       followed by an empty `//!` line";
        problems.push(problem.to_owned());
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
        let problem = "the header needs prose between its summary and its directives";
        problems.push(problem.to_owned());
    }
    problems.extend(label_problems(&paragraphs));
    header.paragraphs = paragraphs.iter().map(|it| Paragraph::new(it)).collect();
    for line in paragraphs.concat() {
        let directive = directive(line);
        if let Some((key, _)) = directive.filter(|(key, _)| DIRECTIVES.contains(key)) {
            problems.push(format!(
                "the directive `{key}:` belongs in the last paragraph of the header"
            ));
        }
    }
    problems.extend(header.take_all(directives));
    if header.differs.is_some() && header.checks.no_twin.is_some() {
        problems.push("`differs:` needs a twin to differ from".to_owned());
    }
    (header, problems)
}

/// The label with which a paragraph begins, if it does: words before a colon, the first
/// with a capital letter.
pub fn label(line: &str) -> Option<&str> {
    let (label, _) = line.split_once(": ")?;
    let is_word = |c: char| c.is_ascii_alphabetic() || c == ' ';
    let is_label = label.starts_with(|c: char| c.is_ascii_uppercase())
        && label.chars().all(is_word)
        && label.split(' ').count() <= 2;
    is_label.then_some(label)
}

fn label_problems(paragraphs: &[&[&str]]) -> Option<String> {
    let known = LABELS.map(|label| format!("`{label}:`")).join(", ");
    let mut last = None;
    for line in paragraphs.iter().filter_map(|paragraph| paragraph.first()) {
        let label = label(line);
        let place = LABELS.iter().position(|known| label == Some(known));
        if let (Some(label), None) = (label, place) {
            return Some(format!(
                "no paragraph begins with `{label}:`; there are {known}"
            ));
        }
        // Only a trap may follow another one.
        let repeats = place == last && place.is_some_and(|it| LABELS[it] != "Trap");
        if place < last || repeats {
            return Some(format!(
                "the paragraphs of the header come in this order: text, {known}"
            ));
        }
        last = place;
    }
    None
}

impl Header {
    /// Returns the paragraphs with this label.
    pub fn labelled(&self, label: &str) -> impl Iterator<Item = &Paragraph> {
        let has = move |it: &&Paragraph| it.label == Some(label);
        self.paragraphs.iter().filter(has)
    }

    /// Takes the directives of the last paragraph, and says what is wrong with them.
    fn take_all(&mut self, lines: &[&str]) -> Vec<String> {
        let form = "is not a directive; the last paragraph of the header holds `key: value` \
                    lines only";
        let lines = lines.iter().map(|line| (*line, directive(line)));
        let names = lines
            .clone()
            .filter(|(_, it)| matches!(it, Some(("asyncio", _))));
        let count = names.count();
        let take = |key, value| self.take(key, value);
        let mut problems = directives::take_each(lines, form, &["asyncio"], take);
        let problem = match count {
            0 => {
                "the directive `asyncio:` is missing: which names of asyncio does this answer?"
            }
            1 | 2 => return problems,
            _ => {
                "`asyncio:` takes two lines at most; the column `examples` of \
                 docs/asyncio-api.tsv takes what the program merely shows"
            }
        };
        problems.push(problem.to_owned());
        problems
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        match (key, value) {
            ("asyncio", names) => {
                for name in names.split(',').map(str::trim) {
                    if name.is_empty() {
                        let form = "`asyncio:` takes names, separated by commas";
                        return Err(form.to_owned());
                    }
                    if self.asyncio.iter().any(|other| other == name) {
                        return Err(format!("`asyncio:` names `{name}` twice"));
                    }
                    self.asyncio.push(name.to_owned());
                }
            }
            ("differs", "") => return Err("`differs:` takes a text".to_owned()),
            ("differs", why) => self.differs = Some(why.to_owned()),
            (key, _) if directives::is_one(key) => {
                let end = "at the end of the file, behind `//@`";
                return Err(format!("the directive `{key}:` belongs {end}"));
            }
            (unknown, _) => {
                let known = DIRECTIVES.map(|key| format!("`{key}:`")).join(", ");
                return Err(format!("unknown directive `{unknown}:`; there are {known}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::directives::{self, Directives};

    const GOOD: &str = "\
//! Yield values.
//!
//! What carries over: everything. Mind the trap.
//! A second line.
//!
//! asyncio: async for, asyncio.sleep(0)
//! asyncio: yield
//! differs: so

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
";

    #[test]
    fn a_good_header() {
        let (header, problems) = parse(GOOD);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(header.summary, "Yield values.");
        let prose = "What carries over: everything. Mind the trap.";
        assert_eq!(
            header.paragraphs[0].text,
            format!("{prose}\nA second line.")
        );
        let (labelled, _) =
            parse(&GOOD.replace("A second line.\n", "\n//! Trap: [`it`]\n//! is.\n"));
        let texts = labelled.paragraphs.iter();
        let texts = texts.map(|it| (it.label, it.text.as_str()));
        assert!(texts.eq([(None, prose), (Some("Trap"), "`it`\nis.")]));
        assert_eq!(header.asyncio, ["async for", "asyncio.sleep(0)", "yield"]);
        assert_eq!(header.differs.as_deref(), Some("so"));
        let tries = [("add tea", "1 job"), ("", "usage")];
        let checks = Directives {
            real_clock: true,
            exit: Some("no such file".to_owned()),
            order: vec!["a line".to_owned()],
            python: Some(13),
            not_send: Some("it holds an Rc".to_owned()),
            stderr: vec!["the sky falls".to_owned(), "and the sea rises".to_owned()],
            tries: tries
                .map(|(args, text)| (args.to_owned(), text.to_owned()))
                .into(),
            ..Directives::default()
        };
        assert_eq!(header.checks, checks);
        let (shown, _) = GOOD.split_once("\n//@").expect("they end it");
        assert_eq!(directives::shown(GOOD), shown);
        assert_eq!(directives::shown("fn main() {}\n"), "fn main() {}\n");
    }

    /// A text of the good ones, what replaces it, and what is wrong then; `|` ends a line.
    const MISTAKES: &str = "\
Yield values.|//!| => :: no summary
Yield values.| => :: no summary
Yield values. => Yield values :: full stop
differs: so => clok: real :: unknown directive `clok:`
differs: so => in real time :: is not a directive
differs: so => differs: :: takes a text
differs: so => order: real :: behind `//@`
async for, asyncio.sleep(0) => :: separated by commas
asyncio: yield => asyncio: async for :: `async for` twice
asyncio: yield => asyncio: yield|//! asyncio: raise :: two lines
asyncio: async for, asyncio.sleep(0)|//! asyncio: yield|//! differs: so => differs: so :: is missing
differs: so => differs: so|//! differs: so :: twice
A second line. => differs: so :: last paragraph
//! What carries over: everything. Mind the trap.|//! A second line.|//!| => :: needs prose
A second line. => |//! Traps: two. :: begins with `Traps:`
A second line. => |//! See also: x.|//!|//! Trap: y. :: in this order
A second line. => |//! See also: x.|//!|//! Platforms: y. :: in this order
clock: real => clok: real :: unknown directive `clok:`
clock: real => clock: fast :: the form is `clock: real`
clock: real => in real time :: not of the form
//@ clock: real => //@clock: real :: not of the form
clock: real => twin: none :: the form is `twin: none (the reason)`
clock: real => twin: none (so) :: `differs:` needs a twin
send: no (it holds an Rc) => send: no () :: the form is
send: no (it holds an Rc) => send: yes :: the form is
exit: 1 no => exit: no :: the form is `exit: 1 TEXT`
stderr: the sky falls => stderr: :: the form is `stderr: TEXT`
order: a line => order: :: the form is
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
            assert!(GOOD.contains(&from), "{from} is not in the good header");
            let (_, problems) = parse(&GOOD.replace(&from, &to));
            assert_eq!(problems.len(), 1, "{mistake}: {problems:?}");
            assert!(problems[0].contains(expected), "{mistake}: {problems:?}");
        }
        assert!(parse("use std::pin::pin;\n").1[0].contains("no summary"));
    }
}
