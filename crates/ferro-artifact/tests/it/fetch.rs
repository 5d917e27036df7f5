//! The fetcher against servers that are slow, wrong, absent or hostile.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferro_artifact::archive::ArchiveWriter;
use ferro_artifact::digest::Algorithm;
use ferro_artifact::fetch::{Cache, CacheOptions, FetchError, UnpackError, UnpackLimits};
use ferro_testkit::http::{Response, Server};
use flate2::Compression;
use flate2::write::GzEncoder;

/// A cache in a directory of its own that tries again at once.
fn cache(change: impl FnOnce(&mut CacheOptions)) -> (tempfile::TempDir, Cache) {
    let directory = tempfile::tempdir().unwrap();
    let wait = Duration::from_millis(1);
    let mut options = CacheOptions {
        path: directory.path().join("cache"),
        retries: 2,
        retry_wait: (wait, wait),
        ..CacheOptions::default()
    };
    change(&mut options);
    let cache = Cache::new(options).unwrap();
    (directory, cache)
}

fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    writer.directory(b".").unwrap();
    writer
        .file(name.as_bytes(), false, content.len() as u64, &mut &content[..])
        .unwrap();
    writer.finish().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    Algorithm::Sha256.digest(bytes).to_string()
}

/// Serves `bytes` and counts how often.
fn serve(bytes: Vec<u8>) -> (Server, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let server = Server::start(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        Response::new(200, bytes.clone())
    });
    (server, count)
}

