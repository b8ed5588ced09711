//! Broadcast to many clients: a bounded queue for each, and a slow client is cut off.
//!
//! A message goes into the queues of all members, and waits for none of them. A member
//! whose queue is full has missed a message, and so is cut off. `tokio::sync::broadcast`
//! has one queue for all: there a slow receiver gets `Lagged`, and goes on with a gap.
//!
//! Bounds: `queue` messages for each member. If all members speak as fast as they may, a
//! queue is full after the time `queue * pace / members`. unbounded: the members.
//!
//! Trap: without `pace` one member's burst fills all queues, and nearly all are cut off.
//! On several threads `yield_now` does not give the readers time.
//!
//! See also: `websocket_server`, whose demonstration is a chat with this room.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put_nowait, asyncio.QueueFull
//! try: hello -> Bob: hello

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A room for texts of this type, which is cheap to clone.
pub struct Room<T> {
    /// How many messages may wait for one member, "joined" and "left" included.
    queue: usize,
    /// The shortest time from one message of a member to the next.
    pace: Duration,
    /// By name; none any more when the room is closed.
    members: Mutex<Option<HashMap<String, Member<T>>>>,
}

struct Member<T> {
    queue: mpsc::Sender<T>,
    too_slow: CancellationToken,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("not a name")]
    NoName,
    #[error("the name is taken")]
    NameTaken,
    #[error("the room is closed")]
    Closed,
}

type Members<T> = HashMap<String, Member<T>>;

/// Puts the text into all queues without waiting.
fn tell<T: Clone + From<String>>(members: &Members<T>, text: String) {
    let text = T::from(text);
    for Member { queue, too_slow } in members.values() {
        // A member that missed one message gets none after it.
        if !too_slow.is_cancelled() && queue.try_send(text.clone()).is_err() {
            too_slow.cancel();
        }
    }
}

impl<T: Clone + From<String>> Room<T> {
    /// Returns an empty room.
    pub fn new(queue: usize, pace: Duration) -> Arc<Self> {
        let members = Mutex::new(Some(HashMap::new()));
        Arc::new(Self {
            queue,
            pace,
            members,
        })
    }

    fn members(&self) -> MutexGuard<'_, Option<Members<T>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a seat under a name of 1 to 20 letters and digits, and tells all members.
    pub fn join(self: &Arc<Self>, name: &str) -> Result<Seat<T>, Refused> {
        let length = name.chars().count();
        if !(1..=20).contains(&length) || !name.chars().all(char::is_alphanumeric) {
            return Err(Refused::NoName);
        }
        let (queue, messages) = mpsc::channel(self.queue);
        let too_slow = CancellationToken::new();
        let mut members = self.members();
        let members = members.as_mut().ok_or(Refused::Closed)?;
        match members.entry(name.to_owned()) {
            Entry::Occupied(_) => return Err(Refused::NameTaken),
            Entry::Vacant(place) => place.insert(Member {
                queue,
                too_slow: too_slow.clone(),
            }),
        };
        tell(members, format!("{name} joined"));
        Ok(Seat {
            room: Arc::clone(self),
            name: name.to_owned(),
            messages,
            too_slow,
            farewell: "was cut off",
        })
    }

    /// Tells a text to all members, in the same order as all other texts.
    pub fn tell(&self, text: String) {
        if let Some(members) = &*self.members() {
            tell(members, text);
        }
    }

    /// Lets nobody join any more. Members still get what waits for them, and then `None`.
    pub fn close(&self) {
        self.members().take();
    }
}

/// A name in the room. It is released when the seat is dropped, also by a panic.
pub struct Seat<T: Clone + From<String>> {
    room: Arc<Room<T>>,
    name: String,
    /// What this member has to read.
    pub messages: mpsc::Receiver<T>,
    /// Cancelled when this member has missed a message.
    pub too_slow: CancellationToken,
    /// What the others are told at the end, such as "left".
    pub farewell: &'static str,
}

impl<T: Clone + From<String>> Seat<T> {
    /// Returns a function that tells a text to all, with the name in front. Its future
    /// ends when the member may speak again.
    pub fn voice(&self) -> impl Fn(&str) -> tokio::time::Sleep + use<T> {
        let (room, name) = (Arc::clone(&self.room), self.name.clone());
        move |text| {
            // A line break could pass for another member's message.
            let text = text.replace(char::is_control, " ");
            room.tell(format!("{name}: {text}"));
            sleep(room.pace)
        }
    }
}

impl<T: Clone + From<String>> Drop for Seat<T> {
    fn drop(&mut self) {
        // Under one lock with the removal: the next owner of the name joins after this.
        if let Some(members) = &mut *self.room.members() {
            members.remove(&self.name);
            tell(members, format!("{} {}", self.name, self.farewell));
        }
    }
}

/// Prints what Ann reads while Bob speaks: `cargo run -- hello everybody`.
#[tokio::main]
pub async fn main() -> Result<(), Refused> {
    let room = Room::<String>::new(100, Duration::from_millis(100));
    let (mut ann, bob) = (room.join("Ann")?, room.join("Bob")?);
    let say = bob.voice();
    for text in std::env::args().skip(1) {
        say(&text).await;
    }
    room.close();
    while let Some(message) = ann.messages.recv().await {
        println!("{message}");
    }
    Ok(())
}
