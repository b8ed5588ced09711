//! Every example copied out of the workspace, one named test each.

fn main() -> std::process::ExitCode {
    tests::test_copies(env!("CARGO_TARGET_TMPDIR"))
}
