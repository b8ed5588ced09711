//! Parsers and schedules before inputs that proptest makes up. `PROPTEST_CASES` says how many.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};
use tokio_util::sync::CancellationToken;

use crate::crlf_lines::CrlfLines;
use crate::cron::{next_daily, run_on_schedule};
use crate::line_protocol::LineDecoder;
use crate::multipart_form::{Limits, MAX_NAME, receive};
use crate::robots_txt::Robots;
use crate::streaming_responses::{
    Event, MAX_ITEM, events, json_lines, read_events, read_json_lines,
};

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build();
    runtime.expect("a runtime")
}

/// Texts made of these words. Most of what a parser knows comes.
fn text(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..3),
    ];
    vec(word, 0..40).prop_map(|words| words.concat())
}

/// Sizes of pieces.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(1..9_usize, 1..9)
}

/// Cuts the bytes into pieces of these sizes, again and again.
fn cut(mut bytes: &[u8], sizes: &[usize]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    for &size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        bytes = rest;
    }
    pieces
}

/// The items of a decoder, as text, up to its first error; and the most bytes that it has
/// left in the buffer.
fn decode<D: Decoder<Item: std::fmt::Debug, Error: std::fmt::Display>>(
    mut codec: D,
    pieces: &[Bytes],
) -> (Vec<String>, usize) {
    let (mut buffer, mut items, mut most) = (BytesMut::new(), Vec::new(), 0);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(item)) => items.push(format!("{item:?}")),
                Ok(None) => break,
                Err(error) => {
                    items.push(error.to_string());
                    return (items, most);
                }
            }
        }
        most = most.max(buffer.len());
    }
    loop {
        match codec.decode_eof(&mut buffer) {
            Ok(Some(item)) => items.push(format!("{item:?}")),
            Ok(None) => return (items, most),
            Err(error) => {
                items.push(error.to_string());
                return (items, most);
            }
        }
    }
}

const LINES: &[&str] = &["\r\n", "\r", "\n", "a", "GET ", "bcdefgh", "."];

proptest! {
    #[test]
    fn lines_are_the_same_however_they_are_cut(
        text in text(LINES), sizes in sizes(), longest in 0..12_usize,
    ) {
        let (whole, pieces) = (cut(&text, &[usize::MAX]), cut(&text, &sizes));
        let (items, most) = decode(CrlfLines::new(longest), &pieces);
        prop_assert_eq!(&items, &decode(CrlfLines::new(longest), &whole).0);
        prop_assert!(most <= longest + 1);
        let (items, most) = decode(LineDecoder::new(longest), &pieces);
        prop_assert_eq!(&items, &decode(LineDecoder::new(longest), &whole).0);
        prop_assert!(most <= longest);
    }

    #[test]
    fn a_line_that_is_written_is_the_line_that_is_read(
        texts in vec(text(LINES), 0..5), sizes in sizes(),
    ) {
        let (mut codec, mut bytes) = (CrlfLines::new(1_000), BytesMut::new());
        let mut written = Vec::new();
        for line in texts {
            let is_good = !line.iter().any(|byte| b"\r\n".contains(byte));
            prop_assert_eq!(codec.encode(&line, &mut bytes).is_ok(), is_good);
            if is_good {
                written.push(format!("{:?}", Ok::<_, ()>(Bytes::from(line))));
            }
        }
        prop_assert_eq!(decode(codec, &cut(&bytes, &sizes)).0, written);
    }
}

/// What a handler says of a form: its fields, its files, or the error.
async fn form(pieces: Vec<Bytes>, limits: Limits) -> Result<Vec<[String; 3]>, String> {
    let folder = tempfile::tempdir().expect("there is room");
    let body = Body::from_stream(stream::iter(pieces).map(Ok::<_, Infallible>));
    let request = Request::builder()
        .header("content-type", "multipart/form-data; boundary=limit")
        .body(body);
    let received = receive(request.expect("it is valid"), folder.path(), limits).await;
    let left = || {
        std::fs::read_dir(folder.path())
            .expect("it is there")
            .count()
    };
    let form = match received {
        Ok(form) => form,
        Err(error) => {
            assert_eq!(left(), 0);
            return Err(error.to_string());
        }
    };
    let mut parts: Vec<_> = form
        .fields
        .into_iter()
        .map(|(name, value)| [name, String::new(), value])
        .collect();
    for (number, file) in form.files.into_iter().enumerate() {
        let names = [file.field.clone(), file.client_name.clone()];
        let path = folder.path().join(number.to_string());
        file.store(path.clone()).await.expect("there is room");
        let [field, name] = names;
        let bytes = std::fs::read(path).expect("it is there");
        parts.push([field, name, String::from_utf8_lossy(&bytes).into_owned()]);
    }
    Ok(parts)
}

