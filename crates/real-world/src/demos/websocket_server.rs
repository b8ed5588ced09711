//! A chat in the room of `chat_room`: members that join, talk and leave, and clients
//! that are slow, silent or too loud.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::chat_room::{Refused, Room};
use crate::websocket_server::{Connection, Limits, serve};

pub type Failure = Box<dyn Error + Send + Sync>;
type Socket = WebSocketStream<TcpStream>;

/// Serves one member. Its first message is its name.
pub async fn take_part(
    room: Arc<Room<Utf8Bytes>>,
    mut connection: Connection<TcpStream>,
) {
    // Not as long as a member may be silent.
    let Ok(Ok(name)) = timeout(Duration::from_secs(1), connection.next()).await else {
        return;
    };
    let mut seat = match room.join(&name) {
        Ok(seat) => seat,
        Err(Refused::Closed) => return connection.close(CloseCode::Away, "").await,
        Err(_) => return connection.close(CloseCode::Policy, "not a free name").await,
    };
    let (voice, too_slow) = (seat.voice(), seat.too_slow.clone());
    let talking = connection.converse(&mut seat.messages, |text| voice(&text));
    let ended = too_slow.run_until_cancelled(talking).await;
    seat.farewell = match ended {
        None => "was too slow",
        Some(CloseCode::Normal) => "left",
        Some(CloseCode::Error) => "gave no sign of life",
        Some(CloseCode::Size) => "sent too much at once",
        Some(_) => "was cut off",
    };
    drop(seat);
    if let Some(code) = ended {
        connection.close(code, "").await;
    }
}

/// Connects, with a small buffer for what comes, and says the name.
async fn enter(server: SocketAddr, name: &str) -> Result<Socket, Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(BUFFER)?;
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = client_async(format!("ws://{server}/"), stream).await?;
    socket.send(Message::text(name)).await?;
    Ok(socket)
}

/// Reads all the time, so that pings are answered.
struct Client {
    name: &'static str,
    outgoing: SplitSink<Socket, Message>,
    heard: mpsc::UnboundedReceiver<String>,
    _reader: AbortOnDropHandle<()>,
}

impl Client {
    async fn join(server: SocketAddr, name: &'static str) -> Result<Self, Failure> {
        let (outgoing, mut incoming) = enter(server, name).await?.split();
        let (sender, heard) = mpsc::unbounded_channel();
        let reader = tokio::spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                let text = match message {
                    Message::Text(text) => text.to_string(),
                    Message::Close(Some(end)) => format!("({})", end.code),
                    _ => continue,
                };
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            name,
            outgoing,
            heard,
            _reader: AbortOnDropHandle::new(reader),
        })
    }

    async fn say(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), Failure> {
        Ok(self.outgoing.send(Message::Text(text.into())).await?)
    }

    async fn hear(&mut self) {
        let text = self.heard.recv().await.unwrap_or_default();
        match text.split_once(": ") {
            Some((who, said)) if said.len() > 20 => {
                println!("{} hears {who}: {} bytes", self.name, said.len());
            }
            _ => println!("{} hears {text}", self.name),
        }
    }
}

/// For what the system keeps of a connection; far less than the longest message.
const BUFFER: u32 = 16 * 1024;

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(16)
}

pub async fn run() -> Result<(), Failure> {
    let limits = Limits {
        connections: 10,
        origins: &["https://chat.example"],
        handshake: Duration::from_secs(1),
        message: 256 * 1024,
        ping: Duration::from_millis(300),
        silence: Duration::from_secs(2),
        closing: Duration::from_secs(1),
    };
    let longest = "x".repeat(limits.message);
    let listener = listen()?;
    let server = listener.local_addr()?;
    let stop = CancellationToken::new();
    // Three messages may wait for a member, and each may say something every 10 ms.
    let room = Room::new(3, Duration::from_millis(10));
    let entered = Arc::clone(&room);
    let handle = move |connection| take_part(Arc::clone(&entered), connection);
    let serving = serve(listener, limits, stop.clone(), handle);
    let serving = AbortOnDropHandle::new(tokio::spawn(serving));

    println!("Two clients join; a name in use and an invalid name are refused:");
    let mut ana = Client::join(server, "ana").await?;
    ana.hear().await;
    let mut ben = Client::join(server, "ben").await?;
    ana.hear().await;
    ben.hear().await;
    for name in ["ana", "ana: I"] {
        Client::join(server, name).await?.hear().await;
    }

    println!("All hear it; one leaves:");
    ben.say("hello").await?;
    ana.hear().await;
    ben.hear().await;
    ben.outgoing.close().await?;
    ana.hear().await;

    println!("The longest message, and one byte more:");
    let mut carl = Client::join(server, "carl").await?;
    ana.hear().await;
    carl.hear().await;
    carl.say(longest.as_str()).await?;
    ana.hear().await;
    carl.hear().await;
    carl.say(format!("{longest}x")).await?;
    carl.hear().await;
    ana.hear().await;

    println!("Dan does not read; one message is on its way, and three wait:");
    let dan = enter(server, "dan").await?;
    ana.hear().await;
    for _ in 1..=5 {
        sleep(Duration::from_millis(100)).await;
        ana.say(longest.as_str()).await?;
        ana.hear().await;
    }
    ana.hear().await;
    drop(dan);

    println!("A page of another site may not connect:");
    let mut request = format!("ws://{server}/").into_client_request()?;
    let origin = HeaderValue::from_static("https://evil.example");
    request.headers_mut().insert("origin", origin);
    let stream = TcpStream::connect(server).await?;
    if let Err(tungstenite::Error::Http(refused)) = client_async(request, stream).await {
        println!("status {}", refused.status().as_u16());
    }

    println!("Eve answers no ping, and the request of another never ends:");
    let eve = enter(server, "eve").await?;
    ana.hear().await;
    let mut endless = TcpStream::connect(server).await?;
    endless.write_all(b"GET / HTTP/1.1\r\n").await?;
    let _closed = endless.read(&mut [0]).await;
    println!("the other is cut off");
    ana.hear().await;
    drop(eve);

    println!("The server stops, and Fay does not answer:");
    let fay = enter(server, "fay").await?;
    ana.hear().await;
    stop.cancel();
    room.close();
    ana.hear().await;
    serving.await?;
    println!("all connections are closed");
    drop(fay);
    Ok(())
}
