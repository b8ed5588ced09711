//~ E0507 cannot move out of a shared reference
//! A runtime in a static is shut down, which takes the runtime itself.
//!
//! example: runtime_on_a_thread

use std::sync::OnceLock;

use tokio::runtime::Runtime;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

fn main() {
    RUNTIME.get_or_init(|| Runtime::new().expect("there are threads"));
    RUNTIME.get().expect("it is set").shutdown_background();
}
