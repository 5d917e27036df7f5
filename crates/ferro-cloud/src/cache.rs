//! Credentials that were got from token services, until most of their life is over (`spec/sources-and-images.md` section 8.4).

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ring::digest::{Context, SHA256};

use crate::{Expiring, Result};

type Digest = [u8; 32];
type Kept = Expiring<Arc<dyn Any + Send + Sync>>;

/// The object that a token is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUser {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// Who is told how the cache is used.
pub trait TokenObserver: Send + Sync {
    /// `user` asked for a token, which was there (`is_hit`) or not.
    fn looked_up(&self, user: &TokenUser, is_hit: bool);
    /// A token was given, or could not be got.
    fn answered(&self, has_token: bool);
    /// A token that was still good had to make room.
    fn evicted(&self);
    /// So many tokens are kept now.
    fn keeps(&self, tokens: usize);
}

/// Credentials by what they depend on. Cheap to clone.
#[derive(Clone)]
pub struct TokenCache {
    known: Arc<Mutex<HashMap<Digest, Kept>>>,
    max_entries: usize,
    max_age: Duration,
    observer: Option<Arc<dyn TokenObserver>>,
    user: TokenUser,
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (max_entries, max_age) = (self.max_entries, self.max_age);
        write!(f, "TokenCache({max_entries} for {max_age:?})")
    }
}

impl TokenCache {
    /// Keeps that many, none of them for longer than `max_age`.
    #[must_use]
    pub fn new(max_entries: usize, max_age: Duration) -> Self {
        Self {
            known: Arc::default(),
            max_entries,
            max_age,
            observer: None,
            user: TokenUser::default(),
        }
    }

