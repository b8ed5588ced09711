//! Every example inside `tokio::spawn`, one named test each.

fn main() -> std::process::ExitCode {
    tests::test_spawned()
}
