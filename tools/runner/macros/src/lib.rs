//! The macro behind `runner::section!()`.

use std::env;
use std::fs;
use std::path::Path;

use proc_macro::TokenStream;

/// Writes the section's `main`, which runs the examples.
///
/// An example is a line `mod NAME;` in the section's `src/main.rs`; the order of the lines
/// is the reading order. `src/NAME.rs` has a `pub fn main()` and a `pub async fn run()`. If
/// there is a `src/demos/NAME.rs`, both are taken from there, and the `main` beside the
/// pattern is only compiled.
///
/// The future of `run` has to be `Send`, so that what a reader pastes also works inside
/// `tokio::spawn`. An example that is about the opposite says why in its header: `send: no
/// (why)`.
///
/// `section!(path::to::function)` names a function that provides what the examples need,
/// such as servers; it is of the type `runner::Provide`.
#[proc_macro]
pub fn section(provide: TokenStream) -> TokenStream {
    let src = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("src");
    let provide = match provide.is_empty() {
        true => "|_| ::std::result::Result::Ok(None)".to_owned(),
        false => provide.to_string(),
    };
    let written = write(&src, &provide)
        .unwrap_or_else(|problem| format!("compile_error!({problem:?});"));
    written.parse().expect("it is Rust")
}

fn write(src: &Path, provide: &str) -> Result<String, String> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let main = read(&src.join("main.rs"))?;
    let names = main
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let mut examples = String::new();
    for name in names.filter(|name| !["demos", "tests"].contains(name)) {
        let header = read(&src.join(format!("{name}.rs")))?;
        let mut header = header.lines().take_while(|line| line.starts_with("//!"));
        let run = match header.any(|line| line.starts_with("//! send: no")) {
            true => "Local",
            false => "Send",
        };
        let has_demo = src.join(format!("demos/{name}.rs")).exists();
        let (place, keep) = match has_demo {
            true => (format!("demos::{name}"), format!("let _ = {name}::main;")),
            false => (name.to_owned(), String::new()),
        };
        examples += &format!(
            "::runner::Example {{
                name: {name:?},
                source: include_str!(\"{name}.rs\"),
                main: || {{ {keep} ::runner::Outcome::into_result({place}::main()) }},
                run: ::runner::Run::{run}(|| ::std::boxed::Box::pin(async {{
                    ::runner::Outcome::into_result({place}::run().await)
                }})),
            }},"
        );
    }
    Ok(format!(
        "fn main() -> ::std::process::ExitCode {{
            ::runner::run_section(
                env!(\"CARGO_PKG_NAME\"), env!(\"CARGO_PKG_DESCRIPTION\"), &[{examples}],
                {provide},
            )
        }}"
    ))
}
