//! What the environment adds to the report of an error.

use std::process::Command;

#[test]
fn a_backtrace_is_shown_only_if_the_environment_asks_for_it() {
    for (value, is_shown) in [("0", false), ("1", true)] {
        let output = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", "error-handling", "--"])
            .args(["--virtual-time", "error_context"])
            .env("RUST_BACKTRACE", value)
            .output()
            .expect("it starts");
        let said = String::from_utf8(output.stderr).expect("it is text");
        assert!(said.contains("0: cannot read the settings of cy"), "{said}");
        assert_eq!(said.contains("Stack backtrace:"), is_shown, "{said}");
    }
}
