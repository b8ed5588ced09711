#[test]
#[should_panic(expected = "without setting it first")]
fn get_panics_where_the_value_is_missing() {
    crate::task_locals::REQUEST_ID.get();
}

#[test]
#[should_panic(expected = "without setting it first")]
fn with_panics_where_the_value_is_missing() {
    crate::task_locals::REQUEST_ID.with(|id| *id);
}
