//! The `main` of every example on the real clock, one named test each.

fn main() -> std::process::ExitCode {
    tests::test_mains()
}
