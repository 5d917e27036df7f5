//! Logins that no Secret holds: of a GitHub App, of the machine at Azure.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_api::source::GitProvider;
use ferro_cloud::{TokenObserver, TokenUser};
use ferro_testkit::ssh::{self, KeyPair};

use super::*;

/// Who looked for tokens, and whether they were there.
#[derive(Default)]
struct LookedUp(Mutex<Vec<String>>);

impl TokenObserver for LookedUp {
    fn looked_up(&self, user: &TokenUser, is_hit: bool) {
        let line = format!("{}/{}/{} {is_hit}", user.kind, user.namespace, user.name);
        self.0.lock().unwrap().push(line);
    }

    fn answered(&self, _has_token: bool) {}

    fn evicted(&self) {}

    fn keeps(&self, _tokens: usize) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn github_app_fetches_with_a_token_that_is_kept() {
    if !ssh::is_available() {
        eprintln!("skipped: ssh-keygen is missing; install openssh-client");
        return;
    }
    let key = KeyPair::generate("rsa", "", &["-b", "2048", "-m", "PEM"]).private;
    let login = STANDARD.encode("x-access-token:ghs_hunter2");
    let git = Git::guarded(Some(&format!("Basic {login}")));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let github = Server::start(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        assert!(request.header("authorization").starts_with("Bearer ey"));
        match request.path.as_str() {
            "/api/v3/app/installations/7/access_tokens" => Response::new(
                201,
                r#"{"token":"ghs_hunter2","expires_at":"2999-01-01T00:00:00Z"}"#,
            ),
            _ => Response::new(404, r#"{"message":"Not Found"}"#),
        }
    });
    let base = github.url("/api/v3");
    let mut bench = Bench::new(&[(
        "app",
        &[
            ("githubAppID", "42"),
            ("githubAppInstallationID", "7"),
            ("githubAppPrivateKey", &key),
            ("githubAppBaseURL", &base),
        ],
    )]);
    let looked_up = Arc::new(LookedUp::default());
    let observer: Arc<dyn TokenObserver> = Arc::clone(&looked_up) as Arc<dyn TokenObserver>;
    let tokens = &mut bench.reconciler.cloud.tokens;
    *tokens = tokens.clone().observed_by(observer);
    let mut object = repository(&git.url());
    object.spec.provider = Some(GitProvider::GitHub);
    object.spec.secret_ref = Some(LocalObjectReference {
        name: "app".to_owned(),
    });
    for content in ["a: 1\n", "a: 2\n"] {
        git.commit("Next", &[("a.yaml", content), ("b.yaml", content)]);
        assert_eq!(bench.pass(&mut object).await, Outcome::Done);
        assert_eq!(conditions_of(&object), READY);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let told = std::mem::take(&mut *looked_up.0.lock().unwrap());
    assert_eq!(
        told,
        [
            "GitRepository/default/app false",
            "GitRepository/default/app true"
        ]
    );
    bench.events();

    bench.set_secret("app", "githubAppInstallationID", "8");
    let outcome = bench.pass(&mut object).await;
    let message = format!(
        "failed to configure authentication options: POST {base}/app/installations/8/access_tokens: 404 Not Found []"
    );
    assert_eq!(
        outcome,
        Outcome::Backoff {
            error: message.clone()
        }
    );
    assert_eq!(message_of(&object, "FetchFailed"), message);
    assert!(bench.stored(&object).exists());
    assert_eq!(bench.events(), [format!("error AuthenticationFailed {message}")]);

    bench.set_secret("app", "githubAppPrivateKey", "hunter2");
    bench.pass(&mut object).await;
    assert_eq!(
        message_of(&object, "FetchFailed"),
        "failed to configure authentication options: could not parse private key: the private key is not an RSA key in PEM"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_of_the_machine_opens_azure_devops() {
    let git = Git::guarded(Some("Bearer hunter2"));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let metadata = Server::start(|request| {
        let resource = "resource=499b84ac-1321-427f-aa17-267ca6975798";
        assert!(request.query.contains(resource), "{}", request.query);
        Response::new(200, r#"{"access_token":"hunter2","expires_in":"3600"}"#)
    });
    let env = metadata.url("");
    let mut bench = Bench::with(&[], &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &env)], "");
    let mut object = repository(&git.url());
    object.spec.provider = Some(GitProvider::Azure);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert!(!bench.events().join("\n").contains("hunter2"));

    // An address that is none of the cloud's gets nothing.
    object.spec.provider = Some(GitProvider::Aws);
    bench.pass(&mut object).await;
    assert_eq!(
        message_of(&object, "FetchFailed"),
        "failed to configure authentication options: AWS CodeCommit authentication requires an HTTPS Git URL"
    );
}
