use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
    DuplexStream, duplex,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, RootCertStore, ServerConfig,
};
use tokio_rustls::{TlsAcceptor, server};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::tls::{
    Failure, Limits, close, connect, identify, refusal, serve, start_tls, trust,
    trust_system,
};

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits = Limits {
    connections: 1_000,
    handshake: Duration::from_secs(60),
    connection: Duration::from_secs(60),
    drain: Duration::from_secs(1),
};

/// Whoever signs certificates; here it is the test itself.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone())?;
        Ok(roots)
    }

    /// A server's identity, valid until the beginning of that year.
    fn identity(&self, host: &str, year: i32) -> Result<Arc<ServerConfig>, Failure> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        identify(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
    }
}

type Accepted = io::Result<server::TlsStream<DuplexStream>>;

/// The other side of a connection without a network.
fn accept(
    config: Arc<ServerConfig>,
    buffer: usize,
) -> (DuplexStream, JoinHandle<Accepted>) {
    let (near, far) = duplex(buffer);
    let task = tokio::spawn(async { TlsAcceptor::from(config).accept(far).await });
    (near, task)
}

async fn refused(
    client: &Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    host: &str,
) -> io::Error {
    let (stream, accepted) = accept(server, 4096);
    let connected = connect(client, host, stream, SECOND).await;
    assert!(accepted.await.expect("no panic").is_err());
    connected.map(|_| ()).expect_err("it is refused")
}

#[tokio::test(start_paused = true)]
async fn each_refusal_has_its_kind() -> Result<(), Failure> {
    let (ours, other) = (Authority::new()?, Authority::new()?);
    let good = ours.identity("localhost", 4000)?;
    let old = ours.identity("localhost", 2020)?;
    let client = trust(ours.roots()?)?;
    for stranger in [trust(other.roots()?)?, trust(RootCertStore::empty())?] {
        let error = refused(&stranger, Arc::clone(&good), "localhost").await;
        let why = refusal(&error).expect("a certificate");
        // The second is for an issuer who has the name of another.
        let unknown = [
            CertificateError::UnknownIssuer,
            CertificateError::BadSignature,
        ];
        assert!(unknown.contains(why), "{why}");
    }
    let error = refused(&client, old, "localhost").await;
    let why = refusal(&error).expect("a certificate");
    assert!(matches!(why, CertificateError::ExpiredContext { .. }));
    for host in ["example.com", "sub.localhost", "127.0.0.1"] {
        let error = refused(&client, Arc::clone(&good), host).await;
        let why = refusal(&error).expect("a certificate");
        let text = why.to_string();
        assert!(text.contains("not valid for name"), "{text}");
    }
    let (stream, _accepted) = accept(good, 4096);
    let error = connect(&client, "no host", stream, SECOND)
        .await
        .map(|_| ());
    let kind = error.err().map(|error| error.kind());
    assert_eq!(kind, Some(ErrorKind::InvalidInput));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_server_cannot_be_an_authority() -> Result<(), Failure> {
    let authority = IsCa::Ca(BasicConstraints::Unconstrained);
    for (is_ca, refused) in [(IsCa::NoCa, false), (authority, true)] {
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        params.is_ca = is_ca;
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone())?;
        let (chain, key) = (certificate.pem(), key.serialize_pem());
        let server = identify(chain.as_bytes(), key.as_bytes())?;
        let (stream, _accepted) = accept(server, 4096);
        match connect(&trust(roots)?, "localhost", stream, SECOND).await {
            Ok(_) => assert!(!refused),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("CaUsedAsEndEntity"), "{text}");
            }
        }
    }
    Ok(())
}

