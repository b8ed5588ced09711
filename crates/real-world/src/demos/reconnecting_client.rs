//! A server that breaks off, refuses, comes back, and falls silent.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::join;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, FramedWrite, LengthDelimitedCodec};
use tokio_util::task::AbortOnDropHandle;

use crate::reconnecting_client::{Client, Config, Event};

const TENTH: Duration = Duration::from_millis(100);

/// A server that does what requests say, and writes down their texts.
#[derive(Default)]
struct Server {
    done: Mutex<Vec<String>>,
}

impl Server {
    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = Framed::new(stream, LengthDelimitedCodec::new());
        let mut is_silent = false;
        while let Some(frame) = stream.next().await {
            let text = String::from_utf8_lossy(&frame?).into_owned();
            let answer = match text.split_once(' ') {
                Some(("SUBSCRIBE", topic)) => format!("welcome to {topic}"),
                Some((_, request)) => {
                    let (number, request) = request.split_once(' ').unwrap_or_default();
                    let mut done =
                        self.done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push(request.to_owned());
                    match request {
                        "pay and crash" => return Ok(()),
                        "fall silent" => is_silent = true,
                        _ => {}
                    }
                    format!("REPLY {number} done: {request}")
                }
                None if is_silent => continue,
                None => "PONG".to_owned(),
            };
            stream.send(Bytes::from(answer)).await?;
        }
        Ok(())
    }
}

/// What each further attempt to connect comes to: refused, or not.
type Attempts = Mutex<VecDeque<bool>>;

async fn connect(attempts: Arc<Attempts>, address: SocketAddr) -> io::Result<TcpStream> {
    let refused = attempts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pop_front();
    match refused {
        Some(true) => Err(ErrorKind::ConnectionRefused.into()),
        _ => {
            let mut stream = TcpStream::connect(address).await?;
            let mut writer = FramedWrite::new(&mut stream, LengthDelimitedCodec::new());
            writer.send(Bytes::from("SUBSCRIBE news")).await?;
            Ok(stream)
        }
    }
}

async fn show(events: &mut mpsc::Receiver<Event>, number: usize) {
    for _ in 0..number {
        match events.recv().await {
            Some(Event::Connected) => println!("connected"),
            Some(Event::Message(text)) => println!("message: {text}"),
            Some(Event::Lost(error, pause)) => {
                let seconds = pause.as_secs_f64();
                println!("{}, next attempt in {seconds} s", error.kind());
            }
            None => {}
        }
    }
}

async fn request(client: &Client, text: &str) {
    println!("{}", outcome(client, text).await);
}

async fn outcome(client: &Client, text: &str) -> String {
    match client.request(text.to_owned()).await {
        Ok(reply) => reply,
        Err(error) => format!("{text}: {error}"),
    }
}

pub async fn run() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Arc::new(Server::default());
    let serving = Arc::clone(&server);
    let _serving = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = serving.serve(stream).await;
        }
    }));
    let config = Config {
        connect: 10 * TENTH,
        request: 8 * TENTH,
        ping: TENTH,
        silence: 3 * TENTH,
        initial_backoff: TENTH,
        max_backoff: 4 * TENTH,
        jitter: |pause| pause,
        frame: 1000,
        waiting: 10,
    };
    let attempts = Arc::new(Attempts::new([false, true, true].into()));
    sleep(TENTH).await;

    println!("It connects and subscribes:");
    let connect = move || connect(Arc::clone(&attempts), address);
    let (client, mut events) = Client::start(config, connect);
    show(&mut events, 2).await;
    sleep(TENTH).await;
    request(&client, "pay").await;

    println!("The server crashes before it replies:");
    request(&client, "pay and crash").await;
    show(&mut events, 3).await;

    println!("A request waits for a connection, and the topic is subscribed again:");
    // The reply may come before the message.
    let (done, ()) = join!(outcome(&client, "pay later"), show(&mut events, 2));
    println!("{done}");

    println!("The server falls silent:");
    sleep(TENTH / 2).await;
    request(&client, "fall silent").await;
    show(&mut events, 3).await;
    let done = server.done.lock().unwrap_or_else(PoisonError::into_inner);
    println!("the server has done: {}", done.join(", "));
    Ok(())
}
