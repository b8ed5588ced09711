//! `asyncio.StreamReader`: what CPython's tests ask of it, on Tokio's buffered readers.
//!
//! The counterpart is a method of `AsyncReadExt` or `AsyncBufReadExt` over a `BufReader`.
//! Behind an `@` stands another one: a codec, or what has to be done as well.
//!
//! asyncio: asyncio.StreamReader.read, asyncio.StreamReader.readline
//! asyncio: asyncio.StreamReader.readuntil, asyncio.open_connection(limit=)
//! differs: `read_line` appends, and no method of a reader has a limit

use std::io::ErrorKind;

use futures::{Stream, StreamExt};
use tokio::io::{
    self, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex,
};
use tokio::time::timeout;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{
    AnyDelimiterCodec, AnyDelimiterCodecError, Decoder, FramedRead, LinesCodec,
};

use crate::support::{millis, settle, try_out};

/// Returns a reader that holds these bytes and then ends.
async fn fed(bytes: &[u8]) -> BufReader<DuplexStream> {
    let (mut writer, reader) = duplex(100_000);
    writer.write_all(bytes).await.unwrap();
    BufReader::new(reader)
}

/// Returns a reader, and where its bytes are written.
fn open() -> (DuplexStream, BufReader<DuplexStream>) {
    let (writer, reader) = duplex(100_000);
    (writer, BufReader::new(reader))
}

fn shown(bytes: &[u8]) -> String {
    format!("{:?}", str::from_utf8(bytes).unwrap())
}

async fn rest(mut reader: impl io::AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.unwrap();
    shown(&bytes)
}

// read.

async fn read_zero() -> String {
    let mut reader = fed(b"hello").await;
    let count = reader.read(&mut []).await.unwrap();
    format!("{count} bytes, then {}", rest(reader).await)
}

async fn read_some() -> String {
    let mut buffer = [0; 3];
    let count = fed(b"hello").await.read(&mut buffer).await.unwrap();
    shown(&buffer[..count])
}

async fn read_capacity() -> String {
    let mut buffer = Vec::with_capacity(4096);
    let count = fed(b"hello").await.read(&mut buffer).await.unwrap();
    shown(&buffer[..count])
}

async fn read_buf() -> String {
    let mut buffer = Vec::with_capacity(4096);
    fed(b"hello").await.read_buf(&mut buffer).await.unwrap();
    shown(&buffer)
}

async fn read_length() -> String {
    let mut buffer = vec![0; 4096];
    let count = fed(b"hello").await.read(&mut buffer).await.unwrap();
    shown(&buffer[..count])
}

async fn read_line_breaks() -> String {
    let mut buffer = [0; 6];
    let count = fed(b"one\ntwo\n").await.read(&mut buffer).await.unwrap();
    shown(&buffer[..count])
}

async fn read_waits() -> String {
    let (mut writer, mut reader) = open();
    let reading = tokio::spawn(async move {
        let mut buffer = [0; 100];
        let count = reader.read(&mut buffer).await.unwrap();
        shown(&buffer[..count])
    });
    settle().await;
    writer.write_all(b"").await.unwrap();
    settle().await;
    let before = reading.is_finished();
    writer.write_all(b"hello").await.unwrap();
    format!(
        "ended by nothing: {before}; then {}",
        reading.await.unwrap()
    )
}

async fn read_until_end() -> String {
    let (mut writer, reader) = open();
    writer.write_all(b"one\n").await.unwrap();
    let reading = tokio::spawn(rest(reader));
    settle().await;
    writer.write_all(b"two").await.unwrap();
    drop(writer);
    reading.await.unwrap()
}

// readline.

async fn readline() -> String {
    let (mut reader, mut line) = (fed(b"one\ntwo\n").await, String::new());
    reader.read_line(&mut line).await.unwrap();
    format!("{line:?}, left {}", rest(reader).await)
}

async fn readline_pieces() -> String {
    let (mut writer, mut reader) = open();
    let reading = tokio::spawn(async move {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        format!("{line:?}")
    });
    for piece in ["on", "e", "\ntwo"] {
        writer.write_all(piece.as_bytes()).await.unwrap();
        settle().await;
    }
    reading.await.unwrap()
}

async fn readline_twice(clear: bool) -> String {
    let (mut reader, mut line) = (fed(b"one\ntwo\n").await, String::new());
    reader.read_line(&mut line).await.unwrap();
    if clear {
        line.clear();
    }
    reader.read_line(&mut line).await.unwrap();
    format!("{line:?}")
}

