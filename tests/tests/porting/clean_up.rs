//! Port `use_room`: the room is left whatever happens, also when the task is cancelled.
//!
//!     async def use_room(log, seconds):
//!         log.append("enter")
//!         try:
//!             await asyncio.sleep(seconds)
//!         finally:
//!             log.append("leave")
//!
//! `pub async fn use_room(log: Arc<Mutex<Vec<&'static str>>>, time: Duration)`, with the
//! standard library's `Mutex`.

use super::prelude::*;

mod naive {
    use super::{Arc, Duration, Mutex};

    pub async fn use_room(log: Arc<Mutex<Vec<&'static str>>>, time: Duration) {
        log.lock().expect("no panic").push("enter");
        tokio::time::sleep(time).await;
        log.lock().expect("no panic").push("leave");
    }
}

mod right {
    use super::{Arc, Duration, Mutex};

    type Log = Arc<Mutex<Vec<&'static str>>>;

    struct Inside(Log);

    impl Drop for Inside {
        fn drop(&mut self) {
            self.0.lock().expect("no panic").push("leave");
        }
    }

    pub async fn use_room(log: Log, time: Duration) {
        log.lock().expect("no panic").push("enter");
        let _inside = Inside(log);
        tokio::time::sleep(time).await;
    }
}

judge!("clean_up" refuses "nobody left the room" {
    for limit in [1, 3] {
        let log = Arc::new(Mutex::new(Vec::new()));
        let used = answer::use_room(Arc::clone(&log), Duration::from_secs(2));
        let _ = timeout(Duration::from_secs(limit), used).await;
        let log = log.lock().expect("no panic");
        assert_eq!(*log, ["enter", "leave"], "nobody left the room");
    }
});