fn unpack_error(error: FetchError) -> UnpackError {
    let FetchError::Shared(error) = error else {
        panic!("{error:?}")
    };
    match Arc::try_unwrap(error).unwrap() {
        FetchError::Unpack(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_downloads_once_for_all_who_ask() {
    let bytes = archive("apps/a.yaml", b"a: 1\n");
    let (server, count) = serve(bytes.clone());
    let (_directory, cache) = cache(|_| {});
    let (url, digest) = (server.url("/a.tar.gz"), digest(&bytes));
    let all = (0..20).map(|_| cache.get(&url, &digest));
    let all = futures::future::join_all(all).await;
    for unpacked in &all {
        let path = unpacked.as_ref().unwrap().path().join("apps/a.yaml");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "a: 1\n");
    }
    drop(all);
    cache.get(&url, &digest).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_failure_is_shared_and_not_kept() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let bytes = archive("a", b"1");
    let body = bytes.clone();
    let server = Server::start(move |_| match seen.fetch_add(1, Ordering::SeqCst) {
        0..3 => {
            // Long enough for all to join the same download.
            std::thread::sleep(Duration::from_millis(50));
            Response::new(503, "")
        }
        _ => Response::new(200, body.clone()),
    });
    let (_directory, cache) = cache(|_| {});
    let (url, digest) = (server.url("/a.tar.gz"), digest(&bytes));
    let all = futures::future::join_all((0..10).map(|_| cache.get(&url, &digest))).await;
    assert!(all.iter().all(Result::is_err));
    assert_eq!(
        count.load(Ordering::SeqCst),
        3,
        "one download with its two repetitions"
    );
    cache.get(&url, &digest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn get_missing_artifact_is_told_apart_and_not_repeated() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let server = Server::start(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        let _ended = released.lock().unwrap().recv();
        Response::new(404, "")
    });
    let (_directory, cache) = cache(|_| {});
    let url = server.url("/a.tar.gz");
    let digest = digest(b"");
    let all = futures::future::join_all((0..3).map(|_| cache.get(&url, &digest)));
    // The answer comes when all have asked.
    let (outcomes, ()) = tokio::join!(all, async { drop(release) });
    for outcome in outcomes {
        assert!(matches!(outcome, Err(FetchError::NotFound { .. })), "{outcome:?}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_wrong_digest_is_refused_and_leaves_nothing() {
    let (server, count) = serve(archive("a", b"1"));
    let (directory, cache) = cache(|_| {});
    let error = cache.get(&server.url("/a"), &digest(b"other")).await.unwrap_err();
    let text = error.to_string();
    let FetchError::Shared(error) = error else {
        panic!("{error:?}")
    };
    assert!(matches!(*error, FetchError::Mismatch { .. }), "{error:?}");
    assert!(
        text.starts_with("failed to verify artifact: computed digest 'sha256:"),
        "{text}"
    );
    assert_eq!(
        count.load(Ordering::SeqCst),
        1,
        "another download would bring the same"
    );
    assert_eq!(unpacked_in(directory.path()), 0);
    assert!(matches!(
        cache.get(&server.url("/a"), "junk").await,
        Err(FetchError::Digest(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn get_repeats_a_download_that_broke_off() {
    let bytes = archive("a", &[7; 100_000]);
    let body = bytes.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for is_whole in [false, true] {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            let end = if is_whole { body.len() } else { body.len() / 2 };
            stream.write_all(&body[..end]).unwrap();
        }
    });
    let (_directory, cache) = cache(|_| {});
    let unpacked = cache.get(&url, &digest(&bytes)).await.unwrap();
    assert_eq!(
        std::fs::metadata(unpacked.path().join("a")).unwrap().len(),
        100_000
    );
    server.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn get_from_a_server_that_drips_ends_in_time() {
    let bytes = archive("a", &[7; 100_000]);
    let digest = digest(&bytes);
    let server = Server::start(move |_| {
        let (sender, pieces) = tokio::sync::mpsc::channel(1);
        let bytes = bytes.clone();
        std::thread::spawn(move || {
            for byte in bytes {
                if sender.blocking_send(vec![byte].into()).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Response::stream(200, pieces)
    });
    let (directory, cache) = cache(|options| {
        options.timeout = Duration::from_millis(100);
        options.retries = 1;
    });
    let error = cache.get(&server.url("/a"), &digest).await.unwrap_err();
    let FetchError::Shared(error) = error else {
        panic!("{error:?}")
    };
    assert!(matches!(*error, FetchError::Timeout { .. }), "{error:?}");
    // The unpacking thread notices that nobody sends, and removes what it wrote.
    tokio::time::timeout(Duration::from_secs(60), async {
        while unpacked_in(directory.path()) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

/// How many artifacts the cache in this folder has on disk.
fn unpacked_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder.join("cache")).unwrap();
    entries
        .filter(|entry| entry.as_ref().unwrap().path().is_dir())
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_removes_artifacts_left_behind_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["artifact-x", "mine"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("letter"), "dear").unwrap();
    let options = CacheOptions {
        path: folder.path().to_owned(),
        ..CacheOptions::default()
    };
    let _cache = Cache::new(options.clone()).unwrap();
    let exists = |name: &str| folder.path().join(name).exists();
    assert!(!exists("artifact-x") && exists("mine") && exists("letter"));
    assert!(
        matches!(Cache::new(options), Err(FetchError::Folder { .. })),
        "in use"
    );
}

/// One gzip member, repeated: a large stream that costs nothing to make.
fn repeated(head: &[u8], block: &[u8], count: usize) -> Vec<u8> {
    let member = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut stream = member(head);
    let block = member(block);
    for _ in 0..count {
        stream.extend_from_slice(&block);
    }
    stream
}

fn header(name: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn get_gzip_bomb_is_refused() {
    // 8 GiB of zeros in a few megabytes.
    let bytes = repeated(&header("bomb", 8 << 30), &vec![0; 8 << 20], 1024);
    assert!(bytes.len() < 10 << 20);
    let (server, _) = serve(bytes.clone());
    let (_directory, cache) = cache(|_| {});
    let error = unpack_error(cache.get(&server.url("/a"), &digest(&bytes)).await.unwrap_err());
    assert!(
        matches!(error, UnpackError::TooLarge { form: "unpacked", .. }),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn get_million_entries_are_refused() {
    let block: Vec<u8> = (0..1000)
        .flat_map(|index| header(&format!("f{index}"), 0))
        .collect();
    let bytes = repeated(&[], &block, 1000);
    let (server, _) = serve(bytes.clone());
    let (_directory, cache) = cache(|options| options.limits.entries = 20_000);
    let error = unpack_error(cache.get(&server.url("/a"), &digest(&bytes)).await.unwrap_err());
    assert!(
        matches!(error, UnpackError::TooMany { limit: 20_000 }),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn get_too_large_download_is_refused_announced_or_not() {
    let (bytes, limits) = (
        vec![1; 5000],
        UnpackLimits {
            compressed: 4000,
            ..UnpackLimits::default()
        },
    );
    let digest = digest(&bytes);
    let server = Server::start(move |request| {
        if request.path == "/announced" {
            return Response::new(200, bytes.clone());
        }
        let (sender, pieces) = tokio::sync::mpsc::channel(1);
        let member = repeated(&[], &[0; 100_000], 1000);
        std::thread::spawn(move || drop(sender.blocking_send(member.into())));
        Response::stream(200, pieces)
    });
    let (_directory, cache) = cache(|options| options.limits = limits);
    for path in ["/announced", "/streamed"] {
        let error = unpack_error(cache.get(&server.url(path), &digest).await.unwrap_err());
        assert!(matches!(error, UnpackError::TooLarge { .. }), "{path}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_lets_go_of_the_oldest_but_never_of_what_is_in_use() {
    let archives: Vec<Vec<u8>> = (0..4_u8).map(|index| archive("a", &[index; 1000])).collect();
    let digests: Vec<String> = archives.iter().map(|bytes| digest(bytes)).collect();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let server = Server::start(move |request| {
        seen.fetch_add(1, Ordering::SeqCst);
        let index: usize = request.path.trim_start_matches('/').parse().unwrap();
        Response::new(200, archives[index].clone())
    });
    let (_directory, cache) = cache(|options| options.max_bytes = 2500);
    let get = async |index: usize| {
        cache
            .get(&server.url(&format!("/{index}")), &digests[index])
            .await
            .unwrap()
    };
    let held = get(0).await;
    let path = get(1).await.path().to_owned();
    get(2).await;
    get(3).await;
    assert!(held.path().join("a").exists(), "in use");
    assert!(!path.exists(), "neither in use nor recent");
    let before = count.load(Ordering::SeqCst);
    get(3).await;
    get(2).await;
    assert_eq!(count.load(Ordering::SeqCst), before);
    let path = held.path().to_owned();
    drop(held);
    assert!(!path.exists(), "the last user has let go");
}
