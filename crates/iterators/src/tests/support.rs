//! What the tests of several examples need.

/// How many items a function that takes many is given. The limits in the crates lie at 30
/// futures (`try_join_all`) and at 128 polls (Tokio's budget).
pub const SIZES: [u32; 5] = [0, 1, 31, 129, 1000];

/// Returns an iterator that does not know how many items there are.
pub fn unknown_size<T>(items: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    let mut items = items.into_iter();
    std::iter::from_fn(move || items.next())
}

/// Compiles if `?` converts the error into any boxed error, also in a task.
pub fn is_an_error<E: std::error::Error + Send + Sync + 'static>() {}
