use std::fs;
use std::io;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::STARTING;

/// A process, not reaped before this is dropped, so that nobody else gets its number.
#[derive(Debug)]
pub struct Running {
    pid: u32,
    reap: Option<Sender<()>>,
    owner: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts the program from a thread that lives as long.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let (reap, told) = channel::<()>();
        let (sender, started) = channel();
        let owner = thread::spawn(move || {
            let mut child = command.spawn();
            let pid = match &mut child {
                Ok(child) => Ok(child.id()),
                Err(error) => {
                    Err(io::Error::new(error.kind(), format!("setpriv: {error}")))
                }
            };
            let _ = sender.send(pid);
            let _dropped = told.recv();
            let _ended = child.map(|mut child| child.wait());
        });
        let pid = started.recv().map_err(io::Error::other)??;
        Ok(Self {
            pid,
            reap: Some(reap),
            owner: Some(owner),
        })
    }

    pub fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|(state, _)| state != 'Z')
    }

    /// Returns the process and all below it. PostgreSQL's leave its group and session.
    fn family(&self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
        let all: Vec<(u32, u32)> =
            pids.filter_map(|pid| Some((pid, stat(pid)?.1))).collect();
        let mut family = vec![self.pid];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(all.iter().filter(|it| it.1 == parent).map(|it| it.0));
            next += 1;
        }
        family
    }

    pub fn signal(&self, signal: Signal) {
        // First the parent, which can then start no other.
        send(self.pid, signal);
        self.family().iter().for_each(|pid| send(*pid, signal));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A stopped parent starts no other. Its children are not stopped: what this misses
        // ends by itself when it notices that its parent is gone.
        send(self.pid, Signal::STOP);
        let end = Instant::now() + STARTING;
        let wait_while = |is_busy: &dyn Fn() -> bool| {
            while is_busy() && Instant::now() < end {
                sleep(Duration::from_millis(1));
            }
        };
        let runs = |pid: u32, ended: &str| {
            stat(pid).is_some_and(|(state, _)| !ended.contains(state))
        };
        wait_while(&|| runs(self.pid, "TtZX"));
        let family = self.family();
        family.iter().for_each(|pid| send(*pid, Signal::KILL));
        wait_while(&|| family.iter().any(|pid| runs(*pid, "Z")));
        drop(self.reap.take());
        let _ = self.owner.take().map(JoinHandle::join);
    }
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It may have ended.
    let _ = pid.map(|pid| kill_process(pid, signal));
}

/// Returns the state of a process and its parent, from `PID (NAME) STATE PARENT ...`.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = text.rsplit_once(") ")?.1.split(' ');
    let state = words.next()?.chars().next()?;
    Some((state, words.next()?.parse().ok()?))
}
