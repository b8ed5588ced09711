//! What `all_or_errors` returns, and in which order.

use crate::collect_all_errors::all_or_errors;

#[test]
fn all_values_or_all_errors_in_the_order_of_the_results() {
    for number in [0, 1, 31, 129, 1000] {
        let values = all_or_errors((0..number).map(Ok::<_, u32>));
        assert_eq!(values, Ok((0..number).collect()));
        // Every third one fails.
        let checked = |number| {
            if number % 3 == 0 {
                Err(number)
            } else {
                Ok(number)
            }
        };
        let errors = all_or_errors((0..number).map(checked));
        let expected: Vec<u32> = (0..number).step_by(3).collect();
        assert_eq!(errors.err().unwrap_or_default(), expected);
    }
}

/// The trap: `collect` stops at the first error.
#[test]
fn collect_keeps_only_the_first_error() {
    let results = [Ok(1), Err(2), Err(3)];
    assert_eq!(results.into_iter().collect::<Result<Vec<_>, _>>(), Err(2));
    assert_eq!(all_or_errors(results), Err(vec![2, 3]));
}