async fn readline_then_bytes() -> String {
    let (mut reader, mut line) = (fed(b"5\nhelloend\n").await, String::new());
    reader.read_line(&mut line).await.unwrap();
    let mut body = vec![0; line.trim().parse().unwrap()];
    reader.read_exact(&mut body).await.unwrap();
    line.clear();
    reader.read_line(&mut line).await.unwrap();
    format!("{}, {line:?}", shown(&body))
}

async fn readline_no_text() -> String {
    let mut line = String::new();
    match fed(b"caf\xe9\n").await.read_line(&mut line).await {
        Ok(count) => format!("{count} bytes"),
        Err(error) => format!("fails: {:?}", error.kind()),
    }
}

async fn readline_no_text_bytes() -> String {
    let mut line = Vec::new();
    fed(b"caf\xe9\n")
        .await
        .read_until(b'\n', &mut line)
        .await
        .unwrap();
    format!("{} bytes", line.len())
}

async fn readline_cancelled() -> String {
    let (mut writer, mut reader) = open();
    writer.write_all(b"hel").await.unwrap();
    let mut line = String::new();
    assert!(
        timeout(millis(50), reader.read_line(&mut line))
            .await
            .is_err()
    );
    writer.write_all(b"lo\n").await.unwrap();
    reader.read_line(&mut line).await.unwrap();
    format!("{line:?}")
}

async fn cancelled_lines() -> String {
    let (mut writer, reader) = open();
    let mut lines = reader.lines();
    writer.write_all(b"hel").await.unwrap();
    assert!(timeout(millis(50), lines.next_line()).await.is_err());
    writer.write_all(b"lo\n").await.unwrap();
    // It comes without its end.
    let line = lines.next_line().await.unwrap().unwrap();
    format!("{:?}", line + "\n")
}

async fn cancelled_until() -> String {
    let (mut writer, mut reader) = open();
    writer.write_all(b"hel").await.unwrap();
    let mut line = Vec::new();
    assert!(
        timeout(millis(50), reader.read_until(b'\n', &mut line))
            .await
            .is_err()
    );
    writer.write_all(b"lo\n").await.unwrap();
    reader.read_until(b'\n', &mut line).await.unwrap();
    shown(&line)
}

async fn for_line() -> String {
    let mut lines = fed(b"one\ntwo").await.lines();
    let mut told = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        told.push(format!("{line:?}"));
    }
    told.join(", ")
}

// limit=.

fn refused<E>(read: Result<usize, E>) -> String {
    match read {
        Ok(count) => format!("returns {count} bytes"),
        Err(_) => "is refused".to_owned(),
    }
}

fn long(end: u8) -> Vec<u8> {
    let mut line = vec![b'x'; 2000];
    line.push(end);
    line
}

async fn limit_line() -> String {
    let reader = fed(&long(b'\n')).await.into_inner();
    let mut reader = BufReader::with_capacity(1000, reader);
    refused(reader.read_line(&mut String::new()).await)
}

/// Returns the lines, with the limit on the length of each.
async fn limited(bytes: &[u8], longest: usize) -> FramedRead<DuplexStream, LinesCodec> {
    let reader = fed(bytes).await.into_inner();
    FramedRead::new(reader, LinesCodec::new_with_max_length(longest))
}

async fn limit_line_codec() -> String {
    let line = limited(&long(b'\n'), 1000).await.next().await.unwrap();
    refused(line.map(|line| line.len()))
}

async fn limit_exact() -> String {
    let seven = limited(b"1234567\n", 7).await.next().await.unwrap();
    let eight = limited(b"12345678\n", 7).await.next().await.unwrap();
    let passes = if seven.is_ok() {
        "passes"
    } else {
        "is refused"
    };
    let eight = refused(eight.map(|line| line.len()));
    format!("one of 7 {passes}, one of 8 {eight}")
}

async fn limit_while_let() -> String {
    let mut lines = limited(b"one\n12345678\nthree\nfour\n", 7).await;
    let mut told = Vec::new();
    while let Some(line) = lines.next().await {
        told.push(line.unwrap_or_else(|_| "refused".to_owned()));
    }
    told.join(", ")
}

async fn limit_go_on() -> String {
    let mut lines = limited(b"one\n12345678\nthree\nfour\n", 7).await;
    let mut told = Vec::new();
    loop {
        match lines.next().await {
            Some(Ok(line)) => told.push(line),
            Some(Err(_)) => {
                told.push("refused".to_owned());
                // After each error there is one `None`, which is no end.
                assert!(lines.next().await.is_none());
            }
            None => return told.join(", "),
        }
    }
}

