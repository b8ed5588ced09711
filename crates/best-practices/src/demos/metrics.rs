//! Four calls that end in four ways, scraped while they run and after; a hundred paths.

use std::error::Error;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::join;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::metrics::{CallMetrics, metrics_page};

type BoxError = Box<dyn Error + Send + Sync>;

/// The mistake: what ends the call early leaves the gauge where it is.
async fn count_without_a_guard<T, E>(
    in_flight: &Gauge,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    in_flight.inc();
    let value = call.await?;
    in_flight.dec();
    Ok(value)
}

async fn query() -> Result<u32, &'static str> {
    sleep(Duration::from_millis(200)).await;
    Ok(1)
}

/// One call that succeeds. The others run until `end`: one then fails, one is cancelled,
/// one panics.
async fn four_calls(metrics: &CallMetrics, unguarded: &Gauge, end: &CancellationToken) {
    let fails = async {
        end.cancelled().await;
        Err::<u32, _>("no answer")
    };
    let (own_metrics, own_gauge, own_end) =
        (metrics.clone(), unguarded.clone(), end.clone());
    let panics = tokio::spawn(async move {
        let report = async {
            own_end.cancelled().await;
            panic!("the report is broken")
        };
        let call = count_without_a_guard::<u32, &str>(&own_gauge, report);
        own_metrics.track("report", call).await
    });
    let endless = count_without_a_guard(unguarded, pending::<Result<u32, &str>>());
    // How they ended is told by the metrics.
    let _ = join!(
        metrics.track("query", count_without_a_guard(unguarded, query())),
        metrics.track("query", count_without_a_guard(unguarded, fails)),
        end.run_until_cancelled(metrics.track("report", endless)),
        panics,
    );
}

/// Scrapes the page: the series that begin with this, without the sums of seconds.
async fn series(address: SocketAddr, start: &str) -> Result<Vec<String>, BoxError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client.get(format!("http://{address}/metrics"));
    let response = request.timeout(Duration::from_secs(30)).send().await?;
    let page = response.error_for_status()?.text().await?;
    let lines = page.lines().filter(|line| line.starts_with(start));
    let lines = lines.filter(|line| !line.contains("_sum"));
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    // A family has no order.
    lines.sort_unstable();
    Ok(lines)
}

pub async fn run() -> Result<(), BoxError> {
    let mut registry = Registry::default();
    let metrics = CallMetrics::new(&mut registry);
    let unguarded = Gauge::<i64>::default();
    registry.register(
        "calls_without_guard",
        "The same, no guard",
        unguarded.clone(),
    );
    let by_path = Family::<Vec<(&str, String)>, Counter>::default();
    registry.register("path_calls", "Calls by path", by_path.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = async { axum::serve(listener, metrics_page(registry)).await };
    let _server = AbortOnDropHandle::new(tokio::spawn(server));

    println!("Four calls, one of which has ended:");
    let end = CancellationToken::new();
    let scrape = async {
        // The others end when the page has been read.
        let _end = end.clone().drop_guard();
        let mut page = Vec::new();
        while !page
            .iter()
            .any(|line: &String| line.starts_with("calls_total"))
        {
            sleep(Duration::from_millis(10)).await;
            page = series(address, "calls").await?;
        }
        println!("{}", page.join("\n"));
        Ok::<_, BoxError>(())
    };
    join!(four_calls(&metrics, &unguarded, &end), scrape).1?;

    println!("After one of them failed, one was cancelled, one panicked:");
    println!("{}", series(address, "call").await?.join("\n"));

    println!("A hundred paths, as a label and as a route:");
    for user in 0..100 {
        let path = format!("/users/{user}");
        by_path.get_or_create(&vec![("path", path)]).inc();
        let found = async { Ok::<_, BoxError>(user) };
        metrics.track("/users/{id}", found).await?;
    }
    let by_path = series(address, "path_calls").await?;
    println!("{} series, the first is {}", by_path.len(), by_path[0]);
    let by_route = series(address, "calls_total{outcome=\"ok\",route=\"/").await?;
    println!("{} series: {}", by_route.len(), by_route[0]);
    Ok(())
}
