//! The client of the API server: the requests of a process share one HTTP/2 connection, with many in flight, and are counted; watches have further
//! ones, see `spread`.
//!
//! kube's own stack speaks HTTP/1.1 only, where each request in flight needs a connection with its own TLS buffers. The layers here are kube's,
//! around another connector. There is no limit of requests per second on our side: the API server's priority and fairness
//! does that better.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::{BoxError, Layer, Service, ServiceBuilder};

use crate::metrics::Metrics;

mod impersonate;
pub mod kubeconfig;
mod proxy;
#[cfg(feature = "cloud")]
pub mod remote;
mod retry;
mod spread;

pub use self::impersonate::impersonate;
use self::spread::Spread;

/// An answer must begin within this time; watches answer at once, so it holds for them too.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// The API server's client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig file cannot be read or does not hold together.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// Neither a kubeconfig nor the service account of a pod was found.
    #[error("no kubeconfig and not in a pod: set --kubeconfig or KUBECONFIG")]
    Infer(#[source] Box<kube::config::InferConfigError>),
    /// The credentials or certificates cannot be used.
    #[error("cannot set up the connection to the API server")]
    Setup(#[source] Box<kube::Error>),
    /// The proxy is of a kind that is not supported.
    #[error(
        "cannot reach the API server through a proxy of the kind `{scheme}://`: use http://, socks5:// or socks5h://"
    )]
    Proxy {
        /// The scheme of its URL.
        scheme: String,
    },
}

/// Reads the configuration: from `kubeconfig`, or where that is empty from the environment or the pod.
///
/// # Errors
/// When there is none, or it is broken.
pub async fn config(kubeconfig: &str) -> Result<Config, ClientError> {
    if kubeconfig.is_empty() {
        return Config::infer()
            .await
            .map_err(|error| ClientError::Infer(Box::new(error)));
    }
    let broken = |source| ClientError::Kubeconfig {
        path: kubeconfig.to_owned(),
        source,
    };
    let file = Kubeconfig::read_from(kubeconfig).map_err(broken)?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(broken)
}

/// Makes a client of `config` that calls itself `user_agent`.
///
/// # Errors
/// When credentials or certificates cannot be used.
pub fn build(mut config: Config, user_agent: &str, metrics: &Metrics) -> Result<Client, ClientError> {
    let setup = |error| ClientError::Setup(Box::new(error));
    if let Ok(value) = http::HeaderValue::from_str(user_agent) {
        config.headers.push((http::header::USER_AGENT, value));
    }
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config().map_err(setup)?)
        .https_or_http()
        .enable_http2()
        .wrap_connector(proxy::connector(&config)?);
    let http2 = config.cluster_url.scheme_str() == Some("https");
    let connect = move || connections().http2_only(http2).build(https.clone());
    let observe = Observe {
        metrics: metrics.clone(),
        host: config
            .cluster_url
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default(),
    };
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(setup)?)
        .layer(config.extra_headers_layer().map_err(setup)?)
        .retry(retry::WhenToldTo::default())
        .layer(observe)
        .map_err(BoxError::from)
        .service(Spread::new(connect));
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

/// How connections are made.
fn connections() -> hyper_util::client::legacy::Builder {
    let mut builder = hyper_util::client::legacy::Builder::new(TokioExecutor::new());
    // Pings notice a peer that is gone without a word, which a watch without them would wait for for ever. One stream is opened until
    // the server has said how many it allows: it refuses those beyond.
    builder
        .timer(TokioTimer::new())
        .http2_initial_max_send_streams(1)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .http2_keep_alive_timeout(Duration::from_secs(15))
        .http2_initial_stream_window_size(512 * 1024)
        .http2_initial_connection_window_size(4 * 1024 * 1024);
    builder
}

/// Counts answers, and gives up on a server that does not begin to answer.
#[derive(Clone)]
struct Observe {
    metrics: Metrics,
    host: String,
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed {
            inner,
            observe: self.clone(),
        }
    }
}

#[derive(Clone)]
struct Observed<S> {
    inner: S,
    observe: Observe,
}

impl<S, B> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.method().clone();
        let observe = self.observe.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = match tokio::time::timeout(RESPONSE_TIMEOUT, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err(BoxError::from("the API server did not answer within 60 s")),
            };
            match &answer {
                Ok(response) => {
                    observe
                        .metrics
                        .request(&observe.host, method.as_str(), response.status().as_str());
                }
                Err(_) => observe.metrics.request(&observe.host, method.as_str(), "<error>"),
            }
            answer
        })
    }
}