const FORM: Limits = Limits {
    form: 4_000,
    field: 100,
    parts: 4,
    stall: Duration::from_secs(60),
    time: Duration::from_secs(60),
};

const PARTS: &[&str] = &[
    "--limit\r\n",
    "\r\n--limit\r\n",
    "\r\n--limit--\r\n",
    "--limit",
    "--",
    "\r\n",
    "\r",
    "\n",
    "\r\n\r\n",
    "content-disposition: form-data; name=\"a\"",
    "; filename=\"b\"",
    "; name=",
    "filename*=UTF-8''%41",
    "content-type: text/plain",
    "\"",
    "\\",
    ";",
    " ",
    "text",
    "%22",
];

/// Names as a browser sends them: of the texts, it encodes quotes and line ends alone.
fn name() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("filename="),
        Just("; filename=x"),
        Just("; name=x"),
        Just("\\"),
        Just("ä"),
        Just("\""),
        Just("\r\n"),
        Just("a"),
        Just(" "),
        Just("%22"),
        Just("'"),
        Just("../"),
    ];
    vec(word, 0..6).prop_map(|words| words.concat())
}

fn as_browsers_write(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

proptest! {
    #[test]
    fn a_form_is_the_same_however_it_is_cut(text in text(PARTS), sizes in sizes()) {
        let (whole, pieces) = (cut(&text, &[usize::MAX]), cut(&text, &sizes));
        runtime().block_on(async {
            // Of a form with several faults, which one is found first depends on the pieces.
            let expected = form(whole, FORM).await.ok();
            prop_assert_eq!(&form(pieces, FORM).await.ok(), &expected);
            let parts = expected.unwrap_or_default();
            prop_assert!(parts.len() <= FORM.parts);
            for [field, name, _] in &parts {
                prop_assert!(field.len().max(name.len()) <= MAX_NAME);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_names_of_a_form_arrive_as_a_browser_sends_them(
        parts in vec((name(), prop::option::of(name()), "[a-z\r\n-]{0,9}"), 1..4),
        sizes in sizes(),
    ) {
        let (mut text, mut fields, mut files) = (String::new(), Vec::new(), Vec::new());
        for (name, file, value) in &parts {
            let name = as_browsers_write(name);
            text += &format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"");
            if let Some(file) = file {
                let file = as_browsers_write(file);
                text += &format!("; filename=\"{file}\"\r\nContent-Type: text/plain");
                files.push([name, file, value.clone()]);
            } else {
                fields.push([name, String::new(), value.clone()]);
            }
            text += &format!("\r\n\r\n{value}\r\n");
        }
        text += "--limit--\r\n";
        let received = runtime().block_on(form(cut(text.as_bytes(), &sizes), FORM));
        fields.extend(files);
        prop_assert_eq!(received, Ok(fields));
    }
}

/// Whether the pattern of a robots.txt matches the path, in the simplest words.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern, path) {
        ([], _) => true,
        (b"$", _) => path.is_empty(),
        ([b'*', rest @ ..], _) => (0..=path.len()).any(|at| matches(rest, &path[at..])),
        ([first, rest @ ..], [byte, path @ ..]) => first == byte && matches(rest, path),
        (_, []) => false,
    }
}

const ROBOTS: &[&str] = &[
    "User-agent: ",
    "Disallow: ",
    "Allow: ",
    "me",
    "*",
    "you/1.0",
    "\r",
    "\n",
    "\r\n",
    "/",
    "/a",
    "$",
    "%41",
    "%",
    "#",
    ":",
    " ",
    "\u{feff}",
    "Crawl-delay: 3",
    "ä",
    "?q=",
    "http://a/",
];

proptest! {
    #[test]
    fn any_rules_for_any_path(text in text(ROBOTS), path in text(ROBOTS), agent in ".{0,9}") {
        let text = String::from_utf8_lossy(&text);
        let mut url = reqwest::Url::parse("http://a.example").expect("a URL");
        url.set_path(&String::from_utf8_lossy(&path));
        runtime().block_on(async {
            let allows = Robots::parse(&text, &agent).allow(&url).await;
            // What is added says nothing.
            for more in [format!("{text}\n# more"), format!("\u{feff}{text}"), format!("\n{text}\r\n\r\n")] {
                prop_assert_eq!(Robots::parse(&more, &agent).allow(&url).await, allows, "{}", more);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_longest_rule_that_matches_decides(
        rules in vec((any::<bool>(), "/[ab*]{0,6}[$]?"), 0..6), path in "/[ab]{0,8}",
    ) {
        let mut text = String::from("User-agent: *\n");
        for (allow, pattern) in &rules {
            text += &format!("{}: {pattern}\n", if *allow { "Allow" } else { "Disallow" });
        }
        let matching = rules.iter().filter(|rule| matches(rule.1.as_bytes(), path.as_bytes()));
        let longest = matching.max_by_key(|(allow, pattern)| (pattern.len(), *allow));
        let expected = longest.is_none_or(|(allow, _)| *allow);
        let url = reqwest::Url::parse(&format!("http://a.example{path}")).expect("a URL");
        let allows = runtime().block_on(Robots::parse(&text, "me").allow(&url));
        prop_assert_eq!(allows, expected, "{}", text);
    }
}

fn response(pieces: Vec<Bytes>) -> reqwest::Response {
    let pieces = stream::iter(pieces).map(Ok::<_, Infallible>);
    axum::http::Response::new(reqwest::Body::wrap_stream(pieces)).into()
}

async fn parsed(pieces: Vec<Bytes>) -> Vec<Event> {
    let events = read_events(response(pieces)).try_collect();
    events.await.expect("none is large")
}

/// The events of a text, as the standard says it of a whole one.
fn expected(text: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(text);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<_> = text.split('\n').collect();
    // What has no line end.
    lines.pop();
    let (mut events, mut next, mut data) = (Vec::new(), Event::default(), Vec::new());
    for line in lines {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            _ if line.is_empty() => {
                next.data = data.join("\n");
                if !data.is_empty() {
                    events.push(next.clone());
                }
                (next.event, data) = (String::new(), Vec::new());
            }
            "event" => next.event = value,
            "data" => data.push(value),
            "id" if !value.contains('\0') => next.id = value,
            _ => {}
        }
    }
    events
}

const EVENTS: &[&str] = &[
    "data", "data:", "data: ", "event: ", "id: ", "id:", "retry: 5", ":", "\n", "\r",
    "\r\n", "\n\n", "\u{feff}", "\0", " ", "a", "ä",
];

proptest! {
    #[test]
    fn events_are_those_of_the_standard_however_they_are_cut(
        text in text(EVENTS), sizes in sizes(),
    ) {
        let events = runtime().block_on(parsed(cut(&text, &sizes)));
        prop_assert_eq!(events, expected(&text));
    }

    #[test]
    fn what_is_sent_as_events_and_lines_is_what_is_read(
        items in vec(".{0,20}", 0..9), sizes in sizes(),
    ) {
        let sent = || stream::iter(items.clone()).map(Ok::<_, Infallible>);
        let read = |sent: axum::response::Response| async {
            let body = axum::body::to_bytes(sent.into_body(), usize::MAX).await;
            response(cut(&body.expect("it is whole"), &sizes))
        };
        runtime().block_on(async {
            let parts: Vec<_> = read_events(read(events(sent())).await).try_collect().await.expect("events");
            let parts: Result<Vec<String>, _> = parts.iter().map(|it| serde_json::from_str(&it.data)).collect();
            prop_assert_eq!(&parts.expect("JSON"), &items);
            let lines = json_lines(sent());
            let parts: Vec<String> = read_json_lines(read(lines).await).try_collect().await.expect("lines");
            prop_assert_eq!(&parts, &items);
            Ok(())
        })?;
    }

    #[test]
    fn no_line_and_no_event_is_larger_than_the_bound(
        lengths in vec((any::<bool>(), 0..2 * MAX_ITEM), 0..6),
    ) {
        let mut text = String::new();
        for (is_data, length) in lengths {
            text += if is_data { "data:" } else { "\n:" };
            text += &"x".repeat(length);
            text += "\n";
        }
        text += "\n";
        let mut events = Box::pin(read_events(response(cut(text.as_bytes(), &[9_999]))));
        runtime().block_on(async {
            while let Some(Ok(event)) = events.next().await {
                prop_assert!(event.data.len() < MAX_ITEM);
            }
            Ok(())
        })?;
    }
}

/// Moments from 1960 to 2060 in zones that change their clocks in all ways.
fn moments() -> impl Strategy<Value = Zoned> {
    const ZONES: &[&str] = &[
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Pacific/Kwajalein",
        "Africa/Casablanca",
        "Antarctica/Troll",
        "America/St_Johns",
        "Asia/Kolkata",
        "UTC",
    ];
    let seconds = -315_000_000..2_840_000_000_i64;
    (prop::sample::select(ZONES), seconds, 0..100_i64).prop_map(|(zone, second, next)| {
        let zone = TimeZone::get(zone).expect("a zone");
        let moment = Timestamp::from_second(second)
            .expect("in range")
            .to_zoned(zone);
        // Every fourth one is near a change of the clocks.
        let change = moment.time_zone().following(moment.timestamp()).next();
        match change.filter(|_| next < 25) {
            Some(change) => {
                let minutes = SignedDuration::from_mins(next * 10 - 120);
                (change.timestamp() + minutes).to_zoned(moment.time_zone().clone())
            }
            None => moment,
        }
    })
}

fn times() -> impl Strategy<Value = Time> {
    (0..24_i8, 0..60_i8).prop_map(|(hour, minute)| jiff::civil::time(hour, minute, 0, 0))
}

/// Runs a schedule for some days, while somebody sets the clock. Returns what went wrong.
async fn check_runs(
    start: Zoned,
    time: Time,
    sets: Vec<(u64, i64)>,
) -> Result<(), String> {
    let (clock, runs) = (
        Mutex::new((start.clone(), Instant::now())),
        Mutex::new(Vec::new()),
    );
    let now = || {
        let clock = clock.lock().expect("nobody panics");
        &clock.0 + clock.1.elapsed()
    };
    let stop = CancellationToken::new();
    let job = |due: Zoned| {
        runs.lock().expect("nobody panics").push((due, now()));
        std::future::ready(())
    };
    let setting = async {
        for (after, by) in sets {
            tokio::time::sleep(Duration::from_secs(after)).await;
            let shows = now() + SignedDuration::from_secs(by);
            *clock.lock().expect("nobody panics") = (shows, Instant::now());
        }
        // The clock is read once a minute.
        tokio::time::sleep(Duration::from_secs(61)).await;
        stop.cancel();
    };
    let schedule = run_on_schedule(now, |after| next_daily(after, time), &stop, job);
    let (ended, ()) = tokio::join!(schedule, setting);
    ended.map_err(|error| error.to_string())?;
    let runs = runs.into_inner().expect("nobody panics");
    let mut due = next_daily(&start, time).expect("before the year 10000");
    for (run, began) in runs {
        if run < due || began < run {
            return Err(format!("{run} began at {began}, and {due} is the next"));
        }
        due = next_daily(&run, time).expect("before the year 10000");
    }
    if due < now() {
        return Err(format!("{due} was left out"));
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_next_run_is_later_and_the_same_from_each_moment_before_it(
        after in moments(), time in times(), part in 0..100_i32,
    ) {
        let next = next_daily(&after, time).expect("before the year 10000");
        prop_assert!(next > after);
        let left = next.duration_since(&after);
        // A day of 25 hours; and once, Samoa left out a whole one.
        prop_assert!(left <= SignedDuration::from_hours(50), "{}", left);
        let between = &after + left * part / 100;
        prop_assert_eq!(&next_daily(&between, time).expect("the same"), &next);
        if next.time() != time {
            // The clocks skip that time, and show a later one.
            let before = next.time_zone().to_ambiguous_zoned(next.date().to_datetime(time));
            prop_assert!(before.is_ambiguous() && next.time() > time || next.date() > after.date());
        }
    }

    #[test]
    fn no_run_is_early_and_none_comes_twice_however_the_clock_is_set(
        start in moments(), time in times(),
        sets in vec((1..50_000_u64, -1_000..5_000_i64), 1..7),
    ) {
        runtime().block_on(check_runs(start, time, sets)).map_err(
            proptest::test_runner::TestCaseError::fail,
        )?;
    }
}
