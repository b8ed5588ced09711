use std::io::ErrorKind;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncWriteExt, duplex};
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder, Framed, FramedRead, FramedWrite, LinesCodec};

use super::support::{most_memory, soon};
use crate::crlf_lines::{BadLine, CrlfLines};

type Item = Result<Vec<u8>, BadLine>;

/// Returns the items of bytes that come in pieces of this size, and whether the last line
/// has no end.
fn decode(longest: usize, bytes: &[u8], size: usize) -> (Vec<Item>, bool) {
    let (mut codec, mut buffer) = (CrlfLines::new(longest), BytesMut::new());
    let mut items = Vec::new();
    let owned = |item: Result<Bytes, BadLine>| item.map(|line| line.to_vec());
    for piece in bytes.chunks(size) {
        buffer.extend_from_slice(piece);
        while let Some(item) = codec.decode(&mut buffer).expect("no error") {
            items.push(owned(item));
        }
        assert!(buffer.len() <= longest + 1, "{} are kept", buffer.len());
    }
    loop {
        match codec.decode_eof(&mut buffer) {
            Ok(Some(item)) => items.push(owned(item)),
            Ok(None) => return (items, false),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                assert!(codec.decode_eof(&mut buffer).expect("only once").is_none());
                return (items, true);
            }
        }
    }
}

/// The same, in the simplest words.
fn expected(longest: usize, mut bytes: &[u8]) -> (Vec<Item>, bool) {
    let mut items = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let line = &bytes[..end];
        items.push(if line.len() > longest {
            Err(BadLine::TooLong)
        } else if line.contains(&b'\n') || line.contains(&b'\r') {
            Err(BadLine::BareNewline)
        } else {
            Ok(line.to_vec())
        });
        bytes = &bytes[end + 2..];
    }
    (items, !bytes.is_empty())
}

/// All texts of up to eight of these three bytes, in pieces of each size.
#[test]
fn only_crlf_ends_a_line_wherever_the_pieces_end() {
    for length in 0..=8_u32 {
        for number in 0..3_usize.pow(length) {
            let byte = |place| b"a\r\n"[number / 3_usize.pow(place) % 3];
            let text: Vec<u8> = (0..length).map(byte).collect();
            for longest in [0, 1, 3] {
                let expected = expected(longest, &text);
                for size in 1..=text.len().max(1) {
                    let decoded = decode(longest, &text, size);
                    assert_eq!(decoded, expected, "{text:?} {longest} {size}");
                }
            }
        }
    }
}

/// The forms with which mail servers were made to see the end of a message where others
/// saw none.
#[test]
fn no_form_of_smuggling_ends_a_message() {
    for dot in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\n\n.\r\r\n",
    ] {
        let text = format!("one{dot}MAIL FROM:<forged>\r\nlast\r\n.\r\n");
        let (items, is_cut) = decode(100, text.as_bytes(), 5);
        let ends: Vec<_> = (0..items.len())
            .filter(|&at| items[at] == Ok(b".".to_vec()))
            .collect();
        assert_eq!(ends, [items.len() - 1], "{dot:?} {items:?}");
        assert!(items.contains(&Err(BadLine::BareNewline)), "{dot:?}");
        assert!(!is_cut);
    }
}

#[test]
fn the_line_after_a_long_one_counts_even_if_megabytes_come_before_it() {
    for (number, end) in [
        (5, "\r\n"),
        (6, "\r\n"),
        (1 << 20, "\r\n"),
        (1 << 16, "\r\r\n"),
    ] {
        let text = "x".repeat(number) + end + "NOOP\r\n";
        let (items, is_cut) = decode(5, text.as_bytes(), 8192);
        let first = if number > 5 {
            Err(BadLine::TooLong)
        } else {
            Ok(b"xxxxx".to_vec())
        };
        assert_eq!((items, is_cut), (vec![first, Ok(b"NOOP".to_vec())], false));
    }
}

