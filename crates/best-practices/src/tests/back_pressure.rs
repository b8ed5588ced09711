use crate::back_pressure::{CAPACITY, Report, bounded, newest_dropped, unbounded};

#[tokio::test(start_paused = true)]
async fn only_without_a_limit_more_wait_when_there_are_more() {
    for count in [0, 1, 2, 70, 700] {
        let Report {
            stored,
            dropped,
            waited,
        } = unbounded(count).await;
        assert_eq!((stored, dropped), (count, 0));
        // Five of seven come while the stage stores two.
        assert!(waited.abs_diff(count * 5 / 7) <= 1, "{waited}");

        let Report {
            stored,
            dropped,
            waited,
        } = bounded(count).await;
        assert_eq!((stored, dropped), (count, 0));
        assert_eq!(waited, CAPACITY.min(count.saturating_sub(1)));

        let Report {
            stored,
            dropped,
            waited,
        } = newest_dropped(count).await;
        assert_eq!(stored + dropped, count);
        assert!(waited <= CAPACITY);
        assert!(
            count < 70 || stored < count * 2 / 7 + 2 + CAPACITY,
            "{stored}"
        );
    }
}
