use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::chat_room::{Refused, Room, Seat};

const MINUTE: Duration = Duration::from_secs(60);

fn room(queue: usize) -> Arc<Room<String>> {
    Room::new(queue, Duration::ZERO)
}

/// What waits for this member.
fn read(seat: &mut Seat<String>) -> Vec<String> {
    std::iter::from_fn(|| seat.messages.try_recv().ok()).collect()
}

#[test]
fn who_comes_under_a_name_comes_after_who_had_it() {
    let room = room(100_000);
    let mut log = room.join("log").expect("it is free");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    drop(room.join("ana"));
                }
            });
        }
    });
    let messages = read(&mut log);
    assert_eq!(messages[0], "log joined");
    for pair in messages[1..].chunks(2) {
        assert_eq!(pair, ["ana joined", "ana was cut off"]);
    }
}

#[test]
fn names() {
    let room = room(10);
    let _ana = room.join("ana").expect("it is free");
    assert_eq!(room.join("ana").err(), Some(Refused::NameTaken));
    for name in ["", "a\nb", "ana: hello", "a23456789012345678901"] {
        assert_eq!(room.join(name).err(), Some(Refused::NoName), "{name:?}");
    }
    room.join("a2345678901234567890").expect("it is a name");
}

#[test]
fn a_member_that_missed_a_message_gets_none_after_it() {
    for queue in [1, 2, 3, 31] {
        let room = room(queue);
        let mut slow = room.join("slow").expect("it is free");
        // Its own "joined" has a place, but not in a queue of 1.
        for number in usize::from(queue > 1)..queue {
            room.tell(number.to_string());
        }
        assert!(!slow.too_slow.is_cancelled(), "all fit");
        room.tell("too much".to_owned());
        assert!(slow.too_slow.is_cancelled());
        assert_eq!(read(&mut slow).len(), queue);
        room.tell("after".to_owned());
        assert_eq!(read(&mut slow), [""; 0]);
    }
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    let room = room(10);
    let mut ana = room.join("ana").expect("it is free");
    ana.voice()("hi\nben: I never said this\r").await;
    let said = "ana: hi ben: I never said this ";
    assert_eq!(read(&mut ana), ["ana joined", said]);
}

#[tokio::test]
async fn after_a_panic_the_name_is_free() {
    let room = room(10);
    let mut ben = room.join("ben").expect("it is free");
    let crash = {
        let room = Arc::clone(&room);
        async move {
            let _seat = room.join("ana");
            panic!("scheduled");
        }
    };
    assert!(tokio::spawn(crash).await.is_err());
    assert_eq!(read(&mut ben)[1..], ["ana joined", "ana was cut off"]);
    assert!(room.join("ana").is_ok());
}

#[tokio::test]
async fn a_closed_room_delivers_what_waits() {
    let room = room(10);
    let mut ana = room.join("ana").expect("it is free");
    room.tell("the last".to_owned());
    room.close();
    assert_eq!(room.join("ben").err(), Some(Refused::Closed));
    room.tell("too late".to_owned());
    assert_eq!(ana.messages.recv().await.as_deref(), Some("ana joined"));
    assert_eq!(ana.messages.recv().await.as_deref(), Some("the last"));
    assert_eq!(ana.messages.recv().await, None);
}

/// One member sends a burst; returns how many of ten were cut off during it.
async fn cut_off_by_a_burst(pace: Duration) -> usize {
    const BURST: usize = 300;
    let room = Room::<String>::new(16, pace);
    let mut members = JoinSet::new();
    let speaker = room.join("speaker").expect("it is free").voice();
    for number in 0..10 {
        let mut seat = room.join(&format!("g{number}")).expect("it is free");
        members.spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = seat.too_slow.cancelled() => return 1,
                    text = seat.messages.recv() => match text {
                        Some(text) if text.ends_with(&format!(": {BURST}")) => return 0,
                        Some(_) => {}
                        None => return 1,
                    },
                }
            }
        });
    }
    let burst = async move {
        for number in 1..=BURST {
            speaker(&number.to_string()).await;
        }
    };
    tokio::spawn(burst).await.expect("no panic");
    members.join_all().await.into_iter().sum()
}

/// The trap: nobody of the others has had a turn when their queues are full.
#[tokio::test]
async fn without_a_pause_a_burst_of_one_cuts_off_all_others() {
    let room = room(16);
    let speaker = room.join("speaker").expect("it is free").voice();
    let members: Vec<_> = (0..10)
        .map(|number| room.join(&format!("g{number}")).expect("it is free"))
        .collect();
    for number in 0..17 {
        drop(speaker(&number.to_string()));
    }
    assert!(members.iter().all(|seat| seat.too_slow.is_cancelled()));
}

