//! A trace over two services, spawned tasks, a request that is cancelled, a flush.

use std::error::Error;
use std::time::Duration;

use axum::routing::get;
use axum::{Router, middleware};
use opentelemetry::trace::SpanId;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, info_span};

use crate::opentelemetry_trace::{execute, orders, prices, trace_request, traces};

/// Prints each span below its parent, in the order of their starts.
fn print_tree(spans: &[SpanData], parent: SpanId, depth: usize) {
    for span in spans.iter().filter(|span| span.parent_span_id == parent) {
        println!("{:depth$}{}", "", span.name);
        print_tree(spans, span.span_context.span_id(), depth + 2);
    }
}

async fn send_mail() {
    let mail = sleep(Duration::from_millis(100));
    mail.instrument(info_span!("mail")).await;
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let start = Instant::now();
    let at = |tenths| sleep_until(start + Duration::from_millis(100) * tenths);
    let exporter = InMemorySpanExporter::default();
    let (subscriber, provider) = traces("shop", exporter.clone());
    tracing::subscriber::set_global_default(subscriber)?;
    let finished = || {
        provider.force_flush()?;
        let mut spans = exporter.get_finished_spans()?;
        exporter.reset();
        spans.sort_by_key(|span| span.start_time);
        Ok::<_, Box<dyn Error + Send + Sync>>(spans)
    };

    let client = reqwest::Client::builder().no_proxy().build()?;
    let (a, b) = (
        TcpListener::bind("127.0.0.1:0").await?,
        TcpListener::bind("127.0.0.1:0").await?,
    );
    let b_url = format!("http://{}", b.local_addr()?);
    let a_url = format!("http://{}", a.local_addr()?);
    let orders = orders(client.clone(), b_url.clone());
    let serve_a = async { axum::serve(a, orders).await };
    let slow = get(async || {
        sleep(Duration::from_secs(1)).await;
        println!("the report is made");
    });
    let slow = Router::new().route("/report", slow);
    let prices = prices().merge(slow.layer(middleware::from_fn(trace_request)));
    let serve_b = async { axum::serve(b, prices).await };
    let _services = [
        AbortOnDropHandle::new(tokio::spawn(serve_a)),
        AbortOnDropHandle::new(tokio::spawn(serve_b)),
    ];

    at(5).await;
    println!("A request over two services:");
    let request = client.get(format!("{a_url}/orders/7")).build()?;
    let answer = execute(&client, request).await?.text().await?;
    at(8).await;
    println!("{answer}");
    let spans = finished()?;
    print_tree(&spans, SpanId::INVALID, 0);
    let trace = spans[0].span_context.trace_id();
    let one = spans
        .iter()
        .all(|span| span.span_context.trace_id() == trace);
    println!("one trace: {}", if one { "yes" } else { "no" });

    at(10).await;
    println!("Two tasks that an order spawns:");
    let order = async {
        let lost = tokio::spawn(send_mail());
        let kept = tokio::spawn(send_mail().in_current_span());
        lost.await.and(kept.await)
    };
    order.instrument(info_span!("order")).await?;
    at(12).await;
    print_tree(&finished()?, SpanId::INVALID, 0);

    at(15).await;
    println!("A request that is cancelled after 0.2 s:");
    let slow = client.get(format!("{b_url}/report")).build()?;
    let limit = Duration::from_millis(200);
    if timeout(limit, execute(&client, slow)).await.is_err() {
        println!("cancelled");
    }
    at(27).await;
    // The span of the server ends when it has seen the end of the connection.
    let mut ended = finished()?;
    while ended.len() < 2 {
        sleep(Duration::from_millis(10)).await;
        ended.extend(finished()?);
    }
    ended.sort_by_key(|span| span.start_time);
    for span in ended {
        println!("ended: {}", span.name);
    }

    println!("Without a flush:");
    drop(info_span!("the last one"));
    println!("exported: {}", exporter.get_finished_spans()?.len());
    println!("exported after a flush: {}", finished()?.len());
    at(32).await;
    Ok(())
}
