//! Tags, manifests, blobs.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ferro_oci::{Descriptor, Digest, Error, Identifier, media_type};
use ferro_testkit::http::Response;

use ferro_testkit::registry::refusal as error;
use tokio::sync::mpsc;

use crate::registry::{APP, Registry};

fn tag(text: &str) -> Identifier {
    Identifier::tag(text).unwrap()
}

#[tokio::test]
async fn unchanged_tag_costs_one_head_request() {
    let registry = Registry::start();
    let (digest, manifest) = registry.put("1.0", b"content");
    let client = registry.client();
    assert_eq!(client.resolve(&tag("1.0")).await.unwrap(), digest);
    assert_eq!(
        registry.take_seen(),
        ["GET /v2/", "HEAD /v2/org/app/manifests/1.0"]
    );
    assert_eq!(client.resolve(&tag("1.0")).await.unwrap(), digest);
    assert_eq!(registry.take_seen(), ["HEAD /v2/org/app/manifests/1.0"]);
    let found = client.image(&Identifier::Digest(digest)).await.unwrap();
    assert_eq!(found, manifest);
    let content = client
        .blob(&found.layers[0])
        .await
        .unwrap()
        .bytes(100)
        .await
        .unwrap();
    assert_eq!(content, &b"content"[..]);
    assert!(client.has_blob(&found.layers[0].digest).await.unwrap());
    assert!(!client.has_blob(&Digest::of(b"other")).await.unwrap());
}

#[tokio::test]
async fn missing_things_have_the_registrys_words() {
    let registry = Registry::start();
    let client = registry.client();
    let failed = client.resolve(&tag("none")).await.unwrap_err();
    let host = registry.host();
    assert_eq!(
        failed.to_string(),
        format!("GET http://{host}/v2/org/app/manifests/none: MANIFEST_UNKNOWN: manifest unknown")
    );
    assert!(failed.is_not_found() && !failed.is_denied());
    let descriptor = Descriptor::of("x", b"none");
    let failed = client.blob(&descriptor).await.unwrap_err();
    assert!(
        failed
            .to_string()
            .ends_with("BLOB_UNKNOWN: blob unknown to registry"),
        "{failed}"
    );
}

#[tokio::test]
async fn resolve_without_digest_header_fetches_the_manifest() {
    let registry = Registry::with(|request| {
        (request.method == "HEAD").then(|| Response::new(200, "x").header("content-type", "y"))
    });
    let (digest, _) = registry.put("1.0", b"content");
    assert_eq!(registry.client().resolve(&tag("1.0")).await.unwrap(), digest);
    let failed = registry.client().head(&tag("1.0")).await.unwrap_err();
    let expected = "response did not include Docker-Content-Digest header";
    assert!(failed.to_string().ends_with(expected), "{failed}");
}

#[tokio::test]
async fn image_of_an_index_is_that_for_linux_on_amd64() {
    let registry = Registry::start();
    let (digest, manifest) = registry.put("amd64", b"content");
    let (other, _) = registry.put("arm64", b"other");
    let child = |digest: &Digest, architecture: &str| {
        format!(
            r#"{{"mediaType":"m","size":1,"digest":"{digest}","platform":{{"os":"linux","architecture":"{architecture}"}}}}"#
        )
    };
    let index =
        |children: &[String]| format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, children.join(","));
    let put = |name: &str, bytes: String| {
        registry.put_manifest(APP, name, media_type::OCI_INDEX, bytes.as_bytes());
    };
    put("multi", index(&[child(&other, "arm64"), child(&digest, "amd64")]));
    put("arm", index(&[child(&other, "arm64")]));
    put("null", r#"{"manifests":null}"#.to_owned());
    let client = registry.client();
    assert_eq!(client.image(&tag("multi")).await.unwrap(), manifest);
    for name in ["arm", "null"] {
        let failed = client.image(&tag(name)).await.unwrap_err();
        assert!(matches!(failed, Error::NoPlatform { .. }), "{failed}");
    }
}