#[test]
fn a_line_without_an_end_is_told_even_if_it_was_too_long() {
    for text in ["NO", "\r", "NOOP\r\nQUIT\r", "\n", "longer than it may be"] {
        let (_, is_cut) = decode(5, text.as_bytes(), 3);
        assert!(is_cut, "{text:?}");
    }
}

#[test]
fn an_endless_line_takes_no_memory() {
    let most = most_memory(async {
        let endless = tokio::io::AsyncReadExt::take(tokio::io::repeat(b'x'), 1 << 23);
        let mut lines = FramedRead::new(endless, CrlfLines::new(1000));
        let ended = lines.next().await.expect("an item").expect_err("no end");
        assert_eq!(ended.kind(), ErrorKind::UnexpectedEof);
    });
    assert!(most < 100_000, "{most}");
}

/// A `timeout` around `next` loses nothing: what has come is in the buffer.
#[tokio::test(start_paused = true)]
async fn a_dropped_next_loses_nothing() {
    let (near, mut far) = duplex(64);
    let mut lines = Framed::new(near, CrlfLines::new(100));
    for byte in b"one\r\ntwo\r" {
        far.write_all(&[*byte]).await.expect("open");
        let next = tokio::time::timeout(Duration::from_millis(1), lines.next());
        if let Ok(line) = next.await {
            assert_eq!(line.expect("open").expect("read").expect("good"), "one");
        }
    }
    far.write_all(b"\n").await.expect("open");
    let line = soon(lines.next()).await.expect("open").expect("read");
    assert_eq!(line.expect("good"), "two");
    lines.send("250 OK").await.expect("open");
    let mut answer = [0; 8];
    tokio::io::AsyncReadExt::read_exact(&mut far, &mut answer)
        .await
        .expect("open");
    assert_eq!(&answer, b"250 OK\r\n");
}

#[tokio::test]
async fn the_encoder_writes_one_line_or_nothing() {
    let mut written = FramedWrite::new(Vec::new(), CrlfLines::new(10));
    for bad in ["a\r\nRCPT TO:<b>", "a\nb", "a\r", "\n"] {
        let error = written.send(bad).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    for good in ["", "250 longer than a line that comes in"] {
        written.send(good).await.expect("it is good");
    }
    let text = "\r\n250 longer than a line that comes in\r\n";
    assert_eq!(written.get_ref(), text.as_bytes());
    let mut bytes = BytesMut::new();
    CrlfLines::new(1)
        .encode(b"x", &mut bytes)
        .expect("it is good");
    assert_eq!(bytes, "x\r\n");
}

/// The first trap: of one message, `LinesCodec` makes two.
#[tokio::test]
async fn lines_codec_ends_a_line_at_a_bare_lf() {
    let bytes = &b"one\n.\nMAIL FROM:<forged>\r\n"[..];
    let lines = FramedRead::new(bytes, LinesCodec::new());
    let lines: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect().await;
    assert_eq!(lines, ["one", ".", "MAIL FROM:<forged>"]);
    let lines = FramedRead::new(bytes, CrlfLines::new(100));
    let lines: Vec<_> = lines.map(|line| line.expect("an end")).collect().await;
    assert_eq!(lines, [Err(BadLine::BareNewline)]);
}

/// The second trap: the line after the long one is there, but behind a `None`.
#[tokio::test]
async fn framed_read_returns_none_after_an_error_and_not_after_a_bad_line() {
    let bytes = &b"longer than five\r\nQUIT\r\n"[..];
    let mut lines = FramedRead::new(bytes, LinesCodec::new_with_max_length(5));
    lines.next().await.expect("an item").expect_err("too long");
    assert!(lines.next().await.is_none());
    let line = lines.next().await.expect("an item");
    assert_eq!(line.expect("short"), "QUIT");
    let mut lines = FramedRead::new(bytes, CrlfLines::new(5));
    let bad = lines.next().await.expect("an item").expect("no error");
    assert_eq!(bad, Err(BadLine::TooLong));
    let line = lines.next().await.expect("an item").expect("no error");
    assert_eq!(line.expect("short"), "QUIT");
}
