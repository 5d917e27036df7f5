//! Uploads.

use ferro_oci::{Descriptor, Digest, Identifier, ImageManifest, annotation, media_type};
use ferro_testkit::http::Response;

use crate::registry::Registry;

#[tokio::test]
async fn pushed_artifact_is_pulled_again() {
    let registry = Registry::start();
    let client = registry.client();
    let config = client
        .push_blob(media_type::FLUX_CONFIG, "{}".into())
        .await
        .unwrap();
    let layer = client
        .push_blob(media_type::FLUX_CONTENT, "content".into())
        .await
        .unwrap();
    let mut manifest = ImageManifest::new(config, vec![layer.clone()]);
    manifest
        .annotations
        .insert(annotation::SOURCE.to_owned(), "here".to_owned());
    let latest = Identifier::tag("latest").unwrap();
    let digest = client
        .push_manifest(&latest, media_type::OCI_MANIFEST, manifest.to_bytes())
        .await
        .unwrap();
    assert_eq!(client.resolve(&latest).await.unwrap(), digest);
    assert_eq!(client.image(&latest).await.unwrap(), manifest);
    let content = client.blob(&layer).await.unwrap().bytes(100).await.unwrap();
    assert_eq!(content, &b"content"[..]);
    // What is there is not sent again.
    registry.take_seen();
    client
        .push_blob(media_type::FLUX_CONTENT, "content".into())
        .await
        .unwrap();
    assert_eq!(registry.take_seen().len(), 1);
}

#[tokio::test]
async fn large_content_is_sent_in_pieces() {
    let registry = Registry::start();
    let client = registry.client();
    let content: Vec<u8> = (0..(20 << 20) + 5_u32).map(|n| (n % 253) as u8).collect();
    let descriptor = client.push_stream("x", content.as_slice()).await.unwrap();
    assert_eq!(descriptor, Descriptor::of("x", &content));
    let stored = registry.blob("org/app", &descriptor.digest.to_string()).unwrap();
    assert_eq!(stored, content);
    let patches = registry
        .take_seen()
        .iter()
        .filter(|line| line.starts_with("PATCH"))
        .count();
    assert_eq!(patches, 3);
    let empty = client.push_stream("x", &b""[..]).await.unwrap();
    assert_eq!(empty.digest, Digest::of(b""));
}

#[tokio::test]
async fn upload_does_not_follow_to_another_host() {
    let registry = Registry::with(|request| {
        (request.method == "POST")
            .then(|| Response::new(202, "").header("location", "http://thief.example.com/upload"))
    });
    let failed = registry
        .client()
        .push_blob("x", "secret".into())
        .await
        .unwrap_err();
    assert!(
        failed.to_string().ends_with("the upload goes on at another host"),
        "{failed}"
    );
    let silent = Registry::with(|request| (request.method == "POST").then(|| Response::new(202, "")));
    let failed = silent.client().push_blob("x", "secret".into()).await.unwrap_err();
    assert!(failed.to_string().contains("usable Location"), "{failed}");
}
