//! Credentials for registries: Docker configurations in Secrets, those that a ServiceAccount pulls images with included
//! (`spec/sources-and-images.md` sections 8.1 and 8.5).

use ferro_oci::Keyring;
use ferro_runtime::process::chain;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};

use super::{ReadError, SecretData};

/// Pull secrets of one ServiceAccount.
const MAX_PULL_SECRETS: usize = 100;

/// The keys of a Secret that may hold a Docker configuration, the present form and the one before it.
const CONFIG: &str = ".dockerconfigjson";
const LEGACY_CONFIG: &str = ".dockercfg";

/// Why there are no credentials to be had; the texts are the reference's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// There is no such ServiceAccount.
    #[error("serviceaccount '{0}' not found")]
    NoServiceAccount(String),
    /// The API server refused or could not be reached.
    #[error("failed to get serviceaccount '{id}': {cause}")]
    ServiceAccount {
        /// `namespace/name`.
        id: String,
        /// Why.
        cause: String,
    },
    /// A pull secret of a ServiceAccount could not be read.
    #[error("failed to get image pull secret for serviceaccount '{id}': {cause}")]
    PullSecret {
        /// `namespace/name` of the ServiceAccount.
        id: String,
        /// Why.
        cause: String,
    },
    /// A Docker configuration is malformed.
    #[error("secret '{id}': {source}")]
    Config {
        /// `namespace/name` of the Secret.
        id: String,
        /// What is wrong with it.
        source: Box<ferro_oci::Error>,
    },
}

/// Adds what the Secret knows of registries. One that knows nothing adds nothing, as in the reference.
///
/// # Errors
/// When its Docker configuration is malformed.
pub(crate) fn add_secret(keyring: &mut Keyring, secret: &SecretData) -> Result<(), RegistryError> {
    let malformed = |source| RegistryError::Config {
        id: secret.id.clone(),
        source: Box::new(source),
    };
    if let Some(config) = secret.bytes(CONFIG) {
        keyring.add_config(config).map_err(malformed)?;
    }
    if let Some(config) = secret.bytes(LEGACY_CONFIG) {
        keyring.add_legacy_config(config).map_err(malformed)?;
    }
    Ok(())
}

/// The Secrets that a ServiceAccount pulls images with.
///
/// # Errors
/// When the ServiceAccount or one of its Secrets is not there or cannot be read.
pub(crate) async fn pull_secrets(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Vec<SecretData>, RegistryError> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let id = format!("{namespace}/{name}");
    let account = match api.get_opt(name).await {
        Ok(Some(account)) => account,
        Ok(None) => return Err(RegistryError::NoServiceAccount(id)),
        Err(kube::Error::Api(status)) => {
            let cause = status.message.clone();
            return Err(RegistryError::ServiceAccount { id, cause });
        }
        Err(error) => {
            let cause = chain(&error);
            return Err(RegistryError::ServiceAccount { id, cause });
        }
    };
    let mut secrets = Vec::new();
    let references = account.image_pull_secrets.unwrap_or_default();
    for reference in references.into_iter().take(MAX_PULL_SECRETS) {
        let secret = super::read(client, namespace, &reference.name).await;
        let secret_id = format!("{namespace}/{}", reference.name);
        secrets.push(secret.map_err(|error| RegistryError::PullSecret {
            id: id.clone(),
            cause: match error {
                ReadError::NotFound(_) => format!("secret '{secret_id}' not found"),
                ReadError::Api(cause) => format!("failed to get secret '{secret_id}': {cause}"),
            },
        })?);
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::super::secret;
    use super::*;
    use ferro_oci::{Credentials, Repository};

    #[test]
    fn add_secret_reads_both_forms_and_ignores_other_secrets() {
        let mut keyring = Keyring::new();
        add_secret(&mut keyring, &secret(&[("username", "u"), ("password", "p")])).unwrap();
        let config = r#"{"auths":{"a.io":{"username":"a","password":"p"}}}"#;
        let legacy = r#"{"b.io":{"username":"b","password":"p"}}"#;
        add_secret(
            &mut keyring,
            &secret(&[(CONFIG, config), (LEGACY_CONFIG, legacy)]),
        )
        .unwrap();
        for (name, expected) in [("a.io/xx", "a"), ("b.io/xx", "b")] {
            let credentials = keyring.resolve(&Repository::parse(name, false).unwrap());
            assert_eq!(credentials, Credentials::basic(expected, "p"), "{name}");
        }
        let other = Repository::parse("c.io/xx", false).unwrap();
        assert_eq!(keyring.resolve(&other), Credentials::Anonymous);
        let error = add_secret(&mut keyring, &secret(&[(CONFIG, "hunter2")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "secret 'default/auth': invalid docker config: malformed JSON at line 1 column 1"
        );
    }
}
