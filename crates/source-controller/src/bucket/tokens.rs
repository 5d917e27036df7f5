//! Credentials that were got from token services, until most of their life is over (`spec/sources-and-images.md` section 8.4).

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ferro_artifact::digest::Algorithm;
use ferro_bucket::AwsCredentials;
use ferro_bucket::credential::Expiring;
use ferro_http::Secret;

/// What a token service gives.
#[derive(Clone, Debug)]
pub(super) enum Token {
    Aws(AwsCredentials),
    Bearer(Secret<String>),
}

/// The credentials of all buckets. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    known: Arc<Mutex<HashMap<String, Expiring<Token>>>>,
    max_entries: usize,
    max_age: Duration,
}

impl Tokens {
    /// Keeps that many, none of them for longer than `max_age`.
    pub(crate) fn new(max_entries: usize, max_age: Duration) -> Self {
        Self {
            known: Arc::default(),
            max_entries,
            max_age,
        }
    }

    /// The token that was got for `inputs`, or a new one. `inputs` are all that it depends on.
    ///
    /// # Errors
    /// When there is no new one.
    pub(super) async fn get<T>(
        &self,
        inputs: &[&[u8]],
        fetch: impl Future<Output = ferro_bucket::Result<Expiring<T>>>,
        wrap: fn(T) -> Token,
    ) -> ferro_bucket::Result<Token> {
        let key = key(inputs);
        let now = SystemTime::now();
        let known = self.lock().get(&key).cloned();
        if let Some(known) = known.filter(|known| known.until > now) {
            return Ok(known.value);
        }
        let fresh = fetch.await?;
        let life = fresh.until.duration_since(now).unwrap_or_default();
        let token = Expiring {
            value: wrap(fresh.value),
            until: now + life.mul_f64(0.8).min(self.max_age),
        };
        let mut known = self.lock();
        known.retain(|_, known| known.until > now);
        if known.len() >= self.max_entries {
            let oldest = known.iter().min_by_key(|(_, known)| known.until);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        if known.len() < self.max_entries {
            known.insert(key, token.clone());
        }
        Ok(token.value)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Expiring<Token>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A digest, as what a token depends on holds secrets.
fn key(inputs: &[&[u8]]) -> String {
    let mut hasher = Algorithm::Sha256.hasher();
    for input in inputs {
        hasher.update(&(input.len() as u64).to_le_bytes());
        hasher.update(input);
    }
    hasher.finish().hex().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(tokens: &Tokens, input: &str, text: &'static str, seconds: u64) -> String {
        let until = SystemTime::now() + Duration::from_secs(seconds);
        let fetch = async {
            Ok(Expiring {
                value: Secret::from(text),
                until,
            })
        };
        match tokens
            .get(&[input.as_bytes()], fetch, Token::Bearer)
            .await
            .unwrap()
        {
            Token::Bearer(token) => token.expose().clone(),
            Token::Aws(_) => panic!("another kind"),
        }
    }

    #[tokio::test]
    async fn get_keeps_what_is_valid_for_the_same_inputs() {
        let tokens = Tokens::new(2, Duration::from_secs(3600));
        assert_eq!(get(&tokens, "a", "first", 3600).await, "first");
        assert_eq!(get(&tokens, "a", "second", 3600).await, "first");
        assert_eq!(get(&tokens, "b", "other", 0).await, "other");
        assert_eq!(get(&tokens, "b", "again", 0).await, "again");
        for input in ["c", "d", "e"] {
            get(&tokens, input, "x", 3600).await;
        }
        assert_eq!(tokens.lock().len(), 2);
        let none = Tokens::new(0, Duration::from_secs(3600));
        get(&none, "a", "first", 3600).await;
        assert_eq!(get(&none, "a", "second", 3600).await, "second");
    }
}
