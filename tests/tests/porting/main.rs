//! Twenty tasks that judge who ports asyncio to Tokio, a person or a coding agent.
//!
//! The comment at the top of a file is the task. `naive` is a first draft that compiles and
//! is wrong, `right` is our port, and `judge!` holds the program that decides. The tests
//! see it refuse the first draft, by the words given, and accept our port.
//!
//! To judge answers, put them into a folder as `gather.rs`, `shield.rs`, and so on. A file
//! holds what the task asks for and its own `use` lines. Then run
//!
//! ```sh
//! PORTING_ANSWERS=FOLDER cargo test --package tests --test porting the_answer
//! ```

macro_rules! judge {
    ($name:literal refuses $complaint:literal $check:block) => {
        #[tokio::test(start_paused = true)]
        async fn our_port_is_right() {
            use self::right as answer;
            $check
        }

        #[tokio::test(start_paused = true)]
        #[should_panic(expected = $complaint)]
        async fn the_first_draft_is_wrong() {
            use self::naive as answer;
            $check
        }

        #[cfg(answered = $name)]
        mod answer {
            include!(concat!(env!("PORTING_ANSWERS"), "/", $name, ".rs"));
        }

        #[cfg(answered = $name)]
        #[tokio::test(start_paused = true)]
        async fn the_answer_is_right() {
            $check
        }
    };
}

/// What the judges use.
mod prelude {
    pub(crate) use std::error::Error;
    pub(crate) use std::future::pending;
    pub(crate) use std::pin::pin;
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed,
    };
    pub(crate) use std::sync::{Arc, Mutex};
    pub(crate) use std::thread;
    pub(crate) use std::time::Duration;

    pub(crate) use futures::StreamExt;
    pub(crate) use futures::future::join_all;
    pub(crate) use tokio::sync::{Semaphore, mpsc};
    pub(crate) use tokio::time::{Instant, sleep, timeout};
}

mod as_completed;
mod background;
mod blocking;
mod clean_up;
mod deadline;
mod detached;
mod event;
mod gather;
mod interval;
mod lazy;
mod limit;
mod lost_item;
mod lost_update;
mod never_ends;
mod one_lock;
mod permit;
mod queue;
mod shield;
mod task_group;
mod timeout;
