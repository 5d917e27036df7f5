//! An API server that has one ServiceAccount, `app`, and gives tokens to it.

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// The ServiceAccount's annotations, and what was asked for.
#[derive(Clone, Default)]
pub(crate) struct Accounts {
    annotations: Arc<Mutex<Value>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Accounts {
    pub(crate) fn annotate(&self, annotations: Value) {
        *self.annotations.lock().unwrap() = annotations;
    }

    /// The requests since the last call.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    pub(crate) fn client(&self) -> Client {
        let state = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let state = state.clone();
            async move { state.answer(request).await }
        });
        Client::new(service, "default")
    }

    async fn answer(
        self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = parts.uri.path();
        let audience = body["spec"]["audiences"][0].as_str().unwrap_or_default();
        self.log.lock().unwrap().push(
            format!("{} {path} {audience}", parts.method)
                .trim_end()
                .to_owned(),
        );
        let account = "/api/v1/namespaces/default/serviceaccounts/app";
        let (code, answer) = match path.strip_prefix(account) {
            Some("") => {
                let annotations = self.annotations.lock().unwrap().clone();
                let metadata =
                    json!({ "name": "app", "namespace": "default", "uid": "1", "annotations": annotations });
                (
                    200,
                    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
                )
            }
            Some("/token") => {
                let mut answer = body.clone();
                let status = json!({ "token": format!("jwt for {audience}"), "expirationTimestamp": "2999-01-01T00:00:00Z" });
                answer["status"] = status;
                (201, answer)
            }
            _ => (
                404,
                json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404 }),
            ),
        };
        let body = Body::from(answer.to_string().into_bytes());
        Ok(http::Response::builder().status(code).body(body).unwrap())
    }
}
