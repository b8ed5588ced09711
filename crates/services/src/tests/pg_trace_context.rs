use tokio_postgres::{Client, Config, Error, NoTls};

use super::support::{poll_and_drop, postgres, soon, unique};
use crate::pg_trace_context::{TraceParent, add, create_table, work};

const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn connect(schema: &str) -> Client {
    let mut config: Config = postgres().await.parse().expect("a URL");
    config.options(format!("-c search_path={schema}"));
    let (client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    let sql = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
    client.batch_execute(&sql).await.expect("it runs");
    create_table(&client).await.expect("it runs");
    client
}

fn header() -> TraceParent {
    HEADER.parse().expect("it is one")
}

/// The cases of the W3C's test suite for `traceparent`.
#[test]
fn headers_that_are_one_and_that_are_none() {
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    assert_eq!(header().to_string(), HEADER);
    let unsampled: TraceParent = format!("00-{trace}-{span}-00").parse().expect("one");
    assert!(header().is_sampled && !unsampled.is_sampled);
    for text in [
        // Flags that are not known here, and a version that has more to say.
        format!("00-{trace}-{span}-ff"),
        format!("cc-{trace}-{span}-01"),
        format!("cc-{trace}-{span}-01-what-the-future-will-be-like"),
    ] {
        assert_eq!(text.parse(), Ok(header()), "{text}");
    }
    let (zeros, upper) = ("0".repeat(32), trace.to_uppercase());
    for text in [
        String::new(),
        "-".to_owned(),
        format!("ff-{trace}-{span}-01"),
        format!("00-{zeros}-{span}-01"),
        format!("00-{trace}-0000000000000000-01"),
        format!("00-{upper}-{span}-01"),
        format!("00-{trace}-{span}-01-"),
        format!("00-{trace}-{span}-01-more"),
        format!("cc-{trace}-{span}-01.more"),
        format!("00-{trace}-{span}-0"),
        format!("00-{trace}-{span}-.1"),
        format!("0-{trace}-{span}-01"),
        format!("00-{trace}1-{span}-01"),
        format!("00-{}-{span}-01", &trace[1..]),
        format!("00-+{}-{span}-01", &trace[1..]),
        format!(" 00-{trace}-{span}-01"),
        format!("00-{trace}-{span}"),
        format!("00-{trace}-é3ad6b716920333-01"),
    ] {
        text.parse::<TraceParent>().expect_err(&text);
    }
}

#[test]
fn what_it_writes_it_reads() {
    for _ in 0..1000 {
        let trace = TraceParent::new();
        let span = trace.child();
        assert_eq!(trace.to_string().parse(), Ok(trace));
        assert_eq!(
            (trace.trace_id, trace.is_sampled),
            (span.trace_id, span.is_sampled)
        );
        assert_ne!(trace.span_id, span.span_id);
    }
}

#[tokio::test]
async fn a_spawned_task_has_the_trace_only_in_a_scope() {
    let trace = header();
    let request = async {
        assert_eq!(TraceParent::current(), trace);
        let without = tokio::spawn(async { TraceParent::current() });
        let within = tokio::spawn(trace.scope(async { TraceParent::current() }));
        (without.await, within.await)
    };
    let (without, within) = trace.scope(request).await;
    assert_ne!(without.expect("it ends").trace_id, trace.trace_id);
    assert_eq!(within.expect("it ends"), trace);
    assert_ne!(TraceParent::current(), TraceParent::current());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn each_job_has_the_trace_of_its_request_on_any_worker() {
    let schema = unique("trace");
    let client = connect(&schema).await;
    let mut requests = Vec::new();
    for number in 0..40 {
        let trace = TraceParent::new();
        trace
            .scope(add(&client, &number.to_string()))
            .await
            .expect("it runs");
        requests.push(trace);
    }
    let workers = (0..4).map(|_| {
        let (schema, requests) = (schema.clone(), requests.clone());
        tokio::spawn(async move {
            let mut client = connect(&schema).await;
            let mut spans = Vec::new();
            loop {
                let handler = async |job: crate::pg_trace_context::Job| {
                    let span = TraceParent::current();
                    let request =
                        requests[job.payload.parse::<usize>().expect("a number")];
                    assert_eq!(span.trace_id, request.trace_id);
                    spans.push(span.span_id);
                    Ok::<_, Error>(())
                };
                if !work(&mut client, handler).await.expect("it runs") {
                    return spans;
                }
            }
        })
    });
    let mut spans: Vec<u64> = requests.iter().map(|trace| trace.span_id).collect();
    for ended in futures::future::join_all(workers).await {
        spans.extend(ended.expect("it does not panic"));
    }
    spans.sort_unstable();
    spans.dedup();
    assert_eq!(spans.len(), 80, "each has a span of its own");
    // Another program has added a job with its own idea of a trace.
    let mut client = client;
    let sql = "INSERT INTO traced_jobs (payload, traceparent) VALUES ('x', 'abc')";
    client.batch_execute(sql).await.expect("it runs");
    let handler = async |_job| {
        assert_ne!(TraceParent::current().trace_id, 0);
        Ok::<_, Error>(())
    };
    assert!(soon(work(&mut client, handler)).await.expect("it runs"));
    let sql = format!("DROP SCHEMA {schema} CASCADE");
    client.batch_execute(&sql).await.expect("it runs");
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_or_failed_a_job_comes_again() {
    let schema = unique("trace");
    let mut client = connect(&schema).await;
    let trace = header();
    for polls in 0..20 {
        trace.scope(add(&client, "tea")).await.expect("it runs");
        let mut first = connect(&schema).await;
        let fails = work::<Box<dyn std::error::Error>>(&mut first, async |_job| {
            Err("scheduled".into())
        });
        fails.await.expect_err("scheduled");
        let mut done = 0;
        let handler = async |_job| {
            done += 1;
            Ok::<_, Error>(())
        };
        drop(poll_and_drop(work(&mut first, handler), polls).await);
        drop(first);
        // The connection of the first may still have the row.
        let all = async {
            let sql = "SELECT count(*) FROM traced_jobs";
            while client
                .query_one(sql, &[])
                .await
                .expect("it runs")
                .get::<_, i64>(0)
                > 0
            {
                let handler = async |_job| {
                    assert_eq!(TraceParent::current().trace_id, trace.trace_id);
                    done += 1;
                    Ok::<_, Error>(())
                };
                work(&mut client, handler).await.expect("it runs");
            }
        };
        soon(all).await;
        assert!(done >= 1, "{polls} polls: {done}");
    }
    let sql = format!("DROP SCHEMA {schema} CASCADE");
    client.batch_execute(&sql).await.expect("it runs");
}
