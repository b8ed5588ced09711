//! Two members, one of whom does not read.

use std::time::Duration;

use crate::chat_room::{Refused, Room, Seat};

/// Prints what waits for a member.
fn print_waiting(name: &str, seat: &mut Seat<String>) {
    while let Ok(text) = seat.messages.try_recv() {
        println!("{name} reads: {text}");
    }
}

pub async fn run() -> Result<(), Refused> {
    let room = Room::new(3, Duration::from_millis(100));
    println!("Two join; a name in use and an invalid name are refused:");
    let mut ann = room.join("Ann")?;
    let mut bob = room.join("Bob")?;
    for name in ["Ann", "Ann: I"] {
        if let Err(refused) = room.join(name) {
            println!("{name}: {refused}");
        }
    }
    print_waiting("Ann", &mut ann);
    print_waiting("Bob", &mut bob);

    println!("Bob does not read, and three messages may wait for him:");
    let say = ann.voice();
    for text in ["one", "two", "three", "four"] {
        say(text).await;
        print_waiting("Ann", &mut ann);
    }
    println!("Bob is too slow: {}", bob.too_slow.is_cancelled());
    bob.farewell = "was too slow";
    drop(bob);
    print_waiting("Ann", &mut ann);

    println!("The room is closed, and what waits is still read:");
    say("the last").await;
    room.close();
    print_waiting("Ann", &mut ann);
    Ok(())
}
