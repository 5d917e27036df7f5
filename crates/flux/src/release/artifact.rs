//! Artifacts of sources, which are served within the cluster.

use std::env;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use ferro_api::meta::Artifact;
use ferro_artifact::digest::Digest;
use ferro_artifact::fetch::{DownloadOptions, download};
use ferro_http::{ClientOptions, Retry};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use url::Url;

/// Bytes that a packed chart may have: what Helm unpacks at most.
const LIMIT: u64 = 100 << 20;
/// How long each try may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What is set in every container of a cluster.
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";

/// Downloads an artifact, and checks that it is what its digest says. From outside of the cluster the way leads through the API server.
pub(super) async fn get(client: &Client, artifact: &Artifact) -> Result<Vec<u8>> {
    let url = Url::parse(&artifact.url).with_context(|| format!("artifact at '{}'", artifact.url))?;
    match proxied(&url) {
        Some(path) if env::var_os(IN_CLUSTER).is_none() => through_api_server(client, &path, artifact)
            .await
            .with_context(|| format!("failed to download artifact from '{url}' through the API server")),
        _ => directly(artifact)
            .await
            .with_context(|| format!("failed to download artifact from '{url}'")),
    }
}

async fn directly(artifact: &Artifact) -> Result<Vec<u8>> {
    let client = ferro_http::Client::new(&ClientOptions::default())?;
    let options = DownloadOptions {
        retry: Retry::default(),
        timeout: TIMEOUT,
        limit: LIMIT,
    };
    let bytes = download(&client, &artifact.url, &artifact.digest, &options).await?;
    Ok(bytes.to_vec())
}

/// Where the API server passes a request on to a Service, if that is what the address is of.
fn proxied(url: &Url) -> Option<String> {
    let mut labels = url.host_str()?.trim_end_matches('.').split('.');
    let (service, namespace, kind) = (labels.next()?, labels.next()?, labels.next()?);
    if kind != "svc" || url.scheme() != "http" {
        return None;
    }
    let port = url.port_or_known_default()?;
    Some(format!(
        "/api/v1/namespaces/{namespace}/services/http:{service}:{port}/proxy{}",
        url.path()
    ))
}

async fn through_api_server(client: &Client, path: &str, artifact: &Artifact) -> Result<Vec<u8>> {
    let expected: Digest = artifact.digest.parse()?;
    let request = http::Request::get(path).body(Body::empty())?;
    let response = client.send(request).await?;
    let status = response.status();
    if !status.is_success() {
        bail!("the API server answers {status}");
    }
    let limit = usize::try_from(LIMIT).unwrap_or(usize::MAX);
    let body = Limited::new(response.into_body(), limit).collect().await;
    let bytes = body.map_err(|error| anyhow!("{error}"))?.to_bytes();
    if expected.algorithm().digest(&bytes) != expected {
        bail!("computed digest doesn't match '{expected}'");
    }
    Ok(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_reached_through_the_api_server() {
        let path = |url: &str| proxied(&Url::parse(url).unwrap());
        assert_eq!(
            path("http://source-controller.flux-system.svc.cluster.local./helmchart/a/b/c.tgz").unwrap(),
            "/api/v1/namespaces/flux-system/services/http:source-controller:80/proxy/helmchart/a/b/c.tgz"
        );
        assert_eq!(
            path("http://source-watcher.flux-system.svc:9090/x").unwrap(),
            "/api/v1/namespaces/flux-system/services/http:source-watcher:9090/proxy/x"
        );
        for url in [
            "http://127.0.0.1:8080/x",
            "http://localhost/x",
            "https://charts.example.com/x",
        ] {
            assert_eq!(path(url), None);
        }
    }
}
