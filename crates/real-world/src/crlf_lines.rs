//! Split bytes into lines at CRLF only, and continue after a line that is too long.
//!
//! SMTP, POP3 and FTP end a line with CRLF. `CrlfLines` is a codec: `FramedRead` of
//! tokio-util asks it to cut the received bytes into lines, and `FramedWrite` to add
//! the CRLF. `CrlfLines` returns a bad line as a normal item, `Err(BadLine)`, so your
//! loop can answer "500 line too long" and read the next line. (asyncio's `readuntil`
//! raises `LimitOverrunError`, and the caller has to remove the line.) A line with a
//! single CR or LF inside is bad too, and `CrlfLines` refuses to write one.
//!
//! Bounds: `longest` bytes for a line. Of a longer line nothing is kept. Unbounded: The
//! time for a line. Put a `timeout` around `next`.
//!
//! Trap: If you read mail with `read_line`, `lines` or `LinesCodec`, a single LF ends a
//! line as well. The next mail server may not do so, and sees another message than you.
//! Attackers use this to hide a second mail in a first one (SMTP smuggling). Use
//! `CrlfLines`, for which a single LF makes the line bad.
//!
//! Trap: If your decoder returns an error for a bad line, the connection ends there:
//! after an error `FramedRead` returns `None`, so `while let Some` stops. Return an
//! item for a bad line, as here.
//!
//! In production: `AnyDelimiterCodec` of `tokio-util` ends a line at any byte of a set.
//! It cannot look for a delimiter of two bytes.
//!
//! See also: `line_protocol`, `tls` (STARTTLS), `deadlines`.
//!
//! asyncio: asyncio.StreamReader.readuntil (multi-byte or tuple)
//! asyncio: asyncio.LimitOverrunError, asyncio.IncompleteReadError

use std::io::{self, ErrorKind};

use tokio_util::bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder, FramedRead};

/// Why a line is refused. The next line is read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    #[error("line too long")]
    TooLong,
    #[error("CR or LF inside a line")]
    BareNewline,
}

/// Lines that end with CRLF. Decodes them without it, and adds it when it encodes them.
#[derive(Clone, Debug)]
pub struct CrlfLines {
    longest: usize,
    /// This number of bytes at the start of the buffer contain no CRLF.
    searched: usize,
    /// The line is too long already, and its first part is gone.
    is_too_long: bool,
}

impl CrlfLines {
    /// Returns a codec for lines of at most `longest` bytes, without their CRLF.
    pub fn new(longest: usize) -> Self {
        Self {
            longest,
            searched: 0,
            is_too_long: false,
        }
    }
}

impl Decoder for CrlfLines {
    type Item = Result<Bytes, BadLine>;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        let end = bytes[self.searched..]
            .windows(2)
            .position(|two| two == b"\r\n");
        let Some(end) = end else {
            // A CR at the end may be the first half of a CRLF.
            self.searched = bytes.len() - usize::from(bytes.ends_with(b"\r"));
            if self.is_too_long || self.searched > self.longest {
                self.is_too_long = true;
                bytes.advance(std::mem::take(&mut self.searched));
            }
            return Ok(None);
        };
        let length = std::mem::take(&mut self.searched) + end;
        let line = bytes.split_to(length).freeze();
        bytes.advance(2);
        if std::mem::take(&mut self.is_too_long) || length > self.longest {
            return Ok(Some(Err(BadLine::TooLong)));
        }
        let is_bare = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let is_bad = line.iter().any(is_bare);
        Ok(Some(if is_bad {
            Err(BadLine::BareNewline)
        } else {
            Ok(line)
        }))
    }

    /// Fails with `UnexpectedEof` if the last line has no end: it may be half a command.
    fn decode_eof(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        match self.decode(bytes)? {
            None if self.is_too_long || !bytes.is_empty() => {
                *self = Self::new(self.longest);
                bytes.clear();
                Err(ErrorKind::UnexpectedEof.into())
            }
            line => Ok(line),
        }
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for CrlfLines {
    type Error = io::Error;

    /// Fails with `InvalidInput`, and writes nothing, if the line contains a CR or LF:
    /// otherwise, the author of its text could send commands of his own.
    fn encode(&mut self, line: T, bytes: &mut BytesMut) -> io::Result<()> {
        let line = line.as_ref();
        if line.contains(&b'\r') || line.contains(&b'\n') {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                BadLine::BareNewline,
            ));
        }
        bytes.reserve(line.len() + 2);
        bytes.put_slice(line);
        bytes.put_slice(b"\r\n");
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    use futures::TryStreamExt as _;

    // Any `AsyncRead` will do, such as a `TcpStream`.
    let client: &[u8] = b"HELO here\r\n\
        MAIL FROM:<a-very-long-name@example.org>\r\n\
        NOOP\r\n\
        smuggled\n.\r\n\
        QUIT\r\n\
        NO";
    let mut lines = FramedRead::new(client, CrlfLines::new(16));
    loop {
        match lines.try_next().await {
            Ok(Some(Ok(line))) => println!("line: {}", line.escape_ascii()),
            Ok(Some(Err(bad))) => println!("500 {bad}"),
            Ok(None) => break println!("the client has left"),
            Err(_) => break println!("the last line has no end"),
        }
    }
}
