//! Servers and clients of others, as real programs: nginx, lighttpd, aiohttp,
//! curl, httpx. A program that is not installed is left out and named; `REQUIRE_PEERS=1`
//! makes that an error.

use std::cell::Cell;
use std::env;
use std::fs;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Request;
use axum::routing::post;
use reqwest::Client;
use tempfile::{TempDir, tempdir};
use tokio::net::{TcpListener, UnixStream};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::support::soon;
use crate::multipart_form::{self, FormError, receive};
use crate::resume_download::Part;
use crate::upload_server::{Limits, UploadStore};

/// Enough that it comes in many pieces.
const SIZE: usize = 8_000_000;

/// Whether this runs, with these arguments. If not, says so, or fails.
fn is_there(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let is_there = command.status().is_ok_and(|status| status.success());
    let is_required = env::var_os("REQUIRE_PEERS").is_some();
    assert!(
        is_there || !is_required,
        "{program} {arguments:?} does not run"
    );
    if !is_there {
        std::println!("left out: {program} {arguments:?} does not run");
    }
    is_there
}

fn python() -> String {
    env::var("PYTHON").unwrap_or_else(|_| "python3".into())
}

/// A server of the files in `files`, which listens at `socket`.
struct Server {
    child: Child,
    folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start(program: &str, arguments: impl Fn(&Path) -> Vec<String>) -> Self {
        let folder = tempdir().expect("there is room");
        fs::create_dir(folder.path().join("files")).expect("there is room");
        let child = Command::new(program)
            .args(arguments(folder.path()))
            .current_dir(folder.path())
            .spawn();
        let child = child.expect("it starts");
        let server = Self { child, folder };
        let socket = server.folder.path().join("socket");
        let listens = async {
            while UnixStream::connect(&socket).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        soon(listens).await;
        server
    }

    /// Writes a file for the server. Its time tells it from the one before.
    fn write(&self, byte: u8, hours: u32) -> Vec<u8> {
        let path = self.folder.path().join("files/file");
        let bytes = vec![byte; SIZE];
        // As a deployment does it: the old file stays as it is for those who read it.
        let new = path.with_extension("new");
        fs::write(&new, &bytes).expect("there is room");
        let modified = SystemTime::now() - hours * Duration::from_secs(3_600);
        let file = fs::File::options().write(true).open(&new);
        file.and_then(|file| file.set_modified(modified))
            .expect("it is ours");
        fs::rename(new, path).expect("it is ours");
        bytes
    }

    fn client(&self) -> Client {
        let client = Client::builder().no_proxy();
        let client = client.unix_socket(self.folder.path().join("socket"));
        client.build().expect("a client")
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    /// Begins a download, and leaves when the first bytes are there. Returns their number.
    async fn begin(&self, path: &str) -> u64 {
        let mut part = Part::open(self.target()).await.expect("it is free");
        let come = Cell::new(0);
        let request = self.client().get(format!("http://localhost/{path}"));
        let mut fetch = pin!(part.fetch(request, 1 << 30, |bytes, _| come.set(bytes)));
        let some = poll_fn(|context| {
            let ended = fetch.as_mut().poll(context);
            assert!(ended.is_pending(), "it has ended: {ended:?}");
            match come.get() {
                0 => Poll::Pending,
                bytes => Poll::Ready(bytes),
            }
        });
        soon(some).await
    }

    /// Downloads the rest, in as many attempts as it takes. Returns what each said, and where
    /// the last one began.
    async fn finish(&self, path: &str, expected: &[u8]) -> (Vec<String>, u64) {
        let mut said = Vec::new();
        loop {
            let mut part = Part::open(self.target()).await.expect("it is free");
            let before = fs::metadata(self.target().with_extension("part"));
            let before = before.expect("it is open").len();
            let first = Cell::new(0);
            let request = self.client().get(format!("http://localhost/{path}"));
            let progress = |bytes, _| {
                if first.get() == 0 {
                    first.set(bytes);
                }
            };
            match soon(part.fetch(request, 1 << 30, progress)).await {
                Ok(()) => {
                    said.push("ok".to_owned());
                    part.publish().await.expect("there is room");
                    assert!(fs::read(self.target()).expect("it is there") == expected);
                    fs::remove_file(self.target()).expect("it is there");
                    let resumed = if first.get() > before { before } else { 0 };
                    return (said, resumed);
                }
                Err(error) => said.push(error.to_string()),
            }
            assert!(said.len() < 3, "{said:?}");
        }
    }

    /// The same file, another one, all of it there already.
    async fn resume(&self, name: &str) {
        let old = self.write(b'o', 2);
        let come = self.begin("file").await;
        let (said, resumed) = self.finish("file", &old).await;
        std::println!("{name}: resumed at {resumed} of {SIZE}: {said:?}");
        assert!(resumed >= come, "{resumed} {come}");

        self.begin("file").await;
        let new = self.write(b'n', 1);
        let (said, _) = self.finish("file", &new).await;
        std::println!("{name}: changed between two attempts: {said:?}");

        let mut part = Part::open(self.target()).await.expect("it is free");
        let request = self.client().get("http://localhost/file");
        let whole = part.fetch(request, 1 << 30, |_, _| ()).await;
        whole.expect("it comes at once");
        drop(part);
        let (said, _) = self.finish("file", &new).await;
        std::println!("{name}: all was there: {said:?}");
    }
}

#[tokio::test]
async fn nginx_sends_the_rest_of_a_file() {
    if !is_there("nginx", &["-v"]) {
        return;
    }
    let arguments = |folder: &Path| {
        let config = "daemon off; master_process off; error_log stderr crit; pid pid;
            events {} http { access_log off; client_body_temp_path t; proxy_temp_path t;
            fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
            server { listen unix:socket; root files;
            location /whole/ { alias files/; max_ranges 0; } } }";
        let here = folder.display().to_string();
        let config = config
            .replace("unix:socket", &format!("unix:{here}/socket"))
            .replace(" t;", &format!(" {here}/t;"))
            .replace("pid pid", &format!("pid {here}/pid"))
            .replace("files", &format!("{here}/files"));
        fs::write(folder.join("nginx.conf"), config).expect("there is room");
        ["-p", &here, "-c", &format!("{here}/nginx.conf")]
            .map(str::to_owned)
            .to_vec()
    };
    let server = Server::start("nginx", arguments).await;
    server.resume("nginx").await;

    // A server that knows no ranges sends all of it again.
    let all = server.write(b'a', 3);
    server.begin("whole/file").await;
    let (said, resumed) = server.finish("whole/file", &all).await;
    std::println!("nginx without ranges: {said:?}");
    assert_eq!((said, resumed), (vec!["ok".to_owned()], 0));
}

#[tokio::test]
async fn lighttpd_sends_the_rest_of_a_file() {
    if !is_there("lighttpd", &["-v"]) {
        return;
    }
    let arguments = |folder: &Path| {
        let config = r#"server.document-root = "HERE/files"
            server.bind = "HERE/socket"
            server.errorlog = "HERE/log"
            # Else it sends the new file with the old ETag, for a second or two.
            server.stat-cache-engine = "disable"
            mimetype.assign = ("" => "application/octet-stream")"#;
        let config = config.replace("HERE", &folder.display().to_string());
        let path = folder.join("lighttpd.conf");
        fs::write(&path, config).expect("there is room");
        ["-D", "-f", &path.display().to_string()]
            .map(str::to_owned)
            .to_vec()
    };
    let server = Server::start("lighttpd", arguments).await;
    server.resume("lighttpd").await;
}

#[tokio::test]
async fn aiohttp_sends_the_rest_of_a_file() {
    if !is_there(&python(), &["-c", "import aiohttp"]) {
        return;
    }
    let script = "from aiohttp import web; app = web.Application(); \
        app.router.add_static('/', 'files'); web.run_app(app, path='socket', print=None)";
    let arguments = |_: &Path| ["-c", script].map(str::to_owned).to_vec();
    let server = Server::start(&python(), arguments).await;
    server.resume("aiohttp").await;
}

/// Runs a client to its end, and returns what it prints.
async fn client(program: &str, arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    let output = spawn_blocking(move || command.output());
    let output = soon(output).await.expect("no panic").expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    std::println!("{program}: {text}");
    text
}

async fn serve(routes: Router) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = axum::serve(listener, routes).into_future();
    let task = tokio::spawn(async { serving.await.expect("it serves") });
    (url, AbortOnDropHandle::new(task))
}

#[tokio::test]
async fn curl_and_httpx_store_whole_files_and_no_parts() {
    let folder = tempdir().expect("there is room");
    let stored = tempdir().expect("there is room");
    fs::write(folder.path().join("file"), "0123456789").expect("there is room");
    let limits = Limits {
        max_bytes: 1_000,
        max_uploads: 10,
        stall: Duration::from_secs(60),
        max_time: Duration::from_secs(60),
    };
    let store = UploadStore::open(stored.path().to_owned(), limits).await;
    let (url, _server) = serve(store.expect("it is a folder").router()).await;
    let read = |name: &str| fs::read_to_string(stored.path().join(name)).ok();
    let folder = folder.path();
    if is_there("curl", &["--version"]) {
        let curl = async |arguments: &[&str]| {
            let common = ["--silent", "--noproxy", "*", "--write-out", " %{http_code}"];
            client("curl", &[&common, arguments].concat(), folder).await
        };
        let url = format!("{url}/by-curl");
        assert_eq!(curl(&["-T", "file", &url]).await, "10 bytes stored 201");
        // Of the file, this sends the bytes from the sixth on.
        let refused = curl(&["-C", "5", "-T", "file", &url]).await;
        assert!(refused.ends_with(" 400"), "{refused}");
        assert_eq!(read("by-curl").as_deref(), Some("0123456789"));
    }
    if is_there(&python(), &["-c", "import httpx"]) {
        let script = "import httpx, sys
client = httpx.Client(trust_env=False)
for name, content in ('by-httpx', b'0123456789'), ('in-pieces', iter([b'01234', b'56789'])):
    print(client.put(f'{sys.argv[1]}/{name}', content=content).text)
print(client.put(f'{sys.argv[1]}/large', content=iter([b'x' * 600] * 2)).status_code)";
        let said = client(&python(), &["-c", script, &url], folder).await;
        assert_eq!(said, "10 bytes stored\n10 bytes stored\n413\n");
        for name in ["by-httpx", "in-pieces"] {
            assert_eq!(read(name).as_deref(), Some("0123456789"));
        }
        assert_eq!(read("large"), None);
    }
}

/// Answers with the fields, the files' names and their sizes.
async fn describe(request: Request) -> Result<String, FormError> {
    let limits = multipart_form::Limits {
        form: 100_000,
        field: 1_000,
        parts: 10,
        stall: Duration::from_secs(60),
        time: Duration::from_secs(60),
    };
    let folder = tempdir()?;
    let form = receive(request, folder.path(), limits).await?;
    let fields = form
        .fields
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let file = |file: &multipart_form::FormFile| {
        format!("{}:{}:{}", file.field, file.client_name, file.bytes)
    };
    Ok(fields
        .chain(form.files.iter().map(file))
        .collect::<Vec<_>>()
        .join("|"))
}

#[tokio::test]
async fn curl_and_httpx_send_forms_with_their_names() {
    let folder = tempdir().expect("there is room");
    fs::write(folder.path().join("file"), "0123456789").expect("there is room");
    let (url, _server) = serve(Router::new().route("/", post(describe))).await;
    let expected = "title=ä & b|f:näme.txt:10|f:two words.txt:10|f:a%22b.txt:10";
    let folder = folder.path();
    if is_there("curl", &["--version"]) {
        let mut arguments = vec!["--silent", "--noproxy", "*", "-F", "title=ä & b"];
        for form in [
            "f=@file;filename=näme.txt",
            "f=@file;filename=two words.txt",
            "f=@file;filename=a%22b.txt",
        ] {
            arguments.extend(["-F", form]);
        }
        arguments.push(&url);
        assert_eq!(client("curl", &arguments, folder).await, expected);
    }
    if is_there(&python(), &["-c", "import httpx"]) {
        let script = "import httpx, sys
names = 'näme.txt', 'two words.txt', 'a\"b.txt'
files = [('f', (name, b'0123456789', 'text/plain')) for name in names]
client = httpx.Client(trust_env=False)
print(client.post(sys.argv[1], data={'title': 'ä & b'}, files=files).text, end='')";
        let said = client(&python(), &["-c", script, &url], folder).await;
        assert_eq!(said, expected);
    }
}
