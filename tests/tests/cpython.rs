//! Every asyncio twin under CPython, one named test each.

fn main() -> std::process::ExitCode {
    tests::test_twins()
}
