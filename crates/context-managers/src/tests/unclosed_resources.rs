use std::sync::{Arc, Mutex};

use crate::unclosed_resources::{Connection, Registry};

#[tokio::test(start_paused = true)]
async fn the_registry_keeps_none_alive() {
    let registry = Registry::default();
    let held = registry.connect("A");
    let weak = Arc::downgrade(&held);
    drop(registry.connect("B"));
    assert_eq!(registry.open().len(), 1);
    held.close().await;
    assert_eq!(registry.open().len(), 0, "it is closed");
    drop(held);
    assert_eq!(weak.strong_count(), 0);
}

#[test]
fn it_forgets_those_that_were_dropped() {
    let registry = Registry::default();
    for _ in 0..10_000 {
        registry.connect("A");
    }
    assert!(format!("{registry:?}").len() < 1_000);
}

/// Two values with an `Arc` of each other.
#[test]
fn a_cycle_is_never_dropped() {
    struct Node {
        _connection: Arc<Connection>,
        other: Mutex<Option<Arc<Node>>>,
    }

    let registry = Registry::default();
    let node = |name| {
        let other = Mutex::default();
        let _connection = registry.connect(name);
        Arc::new(Node { _connection, other })
    };
    let [first, second] = ["A", "B"].map(node);
    *first.other.lock().expect("no panic") = Some(Arc::clone(&second));
    *second.other.lock().expect("no panic") = Some(first);
    let weak = Arc::downgrade(&second);
    drop(second);
    assert_eq!((registry.open().len(), weak.strong_count()), (2, 1));
    // So that this test does not leak either.
    let second = weak.upgrade().expect("it is alive");
    second.other.lock().expect("no panic").take();
    drop(second);
    assert_eq!((registry.open().len(), weak.strong_count()), (0, 0));
}
