use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::wait_until_ready::start;

#[tokio::test(start_paused = true)]
async fn it_returns_when_the_service_is_ready_and_not_before() {
    let begun = Instant::now();
    let service = start("cache").await.expect("it starts");
    assert_eq!(begun.elapsed(), Duration::from_millis(200));
    assert!(!service.is_finished());
    service.await.expect("no panic").expect("it ends well");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_before_it_is_ready_does_not_hang_its_caller() {
    let started = timeout(Duration::from_secs(60), start("mailer")).await;
    let error = started.expect("it does not hang").expect_err("it fails");
    assert_eq!(error.to_string(), "no template for mails");
}

#[tokio::test(start_paused = true)]
async fn without_its_caller_the_service_runs_on() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let limit = Duration::from_millis(100);
    assert!(timeout(limit, start("cache")).await.is_err());
    sleep(Duration::from_millis(300)).await;
    assert_eq!(tasks(), 1);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(tasks(), 0);
}

/// What the header says of a socket: nothing accepts yet.
#[test]
fn a_client_that_connects_before_the_accept_waits_in_the_queue() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.write_all(b"hello")?;
    drop(client);
    let mut text = String::new();
    listener.accept()?.0.read_to_string(&mut text)?;
    assert_eq!(text, "hello");
    Ok(())
}
