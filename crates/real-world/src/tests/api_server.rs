use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use futures::FutureExt;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

use crate::api_server::{Jobs, Work};

const SECOND: Duration = Duration::from_secs(1);

/// Takes as many seconds as the text says.
fn nap(text: String) -> Work {
    let seconds: u32 = text.parse().unwrap_or_default();
    async move {
        sleep(seconds * SECOND).await;
        match text.as_str() {
            "panic" => panic!("scheduled"),
            "fail" => Err("it failed".to_owned()),
            _ => Ok(json!(seconds)),
        }
    }
    .boxed()
}

/// Sends a request without a network: the status and the body.
async fn send(jobs: &Arc<Jobs>, method: &str, path: &str, body: &str) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .expect("it is well-formed");
    let answered = Arc::clone(jobs).routes().oneshot(request).await;
    let response = answered.expect("it cannot fail");
    let status = response.status().as_u16();
    let is_busy = response.headers().contains_key(header::RETRY_AFTER);
    assert_eq!(is_busy, status == 503);
    let body = to_bytes(response.into_body(), 1000).await.expect("whole");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn submit(jobs: &Arc<Jobs>, text: &str) -> (u16, Value) {
    send(jobs, "POST", "/jobs", &json!({ "text": text }).to_string()).await
}

async fn get(jobs: &Arc<Jobs>, path: &str) -> (u16, Value) {
    send(jobs, "GET", path, "").await
}

#[tokio::test(start_paused = true)]
async fn at_most_so_many_run_whatever_becomes_of_them() {
    let jobs = Jobs::new(2, 100, nap);
    for text in ["1", "panic", "fail", "0"] {
        assert_eq!(submit(&jobs, text).await.0, 202);
        assert_eq!(submit(&jobs, "1").await.0, 202);
        let refused = json!({ "error": "too many jobs are running" });
        assert_eq!(submit(&jobs, "1").await, (503, refused));
        sleep(2 * SECOND).await;
    }
    let failed = json!({ "status": "failed", "error": "internal error" });
    assert_eq!(get(&jobs, "/jobs/3").await, (200, failed));
    let failed = json!({ "status": "failed", "error": "it failed" });
    assert_eq!(get(&jobs, "/jobs/5").await, (200, failed));
    let done = json!({ "status": "done", "result": 0 });
    assert_eq!(get(&jobs, "/jobs/7").await, (200, done));
}

#[tokio::test]
async fn a_panic_before_there_is_a_future() {
    let jobs = Jobs::new(1, 1, |text| match text.as_str() {
        "early" => panic!("scheduled"),
        _ => nap(text),
    });
    assert_eq!(submit(&jobs, "early").await.0, 202);
    while get(&jobs, "/jobs/1").await.1["status"] == "running" {
        yield_now().await;
    }
    assert_eq!(submit(&jobs, "0").await.0, 202, "its permit is released");
}

#[tokio::test(start_paused = true)]
async fn as_many_results_are_kept_as_it_says() {
    for kept in [0, 1, 31] {
        let jobs = Jobs::new(1, kept, nap);
        for _ in 0..100 {
            assert_eq!(submit(&jobs, "1").await.0, 202);
            sleep(2 * SECOND).await;
        }
        for id in [1, 100 - kept] {
            assert_eq!(get(&jobs, &format!("/jobs/{id}")).await.0, 404);
        }
        for id in 101 - kept..=100 {
            assert_eq!(get(&jobs, &format!("/jobs/{id}")).await.0, 200);
        }
    }
}

#[tokio::test]
async fn ids_and_bodies_that_are_none() {
    let jobs = Jobs::new(1, 1, nap);
    for path in [
        "/jobs/x",
        "/jobs/-1",
        "/jobs/99999999999999999999",
        "/jobs/",
        "/",
    ] {
        assert_eq!(get(&jobs, path).await.0, 404, "{path}");
    }
    let error = json!({ "error": "the body is no job in JSON" });
    for (body, status) in [("", 400), ("{", 400), ("{}", 422), ("[1]", 422)] {
        let answer = send(&jobs, "POST", "/jobs", body).await;
        assert_eq!(answer, (status, error.clone()), "{body}");
    }
    let huge = " ".repeat(3_000_000);
    assert_eq!(send(&jobs, "POST", "/jobs", &huge).await.0, 413);
    assert_eq!(get(&jobs, "/jobs").await.0, 405);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_it_waits_and_then_drops() {
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let jobs = Jobs::new(2, 10, move |text| {
        let holds = Arc::clone(&holds);
        async move {
            let _holds = holds;
            nap(text).await
        }
        .boxed()
    });
    submit(&jobs, "1").await;
    submit(&jobs, "100").await;
    assert_eq!(get(&jobs, "/ready").await.0, 200);
    jobs.stop();
    assert_eq!(get(&jobs, "/ready").await.0, 503);
    let stops = json!({ "error": "the server is about to stop" });
    assert_eq!(submit(&jobs, "1").await, (503, stops));
    let start = Instant::now();
    assert_eq!(jobs.drain(10 * SECOND).await, [2]);
    assert_eq!(start.elapsed().as_secs(), 10);
    drop(jobs);
    assert_eq!(Arc::strong_count(&held), 1, "nothing runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_job_starts_after_the_stop() {
    for _ in 0..50 {
        let jobs = Jobs::new(1000, 1000, nap);
        let begin = Arc::new(Semaphore::new(0));
        let mut set = JoinSet::new();
        for _ in 0..8 {
            let (jobs, begin) = (Arc::clone(&jobs), Arc::clone(&begin));
            set.spawn(async move {
                begin.acquire().await.expect("it is open").forget();
                jobs.submit("0".to_owned()).is_ok()
            });
        }
        begin.add_permits(8);
        let dropped = jobs.drain(60 * SECOND).await;
        assert!(dropped.is_empty());
        let started = set.join_all().await.into_iter().filter(|started| *started);
        let started = started.count();
        for id in 1..=started {
            let (_, job) = get(&jobs, &format!("/jobs/{id}")).await;
            assert_eq!(job["status"], "done", "of {started}");
        }
    }
}
