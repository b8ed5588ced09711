use tokio::time::Instant;

use crate::property_test::{Caller, Log, check, sliding_window};

const fn caller(after: u64, gives_up: Option<u64>) -> Caller {
    Caller { after, gives_up }
}

#[test]
fn nobody_gets_through() {
    let checked = check(&[caller(0, Some(1))], &(), &async |_: &()| {
        loop_for_ever().await
    });
    assert_eq!(checked, Ok(()));
    let checked = check(&[caller(0, None)], &(), &async |_: &()| {
        loop_for_ever().await
    });
    let error = checked.expect_err("it never gets through");
    assert_eq!(
        error,
        "Caller { after: 0, gives_up: None } never gets through"
    );
}

async fn loop_for_ever() -> Instant {
    std::future::pending().await
}

/// One millisecond decides: the window is without its end.
#[test]
fn at_the_end_of_the_window() {
    let now = async |_: &()| Instant::now();
    let calls = |after| [caller(0, None), caller(0, None), caller(after, None)];
    assert_eq!(check(&calls(100), &(), &now), Ok(()));
    let error = check(&calls(99), &(), &now).expect_err("too early");
    assert_eq!(error, "3 calls within 99 ms");
}

#[tokio::test]
#[should_panic(expected = "Cannot start a runtime from within a runtime")]
async fn in_a_test_of_tokio() {
    let checked = check(&[], &Log::default(), &sliding_window);
    checked.expect("it has panicked before");
}