#[tokio::test]
async fn index_that_leads_to_itself_ends() {
    let registry = Registry::start();
    // No digest can be made to contain itself, so one index names the next for ever.
    let mut next = Digest::of(b"end");
    for _ in 0..20 {
        let text = format!(r#"{{"manifests":[{{"mediaType":"m","size":1,"digest":"{next}"}}]}}"#);
        next = Digest::of(text.as_bytes());
        registry.put_manifest(APP, "", media_type::DOCKER_LIST, text.as_bytes());
    }
    let failed = registry
        .client()
        .image(&Identifier::Digest(next))
        .await
        .unwrap_err();
    assert!(matches!(failed, Error::NoPlatform { .. }), "{failed}");
    assert!(registry.take_seen().len() < 8);
}

#[tokio::test]
async fn inline_data_needs_no_request_and_is_checked() {
    let registry = Registry::start();
    let client = registry.client();
    let mut descriptor = Descriptor::of("x", b"abc");
    descriptor.data = Some("YWJj".to_owned());
    let content = client.blob(&descriptor).await.unwrap().bytes(10).await.unwrap();
    assert_eq!(content, &b"abc"[..]);
    descriptor.data = Some("YWJk".to_owned());
    let failed = client
        .blob(&descriptor)
        .await
        .unwrap()
        .bytes(10)
        .await
        .unwrap_err();
    assert!(matches!(failed, Error::Checksum { .. }), "{failed}");
    assert_eq!(registry.take_seen(), Vec::<String>::new());
}

#[tokio::test]
async fn tags_are_read_page_by_page() {
    let registry = Registry::with(|request| {
        let page = |tags: &str, next: Option<&str>| {
            let response = Response::new(200, format!(r#"{{"tags":{tags}}}"#));
            Some(match next {
                Some(next) => response.header("link", next),
                None => response,
            })
        };
        match request.query.as_str() {
            "n=1000" => page(
                r#"["a","b"]"#,
                Some("</v2/org/app/tags/list?n=1000&last=b>; rel=\"next\""),
            ),
            // A registry behind a proxy that knows neither its scheme nor its port.
            "n=1000&last=b" => page(
                r#"["c"]"#,
                Some("<https://127.0.0.1/v2/org/app/tags/list?last=c>; rel=\"next\""),
            ),
            "last=c" => page("null", None),
            _ => None,
        }
    });
    assert_eq!(registry.client().tags().await.unwrap(), ["a", "b", "c"]);
}

#[tokio::test]
async fn broken_transfer_is_taken_up_where_it_broke() {
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let served = content.clone();
    // The connection breaks when this is dropped.
    let open: Arc<Mutex<Option<mpsc::Sender<Bytes>>>> = Arc::default();
    let held = Arc::clone(&open);
    let registry = Registry::with(move |request| {
        if request.method != "GET" || !request.path.contains("/blobs/") {
            return None;
        }
        let all = served.len();
        let range = request.header("range");
        let Some(from) = range
            .strip_prefix("bytes=")
            .and_then(|range| range.strip_suffix('-'))
        else {
            // Says its whole length, sends a part.
            let (sender, receiver) = mpsc::channel(1);
            sender
                .try_send(Bytes::copy_from_slice(&served[..40_000]))
                .unwrap();
            *held.lock().unwrap() = Some(sender);
            return Some(Response::stream(200, receiver).header("content-length", all.to_string()));
        };
        let from: usize = from.parse().unwrap();
        let rest = Response::new(206, served[from..].to_vec());
        Some(rest.header("content-range", format!("bytes {from}-{}/{all}", all - 1)))
    });
    let mut blob = registry
        .client()
        .blob(&Descriptor::of("x", &content))
        .await
        .unwrap();
    let mut received = blob.chunk().await.unwrap().unwrap().to_vec();
    *open.lock().unwrap() = None;
    while let Some(piece) = blob.chunk().await.unwrap() {
        received.extend_from_slice(&piece);
    }
    assert_eq!(received, content);
    assert_eq!(registry.take_seen().len(), 3, "the probe and two parts");
}

#[tokio::test]
async fn passing_faults_are_tried_again() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let registry = Registry::with(move |request| {
        let is_first =
            request.path.contains("manifests") && count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2;
        is_first.then(|| Response::new(503, ""))
    });
    let (digest, _) = registry.put("1.0", b"content");
    assert_eq!(registry.client().resolve(&tag("1.0")).await.unwrap(), digest);
    let busy = Registry::with(|request| {
        request
            .path
            .contains("manifests")
            .then(|| error(429, "TOOMANYREQUESTS", "slow down").header("retry-after", "0"))
    });
    let failed = busy.client().manifest(&tag("1.0")).await.unwrap_err();
    assert!(
        failed.to_string().ends_with("TOOMANYREQUESTS: slow down"),
        "{failed}"
    );
    assert_eq!(busy.take_seen().len(), 4, "the probe and three tries");
}

#[tokio::test]
async fn old_manifests_are_refused() {
    let registry = Registry::start();
    registry.put_manifest(APP, "old", media_type::DOCKER_SCHEMA_1, b"{}");
    let failed = registry.client().image(&tag("old")).await.unwrap_err();
    assert!(matches!(failed, Error::Schema1 { .. }), "{failed}");
    registry.put_manifest(APP, "bad", media_type::OCI_MANIFEST, b"no json");
    let failed = registry.client().image(&tag("bad")).await.unwrap_err();
    assert!(matches!(failed, Error::Manifest { .. }), "{failed}");
}

#[tokio::test]
async fn referrers_are_listed_by_the_registry_or_under_a_tag() {
    let listed = Arc::new(Mutex::new(None::<Response>));
    let answer = Arc::clone(&listed);
    let registry = Registry::with(move |request| {
        let is_list = request.path.contains("/referrers/");
        is_list.then(|| answer.lock().unwrap().take()).flatten()
    });
    let client = registry.client();
    let (digest, _) = registry.put("1.0", b"content");
    assert_eq!(client.referrers(&digest).await.unwrap(), []);
    let index = |content: &[u8]| {
        let child = Descriptor::of(media_type::OCI_MANIFEST, content);
        serde_json::json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [child] })
            .to_string()
    };
    let tag = format!("sha256-{}", digest.hex());
    registry.put_manifest(APP, &tag, media_type::OCI_INDEX, index(b"by tag").as_bytes());
    registry.take_seen();
    let found = client.referrers(&digest).await.unwrap();
    assert_eq!(found, [Descriptor::of(media_type::OCI_MANIFEST, b"by tag")]);
    assert_eq!(
        registry.take_seen(),
        [
            format!("GET /v2/{APP}/referrers/{digest}"),
            format!("GET /v2/{APP}/manifests/{tag}")
        ]
    );
    let list = |response: Response| *listed.lock().unwrap() = Some(response);
    list(Response::new(200, index(b"by registry")).header("content-type", media_type::OCI_INDEX));
    let found = client.referrers(&digest).await.unwrap();
    assert_eq!(found, [Descriptor::of(media_type::OCI_MANIFEST, b"by registry")]);
    list(Response::new(200, "<html>").header("content-type", "text/html"));
    let found = client.referrers(&digest).await.unwrap();
    assert_eq!(found, [Descriptor::of(media_type::OCI_MANIFEST, b"by tag")]);

    list(Response::new(200, "{").header("content-type", media_type::OCI_INDEX));
    let failed = client.referrers(&digest).await.unwrap_err().to_string();
    assert!(
        failed.contains("the list of its referrers is malformed"),
        "{failed}"
    );
    list(error(403, "DENIED", "no"));
    assert!(client.referrers(&digest).await.unwrap_err().is_denied());
}