async fn limit_take() -> String {
    let mut lines = fed(b"abc\ndef\nghi\n").await.take(7).lines();
    let mut told = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        told.push(line);
    }
    told.join(", ")
}

async fn limit_readuntil() -> String {
    refused(
        fed(&long(b';'))
            .await
            .read_until(b';', &mut Vec::new())
            .await,
    )
}

/// Returns the records between these separators, at most 1,000 bytes each.
async fn records(
    bytes: &[u8],
    separators: &[u8],
) -> impl Stream<Item = Result<String, AnyDelimiterCodecError>> + Unpin {
    let codec =
        AnyDelimiterCodec::new_with_max_length(separators.into(), b"".into(), 1000);
    FramedRead::new(fed(bytes).await, codec)
        .map(|record| record.map(|record| shown(&record)))
}

async fn limit_codec() -> String {
    let record = records(&long(b';'), b";").await.next().await.unwrap();
    refused(record.map(|record| record.len()))
}

async fn limit_readexactly() -> String {
    let mut bytes = [0; 2000];
    let read = fed(&long(b';')).await.read_exact(&mut bytes).await;
    format!("returns {} bytes", read.unwrap())
}

// readuntil.

async fn readuntil() -> String {
    let (mut reader, mut record) = (fed(b"SET a 100;GET a;").await, Vec::new());
    reader.read_until(b';', &mut record).await.unwrap();
    format!("{}, left {}", shown(&record), rest(reader).await)
}

async fn readuntil_last_byte() -> String {
    let (mut reader, mut record) = (fed(b"hello\n.\r\nbye\r\n").await, Vec::new());
    reader.read_until(b'\n', &mut record).await.unwrap();
    shown(&record)
}

/// Splits bytes into records that end with this separator, at most so long without it.
struct Until {
    separator: &'static [u8],
    longest: usize,
}

impl Decoder for Until {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let (separator, longest) = (self.separator, self.longest);
        let found = bytes
            .windows(separator.len())
            .position(|it| it == separator);
        match found {
            Some(length) if length <= longest => {
                Ok(Some(bytes.split_to(length + separator.len())))
            }
            None if bytes.len() < longest + separator.len() => Ok(None),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }
    // `decode_eof` fails if there are bytes left at the end.
}

fn crlf(reader: BufReader<DuplexStream>) -> FramedRead<BufReader<DuplexStream>, Until> {
    let (separator, longest) = (b"\r\n".as_slice(), 1000);
    FramedRead::new(reader, Until { separator, longest })
}

async fn readuntil_decoder() -> String {
    let mut records = crlf(fed(b"hello\n.\r\nbye\r\n").await);
    shown(&records.next().await.unwrap().unwrap())
}

async fn readuntil_over_pieces() -> String {
    let (mut writer, reader) = open();
    let reading =
        tokio::spawn(async move { shown(&crlf(reader).next().await.unwrap().unwrap()) });
    for piece in ["one\r", "two\r", "\nrest"] {
        writer.write_all(piece.as_bytes()).await.unwrap();
        settle().await;
    }
    reading.await.unwrap()
}

async fn readuntil_several() -> String {
    let mut records = records(b"one;two\nthree", b";\n").await;
    let first = records.next().await.unwrap().unwrap();
    format!("{first}, {}", records.next().await.unwrap().unwrap())
}

async fn readuntil_several_limit() -> String {
    let record = records(&long(b';'), b";\n").await.next().await.unwrap();
    refused(record.map(|record| record.len()))
}

async fn readuntil_cut() -> String {
    let mut records = records(b"one;tw", b";").await;
    records.next().await;
    match records.next().await.unwrap() {
        Ok(record) => format!("returns {record}"),
        Err(_) => "fails".to_owned(),
    }
}

async fn readuntil_cut_decoder() -> String {
    let mut records = crlf(fed(b"one\r\ntw").await);
    records.next().await;
    match records.next().await.unwrap() {
        Ok(record) => format!("returns {}", shown(&record)),
        Err(_) => "fails".to_owned(),
    }
}

// readexactly.

async fn readexactly() -> String {
    let (mut reader, mut bytes) = (fed(b"hello").await, [0; 4]);
    reader.read_exact(&mut []).await.unwrap();
    reader.read_exact(&mut bytes).await.unwrap();
    format!("\"\", {}", shown(&bytes))
}

