//! Broadcast to many clients: each has a bounded queue, and learns if it is too slow.
//!
//! The room puts a message into the queues of all members, without waiting. If a
//! member's queue is full, the member misses the message, and the `CancellationToken`
//! `too_slow` of this member is cancelled: end its connection then.
//! `tokio::sync::broadcast` has one queue for all instead, and a slow receiver gets the
//! error `Lagged`.
//!
//! `Room::join` returns a `Seat`, the place of one member. To send, the member calls the
//! function that `Seat::voice` returns. This function sends the text immediately and
//! returns a pause, which the member awaits before it sends again. You set the length of
//! the pause, `pace`, when you create the room.
//!
//! Bounds: At most `queue` messages wait for each member. The news "joined" and "left" go
//! only into queues that are more than half free, so they cut nobody off. A member that
//! stops reading is cut off when its queue is full. If all members send as fast as the
//! pauses allow, this takes at least `queue / 2 / members` pauses, rounded down.
//! Unbounded: The members.
//!
//! Trap: If members may send without a pause, one member's burst fills all queues, and
//! nearly all members are cut off. Await the pause after each text. On several threads, a
//! `yield_now` in place of the pause is not enough.
//!
//! See also: `websocket_server`, whose demonstration is a chat with this room.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put_nowait, asyncio.QueueFull

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A room for messages of type `T`, which must be cheap to clone.
#[derive(Debug)]
pub struct Room<T> {
    /// How many messages may wait for one member.
    queue: usize,
    /// A member's pause after each message, if it awaits the future of its voice.
    pace: Duration,
    /// By name. `None` when the room is closed.
    members: Mutex<Option<HashMap<String, Member<T>>>>,
}

#[derive(Debug)]
struct Member<T> {
    queue: mpsc::Sender<T>,
    too_slow: CancellationToken,
}

/// Why a member cannot join.
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
        // A member that has missed a message gets no further ones.
        if !too_slow.is_cancelled() && queue.try_send(text.clone()).is_err() {
            too_slow.cancel();
        }
    }
}

/// Puts news of members into the queues of which more than half is free: joining and
/// leaving has no pace, and must cut nobody off.
fn announce<T: Clone + From<String>>(members: &Members<T>, text: String) {
    let text = T::from(text);
    for Member { queue, too_slow } in members.values() {
        // A queue of 1 gets no news: the next message would find it full.
        let has_room = queue.capacity() * 2 > queue.max_capacity().max(2);
        if has_room && !too_slow.is_cancelled() {
            let _ = queue.try_send(text.clone());
        }
    }
}

impl<T: Clone + From<String>> Room<T> {
    /// Returns an empty room. With a `queue` of 0, `join` panics.
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

    /// Returns a seat under a name of 1 to 20 letters and digits, and tells the members
    /// whose queue is more than half free.
    pub fn join(self: &Arc<Self>, name: &str) -> Result<Seat<T>, Refused> {
        let length = name.chars().count();
        if !(1..=20).contains(&length) || !name.chars().all(char::is_alphanumeric) {
            return Err(Refused::NoName);
        }
        let (queue, messages) = mpsc::channel(self.queue.min(Semaphore::MAX_PERMITS));
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
        announce(members, format!("{name} joined"));
        Ok(Seat {
            room: Arc::clone(self),
            name: name.to_owned(),
            messages,
            too_slow,
            farewell: "was cut off",
        })
    }

    /// Sends a text to all members, to each in the same order. A member whose queue is
    /// full misses it and all later texts.
    pub fn tell(&self, text: String) {
        if let Some(members) = &*self.members() {
            tell(members, text);
        }
    }

    /// Refuses further members. The others still get their waiting messages, then `None`.
    pub fn close(&self) {
        self.members().take();
    }
}

/// A name in the room. Dropping the seat releases the name, even after a panic.
#[derive(Debug)]
pub struct Seat<T: Clone + From<String>> {
    room: Arc<Room<T>>,
    name: String,
    /// The messages for this member.
    pub messages: mpsc::Receiver<T>,
    /// Cancelled when this member has missed a message. Its connection should end then.
    pub too_slow: CancellationToken,
    /// What the others read when this member leaves, such as "left".
    pub farewell: &'static str,
}

impl<T: Clone + From<String>> Seat<T> {
    /// Returns a function that sends a text to all members, with the name in front. It
    /// sends immediately, and returns the pause to await before the next text. Drop
    /// the function before the seat: later it would still send in this name, even if
    /// another member has taken it.
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
        // Under the lock of the removal: the next owner of the name joins after it.
        if let Some(members) = &mut *self.room.members() {
            members.remove(&self.name);
            announce(members, format!("{} {}", self.name, self.farewell));
        }
    }
}

/// Prints what Ann reads after Bob has spoken: `cargo run -- hello everybody`.
#[tokio::main]
async fn main() -> Result<(), Refused> {
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

//@ try: hello -> Bob: hello
