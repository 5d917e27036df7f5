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

/// Credentials by what they depend on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenCache {
    known: Arc<Mutex<HashMap<Digest, Kept>>>,
    max_entries: usize,
    max_age: Duration,
}

impl TokenCache {
    /// Keeps that many, none of them for longer than `max_age`.
    #[must_use]
    pub fn new(max_entries: usize, max_age: Duration) -> Self {
        Self {
            known: Arc::default(),
            max_entries,
            max_age,
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
        if let Some(value) = known.and_then(|known| known.value.downcast_ref::<T>().cloned()) {
            return Ok(value);
        }
        let fresh = fetch.await?;
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
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        if known.len() < self.max_entries {
            known.insert(key, kept);
        }
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