#[test]
fn an_identity_needs_a_certificate_and_its_own_key() -> Result<(), Failure> {
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(["localhost".to_owned()])?;
    let (chain, other) = (params.self_signed(&key)?.pem(), KeyPair::generate()?);
    let (key, other) = (key.serialize_pem(), other.serialize_pem());
    for (chain, key, is_right) in [
        (&*chain, &*key, true),
        (&chain, &other, false),
        (&chain, "", false),
        ("", &key, false),
        (&key, &chain, false),
    ] {
        let made = identify(chain.as_bytes(), key.as_bytes());
        assert_eq!(made.is_ok(), is_right);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_system_does_not_trust_our_authority() -> Result<(), Failure> {
    let server = Authority::new()?.identity("localhost", 4000)?;
    let error = refused(&trust_system()?, server, "localhost").await;
    let why = refusal(&error).expect("a certificate");
    assert_eq!(*why, CertificateError::UnknownIssuer);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_no_tls_and_what_breaks_off_has_failed() -> Result<(), Failure> {
    let client = trust(RootCertStore::empty())?;
    for said in [
        &b""[..],
        b"\x16",
        b"\x16\x03\x03\x00\x50\x02",
        b"HTTP/1.1 400 \r\n\r\n",
    ] {
        let (stream, mut far) = duplex(4096);
        far.write_all(said).await?;
        far.shutdown().await?;
        let error = connect(&client, "localhost", stream, SECOND)
            .await
            .map(|_| ());
        let error = error.expect_err("it fails");
        assert!(refusal(&error).is_none(), "{error:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_a_limit_however_slowly_it_goes_on() -> Result<(), Failure> {
    let client = trust(RootCertStore::empty())?;
    for limit in [Duration::ZERO, SECOND, 60 * SECOND] {
        let (stream, mut far) = duplex(4096);
        let start = Instant::now();
        let drip = AbortOnDropHandle::new(tokio::spawn(async move {
            far.write_all(b"\x16\x03\x03\x40\x00").await?;
            loop {
                sleep(SECOND / 3).await;
                far.write_all(b"\x02").await?;
            }
            #[expect(unreachable_code, reason = "it names the type")]
            Ok::<(), io::Error>(())
        }));
        let error = connect(&client, "localhost", stream, limit)
            .await
            .map(|_| ());
        let kind = error.err().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::TimedOut));
        assert_eq!(start.elapsed(), limit);
        drop(drip);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_arrives_in_whole_or_with_an_error() -> Result<(), Failure> {
    let authority = Authority::new()?;
    let config = authority.identity("localhost", 4000)?;
    let client = trust(authority.roots()?)?;
    for (length, ends) in [(0, true), (0, false), (100_000, true), (100_000, false)] {
        let (stream, accepted) = accept(Arc::clone(&config), 500);
        let mut near = connect(&client, "localhost", stream, SECOND).await?;
        let mut far = accepted.await??;
        let sender = tokio::spawn(async move {
            far.write_all(&vec![1; length]).await?;
            if ends {
                far.shutdown().await
            } else {
                far.flush().await
            }
        });
        let mut all = Vec::new();
        let end = near.read_to_end(&mut all).await;
        assert_eq!(all.len(), length);
        let end = end.map(|_| ()).map_err(|error| error.kind());
        let expected = if ends {
            Ok(())
        } else {
            Err(ErrorKind::UnexpectedEof)
        };
        assert_eq!(end, expected);
        sender.await??;
    }
    Ok(())
}

/// The client ends its side while the server is still writing, and reads late.
#[tokio::test(start_paused = true)]
async fn after_the_peers_end_both_directions_arrive() -> Result<(), Failure> {
    let authority = Authority::new()?;
    let client = trust(authority.roots()?)?;
    let (stream, accepted) = accept(authority.identity("localhost", 4000)?, 500);
    let mut near = connect(&client, "localhost", stream, SECOND).await?;
    let mut far = accepted.await??;
    let server = tokio::spawn(async move {
        let mut got = Vec::new();
        far.read_to_end(&mut got).await?;
        far.write_all(&[2; 100_000]).await?;
        far.shutdown().await?;
        io::Result::Ok(got)
    });
    near.write_all(&[1; 100_000]).await?;
    near.shutdown().await?;
    sleep(SECOND).await;
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await?;
    assert_eq!(answer, [2; 100_000]);
    assert_eq!(server.await??, [1; 100_000]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_written_may_not_have_been_sent() -> Result<(), Failure> {
    let authority = Authority::new()?;
    let config = authority.identity("localhost", 4000)?;
    let client = trust(authority.roots()?)?;
    for (flushes, sent) in [(false, false), (true, true)] {
        let (stream, accepted) = accept(Arc::clone(&config), 500);
        let mut near = connect(&client, "localhost", stream, SECOND).await?;
        let mut far = accepted.await??;
        let sender = tokio::spawn(async move {
            // More than the connection takes while nobody reads.
            far.write_all(&[1; 2000]).await?;
            if flushes { far.flush().await } else { Ok(()) }
        });
        sleep(SECOND).await;
        let mut all = Vec::new();
        let end = near.read_to_end(&mut all).await;
        assert!(end.is_err());
        assert_eq!(all.len() == 2000, sent);
        sender.await??;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await_it_closes_the_connection() -> Result<(), Failure> {
    let authority = Authority::new()?;
    let config = authority.identity("localhost", 4000)?;
    let client = trust(authority.roots()?)?;
    let mut completed = false;
    for polls in 1..60 {
        let (stream, accepted) = accept(Arc::clone(&config), 100);
        let mut connected = Box::pin(connect(&client, "localhost", stream, SECOND));
        for _ in 0..polls {
            if futures::poll!(connected.as_mut()).is_ready() {
                completed = true;
                break;
            }
            yield_now().await;
        }
        drop(connected);
        let ended = timeout(SECOND / 2, accepted).await?;
        assert!(completed || ended?.is_err());
        assert_eq!(Arc::strong_count(&client), 1);
    }
    assert!(completed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_beside_silent_ones_and_panics() -> Result<(), Failure> {
    super::allow_files();
    let authority = Authority::new()?;
    let config = authority.identity("localhost", 4000)?;
    let client = trust(authority.roots()?)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let before = Handle::current().metrics().num_alive_tasks();
    let handle = |mut stream: server::TlsStream<TcpStream>| async move {
        let number = stream.read_u32().await?;
        assert!(number % 10 > 0, "scheduled");
        stream.write_u32(number).await?;
        stream.shutdown().await
    };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, config, LIMITS, stop.clone(), handle));
    let silent = TcpStream::connect(address).await?;
    let mut reset = TcpStream::connect(address).await?;
    reset.write_all(b"\x16\x03\x01").await?;
    reset.set_zero_linger()?;
    drop(reset);
    let all = join_all((0..100).map(|number| {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            let stream = TcpStream::connect(address).await?;
            let mut stream = connect(&client, "localhost", stream, 60 * SECOND).await?;
            stream.write_u32(number).await?;
            stream.flush().await?;
            let answer = stream.read_u32().await;
            assert_eq!(answer.ok(), (number % 10 > 0).then_some(number));
            Ok::<(), Failure>(())
        })
    }));
    for done in all.await {
        done??;
    }
    stop.cancel();
    assert_eq!(serving.await?, 1, "the silent one");
    while Handle::current().metrics().num_alive_tasks() > before {
        yield_now().await;
    }
    drop(silent);
    Ok(())
}

/// `start_tls`: both sides have talked over the stream before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_that_was_used_before_is_upgraded() -> Result<(), Failure> {
    let authority = Authority::new()?;
    let config = authority.identity("localhost", 4000)?;
    let (mut near, mut far) = duplex(4096);
    let server = tokio::spawn(async move {
        let mut said = [0; 9];
        far.read_exact(&mut said).await?;
        assert_eq!(&said, b"STARTTLS\n");
        far.write_all(b"OK\n").await?;
        let mut stream = TlsAcceptor::from(config).accept(far).await?;
        stream.write_all(b"secret").await?;
        stream.shutdown().await
    });
    near.write_all(b"STARTTLS\n").await?;
    near.read_exact(&mut [0; 3]).await?;
    let client = trust(authority.roots()?)?;
    let mut stream = connect(&client, "localhost", near, 60 * SECOND).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    assert_eq!(answer, b"secret");
    Ok(server.await??)
}

/// A client that knows nothing of TLS.
async fn first_header(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<String> {
    stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n").await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(line)
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    line: &str,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await?;
    assert_eq!(request, "HEAD / HTTP/1.0\r\n");
    stream.write_all(line.as_bytes()).await?;
    stream.shutdown().await
}

#[tokio::test(start_paused = true)]
async fn one_function_for_http_and_https() -> Result<(), Failure> {
    let (near, far) = duplex(4096);
    let (line, answered) =
        tokio::join!(first_header(near), answer(far, "HTTP/1.0 200\r\n"));
    answered?;
    assert_eq!(line?, "HTTP/1.0 200\r\n");

    let authority = Authority::new()?;
    let (near, accepted) = accept(authority.identity("localhost", 4000)?, 4096);
    let roots = trust(authority.roots()?)?;
    let near = connect(&roots, "localhost", near, SECOND).await?;
    let far = accepted.await??;
    let (line, answered) =
        tokio::join!(first_header(near), answer(far, "HTTP/1.0 204\r\n"));
    answered?;
    assert_eq!(line?, "HTTP/1.0 204\r\n");
    Ok(())
}

/// 100,000 bytes over TCP, more than the server's buffer holds. The server reads them a moment
/// later, so most of them wait at the client. A server of TLS 1.3 has sent tickets that the
/// client has not read.
async fn arrive(closes: bool) -> Result<(usize, io::Result<()>), Failure> {
    let authority = Authority::new()?;
    let config = authority.identity("localhost", 4000)?;
    let client = trust(authority.roots()?)?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 << 10)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(1)?;
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(200_000)?;
    let stream = socket.connect(listener.local_addr()?).await?;
    let (far, _) = listener.accept().await?;
    let (dropped, is_dropped) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let mut far = TlsAcceptor::from(config).accept(far).await?;
        if !closes {
            let _ = is_dropped.await;
        }
        let mut got = Vec::new();
        let end = far.read_to_end(&mut got).await.map(|_| ());
        let _ = far.shutdown().await;
        Ok::<_, io::Error>((got.len(), end))
    });
    let mut near = connect(&client, "localhost", stream, 60 * SECOND).await?;
    near.write_all(&[b'x'; 100_000]).await?;
    if closes {
        close(near, 60 * SECOND).await?;
    } else {
        near.shutdown().await?;
        drop(near);
        let _ = dropped.send(());
    }
    Ok(timeout(60 * SECOND, server).await???)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn close_reads_the_tickets_that_would_reset_the_connection() -> Result<(), Failure>
{
    for _ in 0..5 {
        let (got, end) = arrive(true).await?;
        assert_eq!(got, 100_000);
        end?;
    }
    // The trap of the page.
    let (got, end) = arrive(false).await?;
    assert!(got < 100_000 && end.is_err(), "{got} {end:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn close_has_two_limits_and_takes_a_missing_close_notify() -> Result<(), Failure> {
    let authority = Authority::new()?;
    let config = authority.identity("localhost", 4000)?;
    let client = trust(authority.roots()?)?;
    let (stream, accepted) = accept(Arc::clone(&config), 4096);
    let near = connect(&client, "localhost", stream, SECOND).await?;
    let _stays = accepted.await??;
    let start = Instant::now();
    let late = close(near, SECOND).await;
    assert_eq!(late.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
    assert_eq!(start.elapsed(), SECOND);

    let (stream, accepted) = accept(Arc::clone(&config), 4096);
    let near = connect(&client, "localhost", stream, SECOND).await?;
    let mut far = accepted.await??;
    let reads = tokio::spawn(async move {
        // Reads the end, and then leaves without a word.
        let _ = far.read(&mut [0]).await;
    });
    close(near, SECOND).await?;
    reads.await?;

    let (stream, accepted) = accept(config, 4096);
    let near = connect(&client, "localhost", stream, SECOND).await?;
    let mut far = accepted.await??;
    let sends =
        tokio::spawn(async move { while far.write_all(&[0; 4096]).await.is_ok() {} });
    let closed = close(near, SECOND).await.map_err(|error| error.kind());
    assert_eq!(closed, Err(ErrorKind::FileTooLarge));
    Ok(sends.await?)
}

/// What the client has sent before the handshake came without encryption.
#[tokio::test(start_paused = true)]
async fn start_tls_refuses_bytes_that_came_before_it() -> Result<(), Failure> {
    let authority = Authority::new()?;
    let config = authority.identity("localhost", 4000)?;
    let client = trust(authority.roots()?)?;
    for injected in ["", "MAIL FROM:<x>\r\n"] {
        let (mut near, far) = duplex(4096);
        let config = Arc::clone(&config);
        let server = tokio::spawn(async move {
            let mut reader = BufReader::new(far);
            let mut command = String::new();
            reader.read_line(&mut command).await?;
            assert_eq!(command, "STARTTLS\r\n");
            reader.write_all(b"220 go ahead\r\n").await?;
            reader.flush().await?;
            let mut stream = start_tls(&config, reader, SECOND).await?;
            stream.write_all(b"secret").await?;
            stream.shutdown().await
        });
        let sent = format!("STARTTLS\r\n{injected}");
        near.write_all(sent.as_bytes()).await?;
        near.read_exact(&mut [0; 14]).await?;
        if injected.is_empty() {
            let mut near = connect(&client, "localhost", near, SECOND).await?;
            let mut answer = String::new();
            near.read_to_string(&mut answer).await?;
            assert_eq!(answer, "secret");
            server.await??;
        } else {
            let refused = server.await?.map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::InvalidData));
        }
    }
    Ok(())
}
