//! Layers and registries that mean harm: nothing leaves its place, nothing is made of what is not what it says, no credentials are shown.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_testkit::http::Server;
use tar::{EntryType, Header};

use super::*;

/// An entry as nobody's library would write it: name, kind, link and size as they are given.
fn entry(name: &str, kind: EntryType, link: &str, size: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_mode(0o644);
    header.set_entry_type(kind);
    let ustar = header.as_ustar_mut().unwrap();
    ustar.name[..name.len()].copy_from_slice(name.as_bytes());
    ustar.linkname[..link.len()].copy_from_slice(link.as_bytes());
    ustar.size[..size.len()].copy_from_slice(size.as_bytes());
    header.set_cksum();
    let padding = vec![0; content.len().next_multiple_of(512) - content.len()];
    [header.as_bytes().as_slice(), content, &padding].concat()
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(
        name,
        EntryType::Regular,
        "",
        &format!("{:011o}\0", content.len()),
        content,
    )
}

fn layer(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&entries.concat()).unwrap();
    gzip.write_all(&[0; 1024]).unwrap();
    gzip.finish().unwrap()
}

/// Everything below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_out_of_the_layer_are_refused() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    let link = |name: &str, kind, target: &str| entry(name, kind, target, "00000000000\0", b"");
    let cases = [
        (
            layer(&[file("../evil", b"x")]),
            "tar contained invalid name error \"../evil\"",
        ),
        (
            layer(&[file("a/../../evil", b"x")]),
            "tar contained invalid name error \"a/../../evil\"",
        ),
        (
            layer(&[file("/etc/evil", b"x")]),
            "tar contained invalid name error \"/etc/evil\"",
        ),
        (
            layer(&[file("a\\..\\evil", b"x")]),
            "tar contained invalid name error \"a\\\\..\\\\evil\"",
        ),
        (layer(&[file("", b"x")]), "tar contained invalid name error \"\""),
        (
            layer(&[link("a", EntryType::Link, "/etc/passwd")]),
            "tar contained invalid name error \"/etc/passwd\"",
        ),
        (
            layer(&[link("a", EntryType::Link, "b")]),
            "tar file entry a links to a file that is not there",
        ),
        (
            layer(&[link("a", EntryType::Char, "")]),
            "tar file entry a contained unsupported file type '3'",
        ),
        (
            layer(&[file("a", b"x"), file("a/b", b"x")]),
            "tar file entry a/b is a file in one place and a folder in another",
        ),
    ];
    for (layer, cause) in cases {
        registry.put_artifact(APP, "latest", &[(media_type::FLUX_CONTENT, &layer)], &[]);
        let mut object = object(&registry);
        bench.pass(&mut object).await;
        assert_eq!(
            message_of(&object, "FetchFailed"),
            format!("failed to extract layer contents from artifact: {cause}")
        );
        assert!(object.artifact().is_none());
    }
    assert!(
        below(bench.data.parent().unwrap())
            .iter()
            .all(|path| !path.ends_with("evil"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn links_out_of_the_layer_are_left_out_and_lead_nowhere() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    let outside = bench.data.parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let layer = layer(&[
        entry(
            "out",
            EntryType::Symlink,
            outside.to_str().unwrap(),
            "00000000000\0",
            b"",
        ),
        entry("up", EntryType::Symlink, "../../..", "00000000000\0", b""),
        file("out/evil", b"x"),
        file("up/evil", b"x"),
    ]);
    registry.put_artifact(APP, "latest", &[(media_type::FLUX_CONTENT, &layer)], &[]);
    let mut object = object(&registry);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        names(&bench.stored(&object)),
        [".", "out", "out/evil", "up", "up/evil"]
    );
    assert_eq!(below(&outside), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_are_lies_are_found_out() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    let lying = |size: &str| layer(&[entry("a", EntryType::Regular, "", size, b"x")]);
    for (layer, cause) in [
        // More than there is, more than is allowed, no number at all.
        (lying("00000777777\0"), "tar error: "),
        (lying("77777777777\0"), "tar is bigger than max archive size of "),
        (lying("hunter2"), "tar error: "),
    ] {
        registry.put_artifact(APP, "latest", &[(media_type::FLUX_CONTENT, &layer)], &[]);
        let mut object = object(&registry);
        bench.pass(&mut object).await;
        let message = message_of(&object, "FetchFailed");
        let expected = format!("failed to extract layer contents from artifact: {cause}");
        assert!(message.starts_with(&expected), "{message}");
        assert!(object.artifact().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_another_digest_is_refused_and_the_last_good_one_kept() {
    let forged = archive(&[("a", "forged")]);
    let is_forging = Arc::new(Mutex::new(false));
    let (flag, content) = (Arc::clone(&is_forging), forged.clone());
    let registry = Registry::with(move |request: &Request| {
        let is_layer = request.method == "GET" && request.path.contains("/blobs/");
        (is_layer && *flag.lock().unwrap()).then(|| Response::new(200, content.clone()))
    });
    let mut bench = Bench::new();
    push(&registry, "latest", &[("a", "good")]);
    let mut object = object(&registry);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let artifact = object.artifact().unwrap().clone();
    *is_forging.lock().unwrap() = true;
    // One that pretends to be as long as the real one, and one that does not.
    for files in [[("a", "gooe")], [("a", "longer than the other")]] {
        push(&registry, "latest", &files);
        assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
        let message = message_of(&object, "FetchFailed");
        assert!(message.starts_with("failed to extract "), "{message}");
        assert_eq!(object.artifact(), Some(&artifact));
        assert!(bench.stored(&object).exists());
    }
    *is_forging.lock().unwrap() = false;
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_ne!(object.artifact(), Some(&artifact));
}

#[tokio::test(flavor = "multi_thread")]
async fn store_that_the_registry_redirects_to_sees_no_credentials() {
    let layer = archive(&[("a", "a")]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, content) = (Arc::clone(&seen), layer.clone());
    let store = Server::start(move |request| {
        log.lock()
            .unwrap()
            .push(request.header("authorization").to_owned());
        Response::new(200, content.clone())
    });
    let target = store.url("/blob?X-Sig=hunter2");
    let authorization = format!("Basic {}", STANDARD.encode("u:hunter2"));
    let registry = Registry::with(move |request: &Request| {
        if request.header("authorization") != authorization {
            return Some(Response::new(401, "").header("www-authenticate", "Basic realm=x"));
        }
        let is_layer = request.path.contains("/blobs/");
        is_layer.then(|| Response::new(307, "").header("location", target.clone()))
    });
    let mut bench = Bench::new();
    registry.put_artifact(APP, "latest", &[(media_type::FLUX_CONTENT, &layer)], &[]);
    let config = json!({ "auths": { registry.host(): { "username": "u", "password": "hunter2" } } });
    bench.secret("auth", &[(".dockerconfigjson", &config.to_string())]);
    let mut object = object(&registry);
    object.spec.secret_ref = reference("auth");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(*seen.lock().unwrap(), [""]);
    assert!(!bench.events().join("\n").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn body_that_drips_ends_with_the_objects_time() {
    let is_dripping = Arc::new(Mutex::new(false));
    let flag = Arc::clone(&is_dripping);
    let registry = Registry::with(move |request: &Request| {
        let is_layer = request.method == "GET" && request.path.contains("/blobs/");
        (is_layer && *flag.lock().unwrap()).then(|| Response::stream(200, ferro_testkit::http::drip(b" ")))
    });
    let mut bench = Bench::new();
    push(&registry, "latest", &[("a", "good")]);
    let mut object = object(&registry);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let artifact = object.artifact().unwrap().clone();
    *is_dripping.lock().unwrap() = true;
    let content = "x".repeat(1 << 16);
    push(&registry, "latest", &[("a", &content), ("b", "another")]);
    object.spec.timeout = Some(ferro_api::meta::Duration::from_nanos(500_000_000));
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    assert_eq!(object.artifact(), Some(&artifact));
    assert!(bench.stored(&object).exists());
}