    /// Tells `observer` from now on.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn TokenObserver>) -> Self {
        Self {
            observer: Some(observer),
            ..self
        }
    }

    /// The same cache, used for an object.
    #[must_use]
    pub fn used_by(&self, user: TokenUser) -> Self {
        Self { user, ..self.clone() }
    }

    fn tell(&self, what: impl FnOnce(&dyn TokenObserver)) {
        // A cache that keeps nothing is none.
        if let Some(observer) = self.observer.as_ref().filter(|_| self.max_entries > 0) {
            what(observer.as_ref());
        }
    }

    /// What was got for `inputs`, or something new. `inputs` are all that it depends on, its kind included.
    ///
    /// # Errors
    /// When there is nothing new.
    pub async fn get<T, E>(
        &self,
        inputs: &[&[u8]],
        fetch: impl Future<Output = Result<Expiring<T>, E>>,
    ) -> Result<T, E>
    where
        T: Clone + Send + Sync + 'static,
    {
        let key = key(inputs);
        let now = SystemTime::now();
        let known = self.lock().get(&key).cloned();
        let known = known.filter(|known| known.until > now);
        let known = known.and_then(|known| known.value.downcast_ref::<T>().cloned());
        self.tell(|observer| observer.looked_up(&self.user, known.is_some()));
        if let Some(value) = known {
            self.tell(|observer| observer.answered(true));
            return Ok(value);
        }
        let fresh = fetch.await;
        self.tell(|observer| observer.answered(fresh.is_ok()));
        let fresh = fresh?;
        let life = fresh.until.duration_since(now).unwrap_or_default();
        self.keep(
            key,
            Expiring {
                value: Arc::new(fresh.value.clone()),
                until: now + life.mul_f64(0.8).min(self.max_age),
            },
            now,
        );
        Ok(fresh.value)
    }

    fn keep(&self, key: Digest, kept: Kept, now: SystemTime) {
        let mut known = self.lock();
        known.retain(|_, known| known.until > now);
        if known.len() >= self.max_entries {
            let oldest = known.iter().min_by_key(|(_, known)| known.until);
            let oldest = oldest.map(|(key, _)| *key);
            if oldest.and_then(|oldest| known.remove(&oldest)).is_some() {
                self.tell(|observer| observer.evicted());
            }
        }
        if known.len() < self.max_entries {
            known.insert(key, kept);
        }
        let count = known.len();
        drop(known);
        self.tell(|observer| observer.keeps(count));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Kept>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A digest, as what a token depends on holds secrets.
fn key(inputs: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for input in inputs {
        context.update(&(input.len() as u64).to_le_bytes());
        context.update(input);
    }
    let mut key = Digest::default();
    for (to, from) in key.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_http::Secret;

    async fn get(tokens: &TokenCache, input: &str, text: &'static str, seconds: u64) -> String {
        let fetch =
            async { Ok::<_, crate::Error>(Expiring::for_seconds(Secret::<String>::from(text), seconds)) };
        let token = tokens.get(&[input.as_bytes()], fetch).await.unwrap();
        token.expose().clone()
    }

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Notes {
        fn note(&self, text: String) {
            self.0.lock().unwrap().push(text);
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl TokenObserver for Notes {
        fn looked_up(&self, user: &TokenUser, is_hit: bool) {
            self.note(format!("{}/{}/{} {is_hit}", user.kind, user.namespace, user.name));
        }

        fn answered(&self, has_token: bool) {
            self.note(format!("answered {has_token}"));
        }

        fn evicted(&self) {
            self.note("evicted".to_owned());
        }

        fn keeps(&self, tokens: usize) {
            self.note(format!("keeps {tokens}"));
        }
    }

    #[tokio::test]
    async fn observer_is_told_how_the_cache_is_used() {
        let notes = Arc::new(Notes::default());
        let observer: Arc<dyn TokenObserver> = Arc::clone(&notes) as Arc<dyn TokenObserver>;
        let tokens = TokenCache::new(1, Duration::from_secs(3600)).observed_by(observer);
        let tokens = tokens.used_by(TokenUser {
            kind: "Bucket".to_owned(),
            name: "b".to_owned(),
            namespace: "n".to_owned(),
        });
        get(&tokens, "a", "first", 3600).await;
        assert_eq!(notes.take(), ["Bucket/n/b false", "answered true", "keeps 1"]);
        get(&tokens, "a", "second", 3600).await;
        assert_eq!(notes.take(), ["Bucket/n/b true", "answered true"]);
        get(&tokens, "b", "other", 3600).await;
        assert_eq!(
            notes.take(),
            ["Bucket/n/b false", "answered true", "evicted", "keeps 1"]
        );
        let refused = async { Err::<Expiring<String>, _>(()) };
        assert_eq!(tokens.get(&[b"c"], refused).await, Err(()));
        assert_eq!(notes.take(), ["Bucket/n/b false", "answered false"]);
        // A cache that is switched off has no metrics, as upstream.
        let observer: Arc<dyn TokenObserver> = Arc::clone(&notes) as Arc<dyn TokenObserver>;
        let none = TokenCache::new(0, Duration::from_secs(3600)).observed_by(observer);
        get(&none, "a", "first", 3600).await;
        assert_eq!(notes.take(), [""; 0]);
    }

    #[tokio::test]
    async fn get_keeps_what_is_valid_for_the_same_inputs() {
        let tokens = TokenCache::new(2, Duration::from_secs(3600));
        assert_eq!(get(&tokens, "a", "first", 3600).await, "first");
        assert_eq!(get(&tokens, "a", "second", 3600).await, "first");
        assert_eq!(get(&tokens, "b", "other", 0).await, "other");
        assert_eq!(get(&tokens, "b", "again", 0).await, "again");
        for input in ["c", "d", "e"] {
            get(&tokens, input, "x", 3600).await;
        }
        assert_eq!(tokens.lock().len(), 2);
        let none = TokenCache::new(0, Duration::from_secs(3600));
        get(&none, "a", "first", 3600).await;
        assert_eq!(get(&none, "a", "second", 3600).await, "second");
    }
}
