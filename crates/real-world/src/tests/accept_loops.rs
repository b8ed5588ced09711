//! The one policy of all accept loops, as far as their text shows it.

use std::fs;
use std::io;
use std::path::Path;

/// From the text of a file, the function `accept`, without its indentation.
fn accept_of(source: &str) -> Option<&str> {
    let (_, rest) = source.split_once("async fn accept(listener: &TcpListener)")?;
    rest.split_once("\n}\n").map(|(body, _)| body)
}

#[test]
fn all_examples_accept_with_the_same_words() -> io::Result<()> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let model = fs::read_to_string(src.join("tcp_echo_server.rs"))?;
    let model = accept_of(&model).expect("it has one");
    let mut seen = 0;
    for entry in fs::read_dir(&src)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let (name, source) = (path.display(), fs::read_to_string(&path)?);
        let Some(accept) = accept_of(&source) else {
            continue;
        };
        seen += 1;
        assert_eq!(accept, model, "{name}");
        // Nowhere else, so no error of `accept` can end a server.
        let code = source.lines().filter(|line| !line.starts_with("//!"));
        let calls = code.filter(|line| line.contains("listener.accept()"));
        let calls = calls.count();
        assert_eq!(calls, 1, "{name}");
        let limited = ["acquire_owned()", "< limits.connections"];
        let limited = limited.iter().any(|permit| source.contains(permit));
        assert!(limited, "{name}");
    }
    assert_eq!(seen, 7, "servers that accept");
    Ok(())
}

/// One that serves must not end with an error of `accept`: what accepts once may.
#[test]
fn no_loop_ends_with_an_error_of_accept() -> io::Result<()> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(&src)? {
        let path = entry?.path();
        if path.is_dir() {
            continue;
        }
        let source = fs::read_to_string(&path)?;
        for function in source
            .split("\nasync fn ")
            .flat_map(|f| f.split("\npub async fn "))
        {
            let body = function.split("\n}\n").next().unwrap_or_default();
            let loops = body.contains("loop {") || body.contains("for number in 1");
            let ends = body.contains("accept().await?");
            assert!(!(loops && ends), "{}: {body}", path.display());
        }
    }
    Ok(())
}
