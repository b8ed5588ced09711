//! Which line of a program prints which line of its transcript, as far as the text of its
//! `println!` or `print` says it.

use anyhow::Result;
use regex::Regex;

/// A statement that prints.
struct Print {
    /// `rust:12`: the name of the file, and the number of its line from zero.
    at: String,
    /// Matches all that it can print.
    text: Regex,
    /// Whether there is a word in it that is always printed.
    has_words: bool,
}

/// The statements of some files that print.
pub struct Prints(Vec<Print>);

impl Prints {
    /// Finds those of these files, each with the name that it has on the page.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let statement =
            Regex::new(r#"(println!|\bprint)\(\s*(?:(f?)"((?:[^"\\]|\\.)*)"(,[^)])?)?"#)?;
        let hole = Regex::new(r"\{[^{}]*\}")?;
        let mut prints = Vec::new();
        for (name, text) in files {
            for found in statement.captures_iter(text) {
                let is_rust = &found[1] == "println!";
                let part = |group| found.get(group).map_or("", |it| it.as_str());
                let literal = match found.get(3) {
                    Some(literal) => literal.as_str().replace("\\\"", "\""),
                    // Something that has its text elsewhere.
                    None => "{}".to_owned(),
                };
                let has_holes = is_rust || part(2) == "f" || found.get(3).is_none();
                // Neither sign of the two that stand for braces occurs in a program.
                let literal = match has_holes {
                    true => literal.replace("{{", "\u{1}").replace("}}", "\u{2}"),
                    false => literal,
                };
                let words: Vec<&str> = match has_holes {
                    true => hole.split(&literal).collect(),
                    false => vec![&literal],
                };
                let has_words = words.iter().any(|words| {
                    words
                        .split(|c: char| !c.is_alphanumeric())
                        .any(|it| it.len() > 2)
                });
                let words = words.iter().map(|words| regex::escape(words));
                let mut pattern = words.collect::<Vec<String>>().join(".*");
                pattern = pattern.replace('\u{1}', "\\{").replace('\u{2}', "\\}");
                if !is_rust && found.get(4).is_some() {
                    pattern.push_str(" .*");
                }
                let before = &text[..found.get(0).map_or(0, |it| it.start())];
                prints.push(Print {
                    at: format!("{name}:{}", before.matches('\n').count()),
                    text: Regex::new(&format!("^{pattern}$"))?,
                    has_words,
                });
            }
        }
        Ok(Self(prints))
    }

    /// Returns where the line is printed, if that is certain: of the statements that say a
    /// word, one alone fits, or none, and there is one alone that says no word.
    pub fn at(&self, line: &str) -> Option<&str> {
        let fits = |it: &&Print| it.text.is_match(line);
        let (words, bare): (Vec<&Print>, Vec<&Print>) =
            self.0.iter().filter(fits).partition(|it| it.has_words);
        match (&words[..], &bare[..]) {
            ([one], _) | ([], [one]) => Some(&one.at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Prints;

    #[test]
    fn a_line_is_tied_where_one_statement_alone_fits() {
        let rust = "fn a() {\n    println!(\"Fetched {id}\");\n    println!(\n        \
                    \"{{}} of {}\", 1);\n    println!(\"{id}\");\n    println!(\"Two {a}\");\
                    \n    println!(\"Two {b}\");\n}\n";
        let rust = Prints::of([("rust", rust)]).expect("patterns");
        assert_eq!(rust.at("Fetched 3"), Some("rust:1"));
        assert_eq!(rust.at("7"), Some("rust:4"));
        assert_eq!(rust.at("Two 1"), None);
        let python =
            "print(\"{name}\", y)\nprint(f\"Now {x}\")\nprint(x)\nprint(f\"{y}\")\n";
        let python = Prints::of([("python", python)]).expect("patterns");
        assert_eq!(python.at("{name} 1"), Some("python:0"));
        assert_eq!(python.at("Now 1"), Some("python:1"));
        assert_eq!(python.at("1"), None);
    }
}
