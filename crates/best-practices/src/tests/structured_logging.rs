use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, Level, debug, info, info_span, instrument};

use crate::structured_logging::{Secret, handle, request, send_mail, subscriber};

/// A writer that keeps what is written. Clones share it.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("nobody panics")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    /// The lines since it was last asked.
    fn lines(&self) -> Vec<String> {
        let mut bytes = self.0.lock().expect("nobody panics");
        let text = String::from_utf8(std::mem::take(&mut *bytes)).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }
}

/// What the future logs. Its tasks belong to it only with `with_current_subscriber`;
/// without, tracing may turn their lines off for the other tests, too.
async fn logged(future: impl Future) -> Vec<String> {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = subscriber(Level::INFO, move || writer.clone());
    future.with_subscriber(subscriber).await;
    captured.lines()
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for polls in 0..3 {
        let lines = logged(async {
            let mut handled = Box::pin(handle("ada").instrument(request(1)));
            for _ in 0..polls {
                assert!(futures::poll!(&mut handled).is_pending());
                sleep(Duration::from_millis(100)).await;
            }
            drop(handled);
            info!("after it");
        });
        let lines = lines.await;
        assert_eq!(
            lines.last().map(String::as_str),
            Some("level=info msg=\"after it\"")
        );
        assert_eq!(lines.len(), 1 + polls.min(1));
    }
}

#[tokio::test]
async fn a_panic_leaves_the_span() {
    let lines = logged(async {
        let panics = async { panic!("scheduled") }.instrument(request(1));
        let panics = std::panic::AssertUnwindSafe(panics).catch_unwind();
        assert!(panics.await.is_err());
        info!("after");
    });
    assert_eq!(lines.await, ["level=info msg=after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tasks_on_four_threads() {
    let lines = logged(async {
        let mut tasks = JoinSet::new();
        for id in 0..1000 {
            let task = async move {
                tokio::task::yield_now().await;
                info!(expected = id, "here");
            };
            tasks.spawn(task.instrument(request(id)).with_current_subscriber());
        }
        tasks.join_all().await;
    });
    let lines = lines.await;
    assert_eq!(lines.len(), 1000);
    for line in lines {
        let mut ids = line.split('=').skip(3);
        let expected = ids.next().and_then(|rest| rest.strip_suffix(" request_id"));
        assert_eq!(expected, ids.next(), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_has_no_span_unless_told() {
    let lines = logged(async {
        let task = async {
            tokio::spawn(send_mail().with_current_subscriber()).await?;
            tokio::spawn(send_mail().in_current_span().with_current_subscriber()).await
        };
        task.instrument(request(7)).await
    });
    let late = "level=warn msg=\"the mail is late\"".to_owned();
    let told = format!("{late} request_id=7");
    assert_eq!(lines.await, [late, told]);
}

#[tokio::test]
async fn instrument_records_every_argument_unless_told_to_skip() {
    #[instrument]
    async fn leaks(name: &str, password: &str) {
        info!("signed in");
    }
    #[instrument(skip_all, fields(name = name))]
    async fn keeps(name: &str, password: &str) {
        let _used = password;
        info!("signed in");
    }
    let lines = logged(async {
        leaks("ada", "hunter2").await;
        keeps("ada", "hunter2").await;
    });
    let [leaks, keeps] = <[String; 2]>::try_from(lines.await).expect("two lines");
    assert!(leaks.contains("hunter2"), "{leaks}");
    assert_eq!(keeps, "level=info msg=\"signed in\" name=ada");
}

#[tokio::test]
async fn what_a_value_may_hold() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "for its derived Debug")]
    struct Login {
        token: Secret,
    }
    let token = Secret::new("hunter2".to_owned());
    let lines = logged(async {
        debug!("below the level");
        info!(empty = "", space = "a b", sign = "a=b", "plain");
        info!(quote = "a\"b", break_ = "a\nb", lines = %"a\r\nlevel=error");
        info!(
            number = -3,
            ratio = 0.5,
            yes = true,
            nothing = Option::<u32>::None
        );
        info!(login = ?Login { token });
        info_span!("empty").in_scope(|| info!("in a span without fields"));
        let nested = || info_span!("inner", b = 2).in_scope(|| info!("nested"));
        info_span!("outer", a = 1).in_scope(nested);
    });
    let expected = [
        r#"level=info msg=plain empty="" space="a b" sign="a=b""#,
        r#"level=info quote="a\"b" break_="a\nb" lines="a\r\nlevel=error""#,
        "level=info number=-3 ratio=0.5 yes=true",
        r#"level=info login="Login { token: [redacted] }""#,
        r#"level=info msg="in a span without fields""#,
        "level=info msg=nested a=1 b=2",
    ];
    assert_eq!(lines.await, expected);
}

#[tokio::test(start_paused = true)]
async fn the_id_stays_at_a_higher_level() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = subscriber(Level::WARN, move || writer.clone());
    let mail = async { send_mail().instrument(request(7)).await };
    mail.with_subscriber(subscriber).await;
    let late = "level=warn msg=\"the mail is late\" request_id=7";
    assert_eq!(captured.lines(), [late]);
}

#[tokio::test]
async fn one_write_for_a_line() {
    struct Counting(Arc<Mutex<usize>>);
    impl io::Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(bytes.ends_with(b"\n"));
            *self.0.lock().expect("nobody panics") += 1;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let writes = Arc::new(Mutex::new(0));
    let shared = Arc::clone(&writes);
    let writer = move || Counting(Arc::clone(&shared));
    let three = async {
        for _ in 0..3 {
            info!(user = "ada", "a line");
        }
    };
    three
        .instrument(request(1))
        .with_subscriber(subscriber(Level::INFO, writer))
        .await;
    assert_eq!(*writes.lock().expect("nobody panics"), 3);
}
