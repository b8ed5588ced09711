//! What the page says of `Shared`, in futures 0.3.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// The future is woken while the first waiter polls it, and the second waiter comes in
/// between, as on another thread. Then the first waiter is dropped.
#[test]
fn a_waiter_of_a_shared_future_is_not_woken_if_another_is_dropped() {
    let second: Arc<Mutex<Option<Shared<BoxFuture<'static, ()>>>>> = Arc::default();
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let comes = Arc::clone(&second);
    let mut polls = 0;
    let future = poll_fn(move |context| {
        polls += 1;
        if polls > 1 {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        let mut second = comes.lock().expect("no panic");
        let second = second.as_mut().expect("it is there");
        let polled = second.poll_unpin(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        Poll::Pending
    });
    let first = future.boxed().shared();
    *second.lock().expect("no panic") = Some(first.clone());
    assert!(first.now_or_never().is_none());
    assert!(!woken.0.load(SeqCst), "mended: then leave the trap out");
}
