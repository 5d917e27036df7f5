//! The file server, asked over a real socket.

use std::convert::Infallible;
use std::fs;

use ferro_artifact::server::FileServer;
use ferro_artifact::storage::{ArtifactPath, Storage, StorageOptions};
use ferro_http::{Client, ClientOptions, ProxyOptions, Request, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

struct Fixture {
    directory: tempfile::TempDir,
    address: std::net::SocketAddr,
    client: Client,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Fixture {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(StorageOptions::new(directory.path(), "x")).unwrap();
        let path = ArtifactPath::new("gitrepository", "default", "app", "a.tar.gz").unwrap();
        let write = |out: &mut dyn std::io::Write| {
            out.write_all(b"0123456789").unwrap();
            Ok::<_, Infallible>(())
        };
        storage.publish_blocking(&path, write).unwrap();
        storage.link_blocking(&path, "latest.tar.gz").unwrap();
        drop(storage.lock_blocking(&path).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let server = FileServer::new(directory.path()).unwrap();
        let task = tokio::spawn(server.serve(listener, stop.clone()));
        let options = ClientOptions {
            proxy: ProxyOptions::Direct,
            ..ClientOptions::default()
        };
        let client = Client::new(&options).unwrap();
        Self {
            directory,
            address,
            client,
            stop,
            task,
        }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = Request::new(method, &format!("http://{}{path}", self.address)).unwrap();
        for (name, value) in headers {
            request = request.header(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        self.client.send(&request).await.unwrap()
    }

    /// Sends a request as written, for what no client would send.
    async fn send_raw(&self, target: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

const FILE: &str = "/gitrepository/default/app/a.tar.gz";

fn value<'a>(response: &'a Response, name: &HeaderName) -> &'a str {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
        .unwrap_or_default()
}

#[tokio::test]
async fn get_and_head_answer_with_all_headers() {
    let fixture = Fixture::start().await;
    for method in [Method::GET, Method::HEAD] {
        let response = fixture.send(method.clone(), FILE, &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(value(&response, &header::CONTENT_LENGTH), "10");
        assert_eq!(value(&response, &header::CONTENT_TYPE), "application/gzip");
        assert_eq!(value(&response, &header::ACCEPT_RANGES), "bytes");
        assert!(value(&response, &header::ETAG).starts_with('"'));
        assert!(value(&response, &header::LAST_MODIFIED).ends_with("GMT"));
        let expected: &[u8] = if method == Method::GET { b"0123456789" } else { b"" };
        assert_eq!(&response.bytes(100).await.unwrap()[..], expected);
    }
    let latest = fixture
        .send(Method::GET, "/gitrepository/default/app/latest.tar.gz", &[])
        .await;
    assert_eq!(&latest.bytes(100).await.unwrap()[..], b"0123456789");
    let probe = fixture.send(Method::GET, "/", &[]).await;
    assert_eq!(
        (probe.status(), probe.content_length()),
        (StatusCode::OK, Some(0))
    );
    let post = fixture.send(Method::POST, FILE, &[]).await;
    assert_eq!(
        (post.status(), value(&post, &header::ALLOW)),
        (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD")
    );
}

#[tokio::test]
async fn get_part_of_a_file() {
    let fixture = Fixture::start().await;
    let part = fixture
        .send(Method::GET, FILE, &[(header::RANGE, "bytes=2-4")])
        .await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(value(&part, &header::CONTENT_RANGE), "bytes 2-4/10");
    let etag = value(&part, &header::ETAG).to_owned();
    assert_eq!(&part.bytes(100).await.unwrap()[..], b"234");
    let none = fixture
        .send(Method::GET, FILE, &[(header::RANGE, "bytes=10-")])
        .await;
    assert_eq!(none.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(value(&none, &header::CONTENT_RANGE), "bytes */10");
    let same = [(header::RANGE, "bytes=-2"), (header::IF_RANGE, etag.as_str())];
    assert_eq!(
        &fixture
            .send(Method::GET, FILE, &same)
            .await
            .bytes(100)
            .await
            .unwrap()[..],
        b"89"
    );
    let other = [(header::RANGE, "bytes=-2"), (header::IF_RANGE, "\"other\"")];
    assert_eq!(
        fixture.send(Method::GET, FILE, &other).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn get_known_version_is_not_sent_again() {
    let fixture = Fixture::start().await;
    let first = fixture.send(Method::GET, FILE, &[]).await;
    let etag = value(&first, &header::ETAG).to_owned();
    let modified = value(&first, &header::LAST_MODIFIED).to_owned();
    let weak = format!("\"x\", W/{etag}");
    let early = "Thu, 01 Jan 1970 00:00:00 GMT";
    let cases = [
        (header::IF_NONE_MATCH, etag.as_str(), StatusCode::NOT_MODIFIED),
        (header::IF_NONE_MATCH, weak.as_str(), StatusCode::NOT_MODIFIED),
        (header::IF_NONE_MATCH, "\"x\"", StatusCode::OK),
        (
            header::IF_MODIFIED_SINCE,
            modified.as_str(),
            StatusCode::NOT_MODIFIED,
        ),
        (header::IF_MODIFIED_SINCE, early, StatusCode::OK),
        (header::IF_MATCH, "\"x\"", StatusCode::PRECONDITION_FAILED),
        (
            header::IF_UNMODIFIED_SINCE,
            early,
            StatusCode::PRECONDITION_FAILED,
        ),
    ];
    for (name, text, expected) in cases {
        let response = fixture.send(Method::GET, FILE, &[(name.clone(), text)]).await;
        assert_eq!(response.status(), expected, "{name}: {text}");
    }
    // A replaced file has another tag.
    let path = fixture
        .directory
        .path()
        .join("gitrepository/default/app/a.tar.gz");
    fs::write(path.with_extension("new"), "0123456789").unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    let changed = fixture
        .send(Method::GET, FILE, &[(header::IF_NONE_MATCH, &etag)])
        .await;
    assert_eq!(changed.status(), StatusCode::OK);
}

#[tokio::test]
async fn get_anything_else_is_not_found() {
    let fixture = Fixture::start().await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "s").unwrap();
    let object = fixture.directory.path().join("gitrepository/default/app");
    std::os::unix::fs::symlink(outside.path().join("secret"), object.join("escape")).unwrap();
    std::os::unix::fs::symlink(outside.path(), object.join("escape-dir")).unwrap();
    std::os::unix::fs::symlink("loop", object.join("loop")).unwrap();
    fs::write(object.join(".tmp-abc"), "half").unwrap();
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    let base = "/gitrepository/default/app";
    let targets = [
        "/gitrepository".to_owned(),
        "/gitrepository/default/app/".to_owned(),
        base.to_owned(),
        format!("{base}/gone.tar.gz"),
        format!("{base}/a.tar.gz/x"),
        format!("{base}/a.tar.gz.lock"),
        format!("{base}/.tmp-abc"),
        format!("{base}/escape"),
        format!("{base}/escape-dir/secret"),
        format!("{base}/loop"),
        format!("{base}/../app/a.tar.gz"),
        format!("{base}/%2e%2e/app/a.tar.gz"),
        format!("/..%2f{name}/secret"),
        format!("/../{name}/secret"),
        "//etc/passwd".to_owned(),
        format!("{base}/%00"),
        format!("{base}/%ff"),
        format!("{base}/{}", "x".repeat(300)),
    ];
    for target in targets {
        assert_eq!(
            fixture.send_raw(&target).await,
            "HTTP/1.1 404 Not Found",
            "{target}"
        );
    }
    assert_eq!(fixture.send_raw(FILE).await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn serve_ends_when_stopped_and_lets_a_download_finish() {
    let fixture = Fixture::start().await;
    let big = fixture
        .directory
        .path()
        .join("gitrepository/default/app/big.tar.gz");
    fs::write(&big, vec![7; 20 << 20]).unwrap();
    let mut download = fixture
        .send(Method::GET, "/gitrepository/default/app/big.tar.gz", &[])
        .await;
    let mut received = download.chunk().await.unwrap().unwrap().len();
    fixture.stop.cancel();
    while let Some(chunk) = download.chunk().await.unwrap() {
        received += chunk.len();
    }
    assert_eq!(received, 20 << 20);
    drop((download, fixture.client));
    fixture.task.await.unwrap();
    assert!(TcpStream::connect(fixture.address).await.is_err());
}
