//! The macros of the harness: the list of a section's examples, and their `main`.

use std::env;
use std::fs;
use std::path::Path;

use proc_macro::TokenStream;

/// Writes the section's `main`, which runs the examples.
///
/// An example is a line `mod NAME;` in the section's `src/main.rs`; the order of the lines
/// is the reading order. What runs is the `main` of `src/NAME.rs`: an async one below
/// `#[tokio::main]`, which [`macro@main`] leaves async, or a `pub fn main()` that makes its own
/// runtime. If there is a `src/demos/NAME.rs`, its `pub async fn run()` runs instead, and the
/// `main` next to the pattern is only compiled.
///
/// The future has to be `Send`, so that what a reader pastes also works inside
/// `tokio::spawn`. An example that is about the opposite says why: `send: no (why)`.
///
/// `section!(path::to::function)` names a function that provides what the examples need,
/// such as servers; it is of the type `harness::Provide`.
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
        let source = read(&src.join(format!("{name}.rs")))?;
        let has_line = |start| source.lines().any(|line: &str| line.starts_with(start));
        let kind = match has_line("//@ send: no ") {
            true => "Local",
            false => "Send",
        };
        let (real_clock, fails) = (has_line("//@ clock: real"), has_line("//@ exit: 1 "));
        let boxed = |main| {
            format!(
                "::harness::Main::{kind}(|| ::std::boxed::Box::pin(async {{
                    ::harness::Outcome::into_result({main}().await)
                }}))"
            )
        };
        let has_demo = src.join(format!("demos/{name}.rs")).exists();
        let (main, runtime) = if has_demo {
            let main = boxed(format!("demos::{name}::run"));
            (
                format!("{{ let _ = {name}::main; {main} }}"),
                "::harness::default_runtime".to_owned(),
            )
        } else if has_line("#[tokio::main") {
            (boxed(format!("{name}::main")), format!("{name}::__runtime"))
        } else {
            let main = format!("::harness::Outcome::into_result({name}::main())");
            (
                format!("::harness::Main::Plain(|| {main})"),
                "::harness::default_runtime".to_owned(),
            )
        };
        examples += &format!(
            "::harness::Example {{
                name: {name:?},
                source: include_str!(\"{name}.rs\"),
                main: {main},
                runtime: |main| {runtime}(main),
                needs_real_clock: {real_clock},
                exits_with_error: {fails},
            }},"
        );
    }
    Ok(format!(
        "fn main() -> ::std::process::ExitCode {{
            ::harness::run_section(
                env!(\"CARGO_PKG_NAME\"), env!(\"CARGO_PKG_DESCRIPTION\"), &[{examples}],
                {provide},
            )
        }}"
    ))
}

/// Stands for `tokio::main` in a section: it leaves the async function as it is, but public,
/// so that the harness can await it on the clock of its choice. Next to it, it puts what
/// `tokio::main` makes of its arguments: the runtime on which the function would run.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let (mut out, mut was) = (TokenStream::new(), String::new());
    for token in function {
        let word = token.to_string();
        // Behind the documentation and the attributes.
        if word == "async" && was != "pub" {
            out.extend("pub".parse::<TokenStream>());
        }
        was = word;
        out.extend([token]);
    }
    let runtime = format!(
        "#[allow(dead_code)]
        #[::harness::own_main({arguments})]
        pub async fn __runtime<F: ::std::future::Future>(main: F) -> F::Output {{ main.await }}"
    );
    out.extend(runtime.parse::<TokenStream>());
    out
}
