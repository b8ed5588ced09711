//! Every example on the virtual clock, one named test each.

fn main() -> std::process::ExitCode {
    tests::test_examples()
}
