use futures::FutureExt;

use crate::boxed_futures::handler;

/// What the header says, here and in `dyn_async_trait`.
#[test]
fn a_box_costs_one_allocation_per_call() {
    let add = handler(async |x, y| Ok(x + y));
    for calls in [0, 1, 31_i32] {
        let allocations = allocation_counter::measure(|| {
            for number in 0..calls {
                assert_eq!(add(number, 1).now_or_never(), Some(Ok(number + 1)));
            }
        });
        assert_eq!(allocations.count_total, u64::from(calls.unsigned_abs()));
    }
}
