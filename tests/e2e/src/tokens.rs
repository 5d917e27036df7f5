//! A token service of registries: who has the password gets tokens that the registry believes, as distribution's specification of
//! token authentication says.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ferro_testkit::http::{Request, Response, Server};
use ferro_testkit::tls::{Authority, server_config};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::world::lock;

/// So long after its end a token is still taken by distribution.
const LEEWAY: Duration = Duration::from_secs(60);
/// How long clients are told that a token is good for.
const PROMISED: Duration = Duration::from_secs(300);

/// The service; it ends when this is dropped.
#[derive(Debug)]
pub struct Tokens {
    server: Server,
    keys: Value,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// How long the registry takes the tokens that are issued, in truth.
    life: Duration,
    scopes: Vec<String>,
    refused: usize,
}

struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
    account: String,
}

impl Tokens {
    /// What the service calls itself.
    pub(crate) const ISSUER: &str = "e2e tokens";
    /// What the registry is called.
    pub(crate) const SERVICE: &str = "registry.e2e";
    /// The name of the key.
    const KEY: &str = "e2e";

    /// Starts a service for one account, with a certificate of the authority.
    ///
    /// # Errors
    /// When no key can be made.
    pub(crate) fn start(authority: &Authority, user: &str, password: &str) -> Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let failed = |_| anyhow::anyhow!("no key for tokens");
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(failed)?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random)
            .map_err(|error| anyhow::anyhow!("no key for tokens: {error}"))?;
        let keys = keys(&key).context("a public key of another form")?;
        let signer = Signer {
            key,
            random,
            account: format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
        };
        let state = Arc::new(Mutex::new(State {
            life: PROMISED,
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        let server = Server::start_tls(server_config(&authority.server(&[]), None), move |request| {
            answer(&signer, &shared, &request)
        });
        Ok(Self { server, keys, state })
    }

    /// The address at which tokens are issued. It has a name: clients ask no inner address because a registry tells them to.
    pub(crate) fn realm(&self) -> String {
        format!("https://localhost:{}/token", self.server.address().port())
    }

    /// The key that tokens are signed with, as a JSON Web Key Set.
    pub(crate) const fn keys(&self) -> &Value {
        &self.keys
    }

    /// Has the registry take tokens that are issued from now on for so long only, whatever clients are told.
    pub fn let_live(&self, life: Duration) {
        lock(&self.state).life = life;
    }

    /// The scopes that tokens were issued for since this was asked last, in order.
    #[must_use]
    pub fn take_scopes(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).scopes)
    }

    /// How often somebody was refused since this was asked last.
    #[must_use]
    pub fn take_refused(&self) -> usize {
        std::mem::take(&mut lock(&self.state).refused)
    }
}

/// The public key: a byte that says that both coordinates follow, and these.
fn keys(key: &EcdsaKeyPair) -> Option<Value> {
    let point = key.public_key().as_ref();
    let (x, y) = (point.get(1..33)?, point.get(33..65)?);
    let [x, y] = [x, y].map(|it| URL_SAFE_NO_PAD.encode(it));
    let key = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": Tokens::KEY, "alg": "ES256", "use": "sig"});
    Some(json!({"keys": [key]}))
}

fn answer(signer: &Signer, state: &Mutex<State>, request: &Request) -> Response {
    let query: Vec<(String, String)> = url::form_urlencoded::parse(request.query.as_bytes())
        .into_owned()
        .collect();
    let values = |name: &str| -> Vec<&str> {
        let all = query.iter().filter(|it| it.0 == name);
        all.map(|it| it.1.as_str()).collect()
    };
    if request.path != "/token" || values("service") != [Tokens::SERVICE] {
        return Response::new(404, "no such service");
    }
    if request.header("authorization") != signer.account {
        lock(state).refused += 1;
        let error =
            json!({"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]});
        return Response::new(401, error.to_string());
    }
    let mut state = lock(state);
    let scopes = values("scope").into_iter().flat_map(|it| it.split(' '));
    let access: Vec<Value> = scopes
        .filter_map(|scope| {
            state.scopes.push(scope.to_owned());
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let actions: Vec<_> = actions.split(',').filter(|it| *it == "pull").collect();
            Some(json!({"type": kind, "name": name, "actions": actions}))
        })
        .collect();
    match token(signer, &access, state.life) {
        Some(token) => {
            let answer = json!({"token": token, "expires_in": PROMISED.as_secs()});
            Response::new(200, answer.to_string()).header("Content-Type", "application/json")
        }
        None => Response::new(500, "cannot sign"),
    }
}

/// A JSON Web Token that distribution takes for so long from now.
fn token(signer: &Signer, access: &[Value], life: Duration) -> Option<String> {
    let now = SystemTime::UNIX_EPOCH.elapsed().ok()?;
    let end = (now + life).checked_sub(LEEWAY)?;
    let claims = json!({
        "iss": Tokens::ISSUER, "sub": "reader", "aud": Tokens::SERVICE, "jti": crate::case::unique(),
        "iat": now.as_secs(), "nbf": now.checked_sub(LEEWAY)?.as_secs(), "exp": end.as_secs(), "access": access,
    });
    let head = json!({"typ": "JWT", "alg": "ES256", "kid": Tokens::KEY});
    let [head, claims] = [head, claims].map(|it| URL_SAFE_NO_PAD.encode(it.to_string()));
    let signed = format!("{head}.{claims}");
    let signature = signer.key.sign(&signer.random, signed.as_bytes()).ok()?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
