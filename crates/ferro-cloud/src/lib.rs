//! Identities of clouds: credentials that live for an hour at most, for storages, registries and Git servers.
//!
//! Flux lets an object name a cloud instead of a Secret. Who asks is then known by where the process runs (variables, a metadata server) or
//! by the token of a ServiceAccount, and a token service of the cloud exchanges the one for the other. No cloud library is linked:
//! everything goes through `ferro-http`, so that certificates, proxies and limits are those of the workspace.
//!
//! * [`aws`], [`azure`] and [`gcp`] get the cloud's own credentials; [`github`] those of a GitHub App.
//! * [`registry`] makes of them a login for the cloud's registries, [`git`] one for its Git servers, [`kubernetes`] a token for its clusters.
//! * [`TokenCache`] keeps what was got until most of its life is over.
//! * [`sigv4`] signs requests as AWS wants them signed.
//!
//! The reference is `fluxcd/pkg/auth` 0.54 with the clouds' libraries for Go: the order in which credentials are looked for, hosts, scopes,
//! audiences and texts are equal. Known differences:
//!
//! * Nothing is read from `~/.aws`, `gcloud` or `az`; client certificates for Azure must be PEM.
//! * A token goes in clear to this machine and to metadata servers only.
//! * Of AWS's variables for other addresses `AWS_ENDPOINT_URL` and those of STS, ECR and public ECR count.
//!
//! # Limits
//!
//! An answer has at most 1 MiB, a file that the environment names likewise. What is tried again is so within seconds. A request ends when
//! its future is dropped; deadlines are the callers'.
//!
//! # Example
//!
//! ```no_run
//! use ferro_cloud::{Environment, Transport, gcp, registry::Google};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = Transport::new(ferro_http::Client::new(&ferro_http::ClientOptions::default())?);
//! let environment = Environment::Process;
//! let registry = Google::parse("europe-docker.pkg.dev")?;
//! let token = gcp::ambient(&transport, &transport, &environment, gcp::PLATFORM).await?;
//! let login = token.map(|token| registry.login(token));
//! assert_eq!(login.value.username, "oauth2accesstoken");
//! # Ok(())
//! # }
//! ```

pub mod aws;
pub mod azure;
mod cache;
mod environment;
mod error;
pub mod gcp;
pub mod git;
pub mod github;
mod jwt;
pub mod kubernetes;
pub mod registry;
pub mod sigv4;
mod token;
mod transport;

pub use cache::{TokenCache, TokenObserver, TokenUser};
pub use environment::Environment;
pub use error::{Error, Result};
pub use jwt::SigningKey;
pub use sigv4::AwsCredentials;
pub use token::{Expiring, Login};
pub use transport::{Transport, encode, encode_path, query};
