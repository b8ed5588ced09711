use std::cell::Cell;

/// A source that counts its calls.
async fn source(calls: &Cell<u32>) -> Result<u32, u32> {
    calls.set(calls.get() + 1);
    Ok(1)
}

#[tokio::test]
async fn or_calls_both_sources() {
    let calls = Cell::new(0);
    assert_eq!(source(&calls).await.or(source(&calls).await), Ok(1));
    assert_eq!(calls.get(), 2);
    let outcome = match source(&calls).await {
        Err(_) => source(&calls).await,
        first => first,
    };
    assert_eq!((outcome, calls.get()), (Ok(1), 3));
}