/// All members speak at the same moments, which is the worst case, and news come before.
#[tokio::test(start_paused = true)]
async fn who_stops_reading_is_cut_off_no_sooner_than_the_bound() {
    let pace = Duration::from_millis(100);
    for (queue, members) in [(16, 1), (16, 3), (50, 10), (64, 10), (15, 2), (16, 100)] {
        let room = Room::<String>::new(queue, pace);
        let mut deaf = room.join("deaf").expect("it is free");
        read(&mut deaf);
        let mut seats = Vec::new();
        for number in 1..members {
            let seat = room.join(&format!("m{number}")).expect("it is free");
            seats.push(seat);
        }
        for number in 0..1_000 {
            drop(room.join(&format!("a{number}")).expect("it is free"));
        }
        let start = Instant::now();
        let voices: Vec<_> = seats.iter().chain([&deaf]).map(Seat::voice).collect();
        let speaking = voices.iter().map(async |say| {
            loop {
                say("x").await;
            }
        });
        tokio::select! {
            biased;
            _ = futures::future::join_all(speaking) => {}
            () = deaf.too_slow.cancelled() => {}
        }
        let bound = pace * (queue / 2 / members) as u32;
        assert!(start.elapsed() >= bound, "{queue} {members}");
        // And no later than the whole queue allows.
        let latest = pace * (queue / members) as u32;
        assert!(start.elapsed() <= latest, "{queue} {members}");
    }
}

/// On several threads, as `main` runs it. On a busy machine a member may be cut off
/// because it is not run in time, but not in each round.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_of_one_does_not_cut_off_the_others() {
    let mut cut_off = Vec::new();
    for _ in 0..4 {
        cut_off.push(cut_off_by_a_burst(Duration::from_millis(10)).await);
        if cut_off.ends_with(&[0]) {
            return;
        }
    }
    panic!("cut off in each round: {cut_off:?}");
}

#[tokio::test(start_paused = true)]
async fn one_member_speaks_no_faster_than_its_pace() {
    let room = Room::<String>::new(1000, Duration::from_millis(100));
    let seats = ["ana", "ben"].map(|name| room.join(name).expect("it is free"));
    let start = Instant::now();
    let voices = seats.iter().map(Seat::voice);
    let speaking = voices.map(async |say| {
        for _ in 0..10 {
            say("x").await;
        }
    });
    futures::future::join_all(speaking).await;
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_hear_the_same_in_the_same_order() {
    const MEMBERS: usize = 1000;
    let room = room(10_000);
    let seats = (0..MEMBERS).map(|number| room.join(&format!("m{number}")));
    let seats: Vec<_> = seats.collect::<Result<_, _>>().expect("they are free");
    let mut speaking = JoinSet::new();
    for seat in &seats[..10] {
        let say = seat.voice();
        speaking.spawn(async move { say("hello").await });
    }
    let spoken = timeout(MINUTE, speaking.join_all()).await;
    spoken.expect("nobody waits for a reader");
    let mut orders = seats.into_iter().map(|mut seat| {
        let messages = read(&mut seat);
        let said = messages.into_iter().filter(|text| text.contains(": "));
        said.collect::<Vec<_>>()
    });
    let first = orders.next().expect("there are members");
    assert_eq!(first.len(), 10);
    assert!(orders.all(|order| order == first));
}

/// Joining has no pace. Until their end nobody reads, so one join too many would show.
#[test]
fn a_storm_of_joins_cuts_nobody_off() {
    for queue in [1, 2, 3, 16, 64] {
        let room = room(queue);
        let mut seats: Vec<_> = (0..10)
            .map(|number| room.join(&format!("m{number}")).expect("it is free"))
            .collect();
        for number in 0..1_000 {
            drop(room.join(&format!("a{number}")).expect("it is free"));
        }
        assert!(
            seats.iter().all(|seat| !seat.too_slow.is_cancelled()),
            "{queue}"
        );
        // Half of each queue is left for messages, and of a queue of 1 all.
        let left = (queue / 2).max(1);
        for number in 0..left {
            room.tell(number.to_string());
        }
        assert!(
            seats.iter().all(|seat| !seat.too_slow.is_cancelled()),
            "{queue}"
        );
        for seat in &mut seats {
            let last = read(seat).pop();
            assert_eq!(last, Some((left - 1).to_string()), "{queue}");
        }
    }
}

#[test]
#[should_panic(expected = "buffer > 0")]
fn nobody_can_join_without_a_queue() {
    let _ = room(0).join("ana");
}

#[tokio::test]
async fn a_voice_that_outlives_its_seat_speaks_under_the_name_of_the_next_owner() {
    let room = room(10);
    let voice = room.join("ana").expect("it is free").voice();
    let mut next = room.join("ana").expect("it is free again");
    voice("hello").await;
    assert_eq!(read(&mut next), ["ana joined", "ana: hello"]);
}
