//! Every program of the workspace, by name, in every way in which it is used.

fn main() -> std::process::ExitCode {
    tests::test_examples(env!("CARGO_TARGET_TMPDIR"))
}
