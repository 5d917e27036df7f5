//! The one HTTP client factory of the workspace.
//!
//! Everything that talks HTTP to the outside goes through here, so that trust roots, client certificates,
//! proxies, redirects, credentials, time limits and retries are decided once.
//!
//! * TLS is rustls with the ring provider; the roots are the system's (`SSL_CERT_FILE` and `SSL_CERT_DIR`
//!   are honoured) plus the user's CA, as in Flux.
//! * Credentials never cross to another host, nor from HTTPS to HTTP, on a redirect.
//! * A request ends when its future is dropped, and by itself when connecting takes too long or no byte
//!   arrives for [`ClientOptions::idle_timeout`]; a body is read with a limit.
//! * [`Secret`] and [`SafeUrl`] keep credentials out of logs and errors.
//!
//! What it does not do: cookies, caching, content decoding (callers hash what was sent).
//!
//! # Example
//!
//! ```no_run
//! use ferro_http::{Client, ClientOptions, Request, Retry};
//!
//! # async fn run() -> ferro_http::Result<()> {
//! let client = Client::new(&ClientOptions::default())?;
//! let request = Request::get("http://source-controller.flux-system/index.yaml")?;
//! let response = client.send_retrying(&request, &Retry::default()).await?;
//! let body = response.error_for_status()?.bytes(50 << 20).await?;
//! # drop(body);
//! # Ok(())
//! # }
//! ```

mod address;
mod client;
mod error;
mod response;
mod retry;
mod safe_url;
mod secret;
mod tls;

pub use address::{is_inner_address, leads_inside, leads_out_of_tls};
pub use client::{Auth, Client, ClientOptions, ProxyOptions, Request, may_keep_auth};
pub use error::{Error, Result, describe};
pub use response::Response;
pub use retry::Retry;
pub use safe_url::SafeUrl;
pub use secret::Secret;
pub use tls::{Identity, TlsOptions, client_config, install_crypto_provider};
