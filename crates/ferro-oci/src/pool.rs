//! Clients that are made once and used by many: connections, what is known of registries, and tokens outlive one look at a repository.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferro_http::{ClientOptions, ProxyOptions};
use sha2::{Digest as _, Sha256};

use crate::transport::{Known, RETRY, Tokens, Transport};
use crate::{Client, Credentials, Repository, Result};

/// HTTP clients that are kept; most repositories share one.
const MAX_HTTP: usize = 64;
/// Registries and tokens that are kept.
const MAX_KNOWN: usize = 4096;

/// How a registry is reached, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Trust, client certificate, proxy, user agent.
    pub http: ClientOptions,
    /// Who asks.
    pub credentials: Credentials,
}

/// Digest of all that makes a difference.
type Key = [u8; 32];

/// Makes clients, and lets those that reach a registry the same way share what it takes. Clones share everything. Credentials are
/// kept as digests only; tokens that were got with them until they expire or others take their place.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<State>>);

struct State {
    http: Recent<Key, ferro_http::Client>,
    registries: Recent<Key, Arc<Known>>,
    tokens: Recent<Key, Arc<Tokens>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            http: Recent::new(MAX_HTTP),
            registries: Recent::new(MAX_KNOWN),
            tokens: Recent::new(MAX_KNOWN),
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    /// A client for one repository.
    ///
    /// # Errors
    /// When certificates or the proxy's address are faulty.
    pub fn client(&self, repository: &Repository, access: &Access) -> Result<Client> {
        let http_key = http_key(&access.http);
        let registry = [
            &http_key[..],
            repository.registry().as_bytes(),
            &[u8::from(repository.is_insecure())],
        ];
        let registry_key = key(&registry);
        let [kind, name, secret] = access.credentials.parts();
        let token_key = key(&[&registry_key, repository.path().as_bytes(), kind, name, secret]);
        let mut state = self.lock();
        let http = state
            .http
            .get_or_try_insert(http_key, || ferro_http::Client::new(&access.http))?;
        let known = state.registries.get_or_insert(registry_key, Arc::default);
        let tokens = state.tokens.get_or_insert(token_key, Arc::default);
        Ok(Client::over(Transport {
            http,
            repository: repository.clone(),
            credentials: Arc::new(access.credentials.clone()),
            known,
            tokens,
            retry: RETRY,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn http_key(options: &ClientOptions) -> Key {
    let proxy: [&[u8]; 4] = match &options.proxy {
        ProxyOptions::Environment => [b"environment", b"", b"", b""],
        ProxyOptions::Direct => [b"direct", b"", b"", b""],
        ProxyOptions::Proxy { address, credentials } => {
            let (username, password) = credentials
                .as_ref()
                .map_or(("", ""), |(username, password)| (username, password.expose()));
            let address = address.expose().as_str().as_bytes();
            [b"proxy", address, username.as_bytes(), password.as_bytes()]
        }
    };
    let tls = &options.tls;
    let identity: [&[u8]; 3] = tls.identity.as_ref().map_or([b"", b"", b""], |identity| {
        [b"identity", &identity.certificate, identity.key.expose()]
    });
    let ca: [&[u8]; 2] = tls.ca.as_ref().map_or([b"", b""], |ca| [b"ca", ca]);
    let numbers = format!(
        "{} {} {:?} {:?}",
        tls.insecure_skip_verify, options.max_redirects, options.connect_timeout, options.idle_timeout
    );
    let rest: [&[u8]; 2] = [options.user_agent.as_bytes(), numbers.as_bytes()];
    key(&[&proxy[..], &identity[..], &ca[..], &rest[..]].concat())
}

/// Lengths go in as well, so that no two lists of parts are alike.
fn key(parts: &[&[u8]]) -> Key {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A map that forgets what was not asked for longest.
struct Recent<K, V> {
    entries: HashMap<K, (u64, V)>,
    max: usize,
    clock: u64,
}

impl<K: Eq + Hash + Copy, V: Clone> Recent<K, V> {
    fn new(max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            max,
            clock: 0,
        }
    }

    fn get_or_insert(&mut self, key: K, make: impl FnOnce() -> V) -> V {
        let made: std::result::Result<V, std::convert::Infallible> =
            self.get_or_try_insert(key, || Ok(make()));
        match made {
            Ok(value) => value,
        }
    }

    fn get_or_try_insert<E>(
        &mut self,
        key: K,
        make: impl FnOnce() -> std::result::Result<V, E>,
    ) -> std::result::Result<V, E> {
        self.clock += 1;
        if let Some((used, value)) = self.entries.get_mut(&key) {
            *used = self.clock;
            return Ok(value.clone());
        }
        let value = make()?;
        if self.entries.len() >= self.max {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(key, (self.clock, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_forgets_what_was_not_asked_for_longest() {
        let mut recent = Recent::new(2);
        let mut made = Vec::new();
        for key in [1, 2, 1, 3, 1, 2] {
            recent.get_or_insert(key, || made.push(key));
        }
        assert_eq!(made, [1, 2, 3, 2]);
    }

    #[test]
    fn http_key_tells_every_option_apart() {
        let base = ClientOptions::default();
        let changes: [fn(&mut ClientOptions); 6] = [
            |options| options.tls.ca = Some(Vec::new()),
            |options| options.tls.insecure_skip_verify = true,
            |options| options.proxy = ProxyOptions::Direct,
            |options| options.user_agent.push('x'),
            |options| options.idle_timeout += std::time::Duration::from_secs(1),
            |options| {
                options.tls.identity = Some(ferro_http::Identity {
                    certificate: Vec::new(),
                    key: Vec::new().into(),
                });
            },
        ];
        let mut keys = std::collections::HashSet::from([http_key(&base)]);
        for change in changes {
            let mut options = base.clone();
            change(&mut options);
            assert!(keys.insert(http_key(&options)));
        }
    }
}
