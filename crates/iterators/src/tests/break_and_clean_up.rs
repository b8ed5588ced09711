use std::sync::{Arc, Mutex};

use async_stream::stream;
use futures::{Stream, StreamExt, pin_mut};

type Log = Arc<Mutex<Vec<&'static str>>>;

struct OnDrop(&'static str, Log);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.1.lock().expect("no panic").push(self.0);
    }
}

fn rows(name: &'static str, log: &Log) -> impl Stream<Item = u32> + use<> {
    let log = Arc::clone(log);
    stream! {
        let _cursor = OnDrop(name, log);
        for row in 0.. {
            yield row;
        }
    }
}

/// What the header says of nested streams.
#[tokio::test]
async fn a_stream_drops_the_streams_that_it_reads() {
    let log = Log::default();
    let orders = rows("orders", &log);
    let report = OnDrop("report", Arc::clone(&log));
    let of_the_order = Arc::clone(&log);
    let nested = stream! {
        let _report = report;
        pin_mut!(orders);
        while let Some(order) = orders.next().await {
            let items = rows("items", &of_the_order);
            pin_mut!(items);
            while let Some(item) = items.next().await {
                yield (order, item);
            }
        }
    };
    let mut nested = Box::pin(nested);
    for item in 0..3 {
        assert_eq!(nested.next().await, Some((0, item)));
    }
    assert!(log.lock().expect("no panic").is_empty());
    drop(nested);
    let dropped = log.lock().expect("no panic").clone();
    assert_eq!(dropped, ["items", "orders", "report"]);
}