/// Reads until there are so many bytes. What it has read stays in the buffer.
async fn fill(
    reader: &mut (impl io::AsyncRead + Unpin),
    buffer: &mut BytesMut,
    count: usize,
) -> io::Result<()> {
    while buffer.len() < count {
        if reader.read_buf(buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

async fn readexactly_partial() -> String {
    let (mut reader, mut buffer) = (fed(b"hello").await, BytesMut::new());
    match fill(&mut reader, &mut buffer, 9).await {
        Ok(()) => "returns".to_owned(),
        Err(_) => format!("fails, and has {}", shown(&buffer)),
    }
}

async fn readexactly_cancelled() -> String {
    let (mut writer, mut reader) = open();
    writer.write_all(b"hel").await.unwrap();
    let mut bytes = [0; 5];
    assert!(
        timeout(millis(50), reader.read_exact(&mut bytes))
            .await
            .is_err()
    );
    writer.write_all(b"lo").await.unwrap();
    reader.read_exact(&mut bytes).await.unwrap();
    shown(&bytes)
}

async fn readexactly_kept() -> String {
    let (mut writer, mut reader) = open();
    writer.write_all(b"hel").await.unwrap();
    let mut buffer = BytesMut::new();
    assert!(
        timeout(millis(50), fill(&mut reader, &mut buffer, 5))
            .await
            .is_err()
    );
    writer.write_all(b"lo").await.unwrap();
    fill(&mut reader, &mut buffer, 5).await.unwrap();
    shown(&buffer.split_to(5))
}

#[tokio::main]
async fn main() {
    try_out! { millis(2_000),
        "stream.read.zero-takes-nothing" => read_zero(),
        "stream.read.at-most-n" => read_some(),
        "stream.read.into-buffer" => read_capacity(),
        "stream.read.into-buffer@read_buf" => read_buf(),
        "stream.read.into-buffer@length" => read_length(),
        "stream.read.ignores-line-breaks" => read_line_breaks(),
        "stream.read.waits-for-data" => read_waits(),
        "stream.read.all-waits-for-end" => read_until_end(),
        "stream.readline.leaves-the-rest" => readline(),
        "stream.readline.over-pieces" => readline_pieces(),
        "stream.readline.only-this-line" => readline_twice(false),
        "stream.readline.only-this-line@clear" => readline_twice(true),
        "stream.readline.then-bytes" => readline_then_bytes(),
        "stream.readline.any-bytes" => readline_no_text(),
        "stream.readline.any-bytes@read_until" => readline_no_text_bytes(),
        "stream.readline.cancelled-loses-nothing" => readline_cancelled(),
        "stream.readline.cancelled-loses-nothing@next_line" => cancelled_lines(),
        "stream.readline.cancelled-loses-nothing@read_until" => cancelled_until(),
        "stream.for.lines-with-ends" => for_line(),
        "stream.limit.long-line-refused" => limit_line(),
        "stream.limit.long-line-refused@LinesCodec" => limit_line_codec(),
        "stream.limit.exact-length-passes@LinesCodec" => limit_exact(),
        "stream.limit.next-line-is-read" => limit_while_let(),
        "stream.limit.next-line-is-read@skip-one-None" => limit_go_on(),
        "stream.limit.each-line-alone@take" => limit_take(),
        "stream.limit.long-record-refused" => limit_readuntil(),
        "stream.limit.long-record-refused@AnyDelimiterCodec" => limit_codec(),
        "stream.limit.not-for-readexactly" => limit_readexactly(),
        "stream.readuntil.one-byte" => readuntil(),
        "stream.readuntil.two-bytes" => readuntil_last_byte(),
        "stream.readuntil.two-bytes@decoder" => readuntil_decoder(),
        "stream.readuntil.over-pieces@decoder" => readuntil_over_pieces(),
        "stream.readuntil.several@AnyDelimiterCodec" => readuntil_several(),
        "stream.readuntil.several-limit@AnyDelimiterCodec" => readuntil_several_limit(),
        "stream.readuntil.fails-unfinished@AnyDelimiterCodec" => readuntil_cut(),
        "stream.readuntil.fails-unfinished@decoder" => readuntil_cut_decoder(),
        "stream.readexactly.gives-n" => readexactly(),
        "stream.readexactly.error-has-part@read_buf" => readexactly_partial(),
        "stream.readexactly.cancelled-loses-nothing" => readexactly_cancelled(),
        "stream.readexactly.cancelled-loses-nothing@read_buf" => readexactly_kept(),
    }
}

//@ python: 3.13
