//! Other clusters: the kubeconfig that a user has put into a Secret.
//!
//! It comes from a tenant and is used within the controller, so only what names a server and carries credentials itself is taken from
//! it (`spec/kustomize-and-notification.md` H.2): no files of the controller's pod, no plugins, nobody to impersonate.

use kube::Config;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo, NamedCluster,
    NamedContext,
};

/// What else a kubeconfig may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Programs that it names are run.
    pub exec: bool,
    /// Certificates are not checked where it says so.
    pub insecure_tls: bool,
}

/// A kubeconfig that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read, or a part of it.
    #[error("the kubeconfig cannot be used: {0}")]
    Malformed(#[from] KubeconfigError),
    /// A part that it refers to is not there.
    #[error("the kubeconfig has no {what} '{name}'")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// All that identifies the user is a program.
    #[error(
        "the kubeconfig runs a program to authenticate, which is not allowed without --insecure-kubeconfig-exec: use a token or a \
         client certificate"
    )]
    Exec,
}

/// The way to the cluster of the current context.
///
/// # Errors
/// When the text is no kubeconfig, or lacks something.
pub async fn parse(text: &str, trust: Trust) -> Result<Config, Unusable> {
    let whole = Kubeconfig::from_yaml(text)?;
    let kept = sanitise(whole, trust)?;
    Ok(Config::from_custom_kubeconfig(kept, &KubeConfigOptions::default()).await?)
}

/// Leaves the current context, and of it what is safe.
fn sanitise(whole: Kubeconfig, trust: Trust) -> Result<Kubeconfig, Unusable> {
    let name = whole.current_context.unwrap_or_default();
    let missing = |what, name: &str| Unusable::Missing {
        what,
        name: name.to_owned(),
    };
    let context = whole.contexts.into_iter().find(|context| context.name == name);
    let context = context.and_then(|context| context.context);
    let context = context.ok_or_else(|| missing("context", &name))?;
    let cluster = whole
        .clusters
        .into_iter()
        .find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.and_then(|cluster| cluster.cluster);
    let cluster = cluster.ok_or_else(|| missing("cluster", &context.cluster))?;
    let user = match &context.user {
        Some(user) => {
            let found = whole.auth_infos.into_iter().find(|known| known.name == *user);
            found
                .and_then(|found| found.auth_info)
                .ok_or_else(|| missing("user", user))?
        }
        None => AuthInfo::default(),
    };
    Ok(Kubeconfig {
        current_context: Some(name.clone()),
        contexts: vec![NamedContext {
            name: name.clone(),
            context: Some(Context {
                cluster: name.clone(),
                user: Some(name.clone()),
                namespace: context.namespace,
                ..Context::default()
            }),
            ..NamedContext::default()
        }],
        clusters: vec![NamedCluster {
            name: name.clone(),
            cluster: Some(safe_cluster(cluster, trust)),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name,
            auth_info: Some(safe_user(user, trust)?),
            ..NamedAuthInfo::default()
        }],
        ..Kubeconfig::default()
    })
}

fn safe_cluster(cluster: Cluster, trust: Trust) -> Cluster {
    Cluster {
        server: cluster.server,
        insecure_skip_tls_verify: cluster.insecure_skip_tls_verify.filter(|_| trust.insecure_tls),
        certificate_authority_data: cluster.certificate_authority_data,
        proxy_url: cluster.proxy_url,
        disable_compression: cluster.disable_compression,
        tls_server_name: cluster.tls_server_name,
        ..Cluster::default()
    }
}

fn safe_user(user: AuthInfo, trust: Trust) -> Result<AuthInfo, Unusable> {
    let has_own = user.token.is_some() || user.username.is_some() || user.client_certificate_data.is_some();
    if user.exec.is_some() && !trust.exec && !has_own {
        return Err(Unusable::Exec);
    }
    Ok(AuthInfo {
        username: user.username,
        password: user.password,
        token: user.token,
        client_certificate_data: user.client_certificate_data,
        client_key_data: user.client_key_data,
        exec: user.exec.filter(|_| trust.exec),
        ..AuthInfo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"
apiVersion: v1
kind: Config
current-context: prod
contexts: [{name: dev, context: {cluster: other, user: other}}, {name: prod, context: {cluster: c, user: u, namespace: n}}]
clusters:
- {name: other, cluster: {server: "https://other:6443"}}
- name: c
  cluster:
    server: https://remote:6443/prefix
    insecure-skip-tls-verify: true
    certificate-authority: /etc/passwd
    tls-server-name: kubernetes
users:
- name: u
  user:
    token: abc
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
    client-certificate: /a
    client-key: /b
    as: system:admin
    as-groups: [system:masters]
    auth-provider: {name: gcp}
    exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh}
"#;

    fn kept(trust: Trust) -> (Cluster, AuthInfo) {
        let kept = sanitise(Kubeconfig::from_yaml(FULL).unwrap(), trust).unwrap();
        let cluster = kept.clusters.into_iter().next().unwrap().cluster.unwrap();
        let user = kept.auth_infos.into_iter().next().unwrap().auth_info.unwrap();
        (cluster, user)
    }

    #[test]
    fn sanitise_keeps_the_server_and_inline_credentials_only() {
        let (cluster, user) = kept(Trust::default());
        assert_eq!(cluster.server.as_deref(), Some("https://remote:6443/prefix"));
        assert_eq!(cluster.tls_server_name.as_deref(), Some("kubernetes"));
        assert!(cluster.certificate_authority.is_none() && cluster.insecure_skip_tls_verify.is_none());
        assert!(user.token.is_some());
        assert!(user.token_file.is_none() && user.client_certificate.is_none() && user.client_key.is_none());
        assert!(
            user.impersonate.is_none() && user.impersonate_groups.is_none() && user.auth_provider.is_none()
        );
        assert!(user.exec.is_none());
    }

    #[test]
    fn sanitise_keeps_more_where_that_is_trusted() {
        let (cluster, user) = kept(Trust {
            exec: true,
            insecure_tls: true,
        });
        assert_eq!(cluster.insecure_skip_tls_verify, Some(true));
        assert!(user.exec.is_some() && user.token_file.is_none());
    }

    #[tokio::test]
    async fn parse_says_what_is_missing() {
        let error = async |from: &str, to: &str| {
            let text = FULL.replace(from, to);
            parse(&text, Trust::default()).await.unwrap_err().to_string()
        };
        assert_eq!(
            error("current-context: prod", "current-context: gone").await,
            "the kubeconfig has no context 'gone'"
        );
        assert_eq!(
            error("user: u,", "user: gone,").await,
            "the kubeconfig has no user 'gone'"
        );
        assert!(
            error("    token: abc\n", "")
                .await
                .contains("--insecure-kubeconfig-exec")
        );
        let error = parse("a: [", Trust::default()).await.unwrap_err().to_string();
        assert!(error.starts_with("the kubeconfig cannot be used"), "{error}");
    }

    #[tokio::test]
    async fn parse_reaches_the_server_of_the_current_context() {
        let config = parse(FULL, Trust::default()).await.unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://remote:6443/prefix");
        assert!(!config.accept_invalid_certs);
        assert_eq!(config.default_namespace, "n");
    }
}
