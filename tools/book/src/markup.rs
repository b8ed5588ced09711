//! Text that stands in HTML and in Markdown.

use askama::filters::{Html, Safe, escape};

/// Returns a line of plain text as HTML, in which `words` in backticks are code.
pub fn with_code(text: &str) -> Safe<String> {
    let Ok(escaped) = escape(text, Html);
    let escaped = escaped.to_string();
    let parts: Vec<&str> = escaped.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return Safe(escaped);
    }
    let mut html = String::new();
    for (index, part) in parts.into_iter().enumerate() {
        match index % 2 {
            0 => html.push_str(part),
            _ => html.push_str(&format!("<code>{part}</code>")),
        }
    }
    Safe(html)
}

/// Returns a block of code in Markdown, whatever the code holds.
pub fn block(language: &str, code: &str) -> Safe<String> {
    let runs = code.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or(0).max(2) + 1);
    let code = code.trim_end_matches('\n');
    Safe(format!("{fence}{language}\n{code}\n{fence}\n"))
}

/// Returns the anchor of a name.
pub fn anchor(name: &str) -> String {
    let mut anchor = String::new();
    for character in name.chars() {
        if character.is_alphanumeric() || "._".contains(character) {
            anchor.push(character);
        } else if character == '*' {
            anchor.push_str("star");
        } else if !anchor.is_empty() && !anchor.ends_with('-') {
            anchor.push('-');
        }
    }
    anchor.trim_end_matches('-').to_owned()
}

/// Returns a time in seconds.
pub fn seconds(millis: &u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// Returns the program without the comment at its beginning.
pub fn after_header(source: &str) -> &str {
    let mut rest = source;
    while rest.starts_with("//!") || rest.starts_with('\n') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::{anchor, block, with_code};

    #[test]
    fn what_could_be_taken_for_markup_is_not() {
        let html = with_code("use `Arc<T>` <now>").0;
        assert_eq!(html, "use <code>Arc&#60;T&#62;</code> &#60;now&#62;");
        assert_eq!(with_code("one ` alone").0, "one ` alone");
        assert_eq!(block("rs", "a ``` b").0, "````rs\na ``` b\n````\n");
    }

    #[test]
    fn anchors() {
        let logger = "asyncio logger (logging.getLogger(\"asyncio\"))";
        for (name, expected) in [
            ("asyncio.wait_for", "asyncio.wait_for"),
            ("except*", "exceptstar"),
            ("async for", "async-for"),
            (logger, "asyncio-logger-logging.getLogger-asyncio"),
        ] {
            assert_eq!(anchor(name), expected);
        }
    }
}
