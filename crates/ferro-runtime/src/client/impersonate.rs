//! Acting with the rights of a service account.

use http::header::{HeaderName, HeaderValue, InvalidHeaderValue};
use kube::Client;
use kube::client::Body;
use tower::service_fn;

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");

/// The same connections, with the rights of the service account `name` in `namespace`: who `client` is must be allowed to impersonate
/// it. No groups are taken on, as upstream does not; that the account exists is not checked.
///
/// # Errors
/// When the name holds what no name may hold.
pub fn impersonate(client: &Client, namespace: &str, name: &str) -> Result<Client, InvalidHeaderValue> {
    let user = HeaderValue::from_str(&format!("system:serviceaccount:{namespace}:{name}"))?;
    let inner = client.clone();
    let service = service_fn(move |mut request: http::Request<Body>| {
        request.headers_mut().insert(IMPERSONATE_USER, user.clone());
        let inner = inner.clone();
        async move { inner.send(request).await }
    });
    Ok(Client::new(service, client.default_namespace()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Secret;
    use kube::Api;

    fn server() -> Client {
        let service = service_fn(|request: http::Request<Body>| async move {
            let user = request.headers().get(IMPERSONATE_USER).cloned();
            let user = user
                .map(|user| user.to_str().unwrap().to_owned())
                .unwrap_or_default();
            let secret = serde_json::json!({ "metadata": { "name": user } });
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(
                secret.to_string().into_bytes(),
            )))
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn impersonate_names_the_account_in_every_request() {
        let client = impersonate(&server(), "apps", "tenant").unwrap();
        let api: Api<Secret> = Api::default_namespaced(client);
        let answer = api.get("a").await.unwrap();
        assert_eq!(answer.metadata.name.unwrap(), "system:serviceaccount:apps:tenant");
    }

    #[tokio::test]
    async fn impersonate_refuses_what_is_no_name() {
        assert!(impersonate(&server(), "apps", "a\r\nimpersonate-group: b").is_err());
    }
}
