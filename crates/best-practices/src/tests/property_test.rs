use proptest::test_runner::TestCaseError;
use tokio::time::Instant;

use crate::property_test::{
    Caller, Log, check, forgetful_window, schedules, sliding_window, some_give_up,
};

proptest::proptest! {
    #[test]
    fn never_too_many(callers in schedules(some_give_up())) {
        check(&callers, &Log::default(), &sliding_window)
            .map_err(TestCaseError::fail)?;
    }
}

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

#[test]
fn what_was_found_stays_found() {
    let callers = [(0, None), (0, None), (0, Some(0)), (0, None)];
    let callers = callers.map(|(after, gives_up)| caller(after, gives_up));
    let error = check(&callers, &Log::default(), &forgetful_window);
    assert_eq!(error, Err("3 calls within 0 ms".to_owned()));
    assert_eq!(check(&callers, &Log::default(), &sliding_window), Ok(()));
}

#[tokio::test]
#[should_panic(expected = "Cannot start a runtime from within a runtime")]
async fn in_a_test_of_tokio() {
    let checked = check(&[], &Log::default(), &sliding_window);
    checked.expect("it has panicked before");
}
