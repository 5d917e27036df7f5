//! A registry, and clients of it that lose no time.

use std::ops::Deref;
use std::time::Duration;

use ferro_http::{ClientOptions, ProxyOptions, Retry};
use ferro_oci::{Access, Client, Credentials, Digest, ImageManifest, Repository, media_type};
use ferro_testkit::http::{Request, Response};

/// The repository of the tests.
pub(crate) const APP: &str = "org/app";

pub(crate) struct Registry(ferro_testkit::registry::Registry);

impl Deref for Registry {
    type Target = ferro_testkit::registry::Registry;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::with(|_| None)
    }

    pub(crate) fn with(hook: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> Self {
        Self(ferro_testkit::registry::Registry::with(hook))
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::parse(&format!("{}/{APP}", self.host()), true).unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        self.client_as(Credentials::Anonymous)
    }

    pub(crate) fn client_as(&self, credentials: Credentials) -> Client {
        client(&self.repository(), credentials)
    }

    /// Puts an artifact of one layer under a tag.
    pub(crate) fn put(&self, tag: &str, layer: &[u8]) -> (Digest, ImageManifest) {
        use ferro_oci::Descriptor;
        let layers = [(media_type::FLUX_CONTENT, layer)];
        let digest = self.put_artifact(APP, tag, &layers, &[]);
        let manifest = ImageManifest::new(
            Descriptor::of(media_type::FLUX_CONFIG, b"{}"),
            vec![Descriptor::of(media_type::FLUX_CONTENT, layer)],
        );
        (digest.parse().unwrap(), manifest)
    }
}

pub(crate) fn client(repository: &Repository, credentials: Credentials) -> Client {
    let access = Access {
        http: ClientOptions {
            proxy: ProxyOptions::Direct,
            ..ClientOptions::default()
        },
        credentials,
    };
    Client::new(repository, &access).unwrap().with_retry(Retry {
        retries: 2,
        min_wait: Duration::from_millis(1),
        max_wait: Duration::from_millis(2),
    })
}
