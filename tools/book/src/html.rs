//! Text that stands in HTML and in Markdown.

/// The text as it has to be written in HTML, in an element or an attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A line of plain text in which `words` in backticks become code.
pub fn with_code(text: &str) -> String {
    let mut html = String::new();
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escape(text);
    }
    for (index, part) in parts.iter().enumerate() {
        let part = escape(part);
        match index % 2 {
            0 => html.push_str(&part),
            _ => html.push_str(&format!("<code>{part}</code>")),
        }
    }
    html
}

/// A text that is no Markdown and no HTML, as code in Markdown.
pub fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// A block of code in Markdown, whatever the code holds.
pub fn block(language: &str, code: &str) -> String {
    let mut longest = 2;
    let mut run = 0;
    for character in code.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    let end = if code.ends_with('\n') { "" } else { "\n" };
    format!("{fence}{language}\n{code}{end}{fence}\n")
}

/// A text as a string of JSON that can stand in a `script` element.
pub fn json(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('<', "\\u003c")
}

/// A name that can be the anchor of a heading.
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

/// Percent-encoding for a value in the query of an address.
pub fn query(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{anchor, block, escape, json, query, with_code};

    #[test]
    fn what_could_be_taken_for_markup_is_not() {
        assert_eq!(
            escape("a<b> & \"c\" 'd'"),
            "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;"
        );
        assert_eq!(
            with_code("use `Arc<T>` <now>"),
            "use <code>Arc&lt;T&gt;</code> &lt;now&gt;"
        );
        assert_eq!(with_code("one ` alone"), "one ` alone");
        assert_eq!(block("rs", "a ``` b"), "````rs\na ``` b\n````\n");
        assert_eq!(json("</script>\n\"x\""), "\"\\u003c/script>\\n\\\"x\\\"\"");
        assert_eq!(query("a b&c=ü"), "a+b%26c%3D%C3%BC");
    }

    #[test]
    fn anchors() {
        for (name, expected) in [
            ("asyncio.wait_for", "asyncio.wait_for"),
            ("except*", "exceptstar"),
            ("async for", "async-for"),
            (
                "asyncio logger (logging.getLogger(\"asyncio\"))",
                "asyncio-logger-logging.getLogger-asyncio",
            ),
        ] {
            assert_eq!(anchor(name), expected);
        }
    }
}
