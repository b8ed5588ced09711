use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, stream};
use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};
use tokio::task::JoinSet;

use crate::progress_bar::{Progress, counted};

/// A terminal that keeps what is written to it.
#[derive(Clone, Debug, Default)]
struct Screen(Arc<Mutex<String>>);

impl Screen {
    fn write(&self, text: &str) {
        self.0.lock().expect("nobody panics").push_str(text);
    }

    fn taken(&self) -> String {
        std::mem::take(&mut *self.0.lock().expect("nobody panics"))
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        80
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.write(line);
        self.write("\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.write(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write("[clear]");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn drawn() -> (MultiProgress, Screen) {
    let screen = Screen::default();
    let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
    (MultiProgress::with_draw_target(target), screen)
}

fn hidden() -> MultiProgress {
    MultiProgress::with_draw_target(ProgressDrawTarget::hidden())
}

#[tokio::test]
async fn bytes_of_all_sizes_are_counted_and_passed_on() {
    let progress = Progress::new(hidden(), 1);
    for number in [0, 1, 31, 129, 1_000] {
        for length in [None, Some(0), Some(number), Some(u64::MAX)] {
            let bar = progress.add("a", length);
            let chunks = stream::iter((0..number).map(|_| Ok::<_, io::Error>("xy")));
            let passed = counted(chunks, bar.clone()).count().await as u64;
            assert_eq!((passed, bar.position()), (number, 2 * number));
        }
    }
}

#[tokio::test]
async fn errors_count_nothing_and_pass() {
    let progress = Progress::new(hidden(), 1);
    let bar = progress.add("a", None);
    let chunks = stream::iter([Ok("x"), Err("reset"), Ok("yz")]);
    let passed: Vec<_> = counted(chunks, bar.clone()).collect().await;
    assert_eq!(passed, [Ok("x"), Err("reset"), Ok("yz")]);
    assert_eq!(bar.position(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_bars_from_four_threads_some_aborted() {
    let (lines, screen) = drawn();
    let progress = Progress::new(lines, 100);
    let total = progress.add("all bytes", None);
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let (progress, total) = (progress.clone(), total.clone());
        let task = tasks.spawn(async move {
            let bar = progress.add(&number.to_string(), Some(10));
            for _ in 0..10 {
                bar.inc(1);
                total.inc(1);
                tokio::task::yield_now().await;
            }
            assert!(number % 100 != 5, "scheduled");
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    while tasks.join_next().await.is_some() {}
    assert!(
        (900..=1_000).contains(&total.position()),
        "{}",
        total.position()
    );
    screen.taken();
    // Each bar was cleared at its end: only the last one is left.
    drop(total);
    progress.add("last", Some(1)).tick();
    let lines = screen.taken();
    assert!(!lines.contains("all bytes"), "{lines}");
}

#[test]
fn the_bar_of_all_is_there_from_the_start_and_others_are_added_above_it() {
    let (lines, screen) = drawn();
    let progress = Progress::new(lines, 7);
    assert!(screen.taken().contains("0/7"));
    let bars = ["first", "second"].map(|name| progress.add(name, Some(100)));
    std::thread::sleep(Duration::from_millis(200));
    for bar in &bars {
        bar.tick();
    }
    screen.taken();
    progress.print("a line");
    let text = screen.taken();
    let places = ["first", "second", "0/7"].map(|part| text.rfind(part));
    assert!(places.is_sorted() && places[0].is_some(), "{text}");
}

/// The trap: where nothing is drawn, only what `suspend` calls is printed.
#[test]
fn without_a_terminal_lines_of_the_bars_are_lost() {
    let lines = hidden();
    lines.println("lost").expect("it says that all is well");
    let mut printed = false;
    lines.suspend(|| printed = true);
    assert!(printed);

    let (lines, screen) = drawn();
    lines.println("seen").expect("there is room");
    assert!(screen.taken().contains("seen"));
}

#[test]
fn a_bar_is_drawn_and_cleared_when_its_last_clone_is_dropped() {
    let (lines, screen) = drawn();
    let progress = Progress::new(lines, 2);
    let bar = progress.add("tea.jpg", Some(100));
    bar.inc(50);
    std::thread::sleep(Duration::from_millis(200));
    let clone = bar.clone();
    clone.tick();
    let before = screen.taken();
    assert!(before.contains("tea.jpg"), "{before}");
    drop(bar);
    progress.print("a line");
    assert!(screen.taken().contains("tea.jpg"));
    drop(clone);
    screen.taken();
    progress.print("a line");
    let after = screen.taken();
    assert!(!after.contains("tea.jpg"), "{after}");
}
