//! The way to the API server.

use std::env;

use anyhow::{Context as _, Result, anyhow};
use ferro_runtime::client;
use ferro_runtime::metrics::Metrics;
use kube::config::{
    AuthInfo, Cluster, Context as KubeContext, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster,
    NamedContext,
};
use kube::{Client, Config};

use crate::args::GlobalArgs;

/// Name of what the flags describe when there is no kubeconfig.
const FROM_FLAGS: &str = "flags";

/// Connects to the cluster that the flags and the environment name.
///
/// # Errors
///
/// Returns an error if there is no such cluster, or what describes it cannot be used.
pub async fn connect(args: &GlobalArgs) -> Result<Client> {
    let config = config(args)
        .await
        .context("kubernetes configuration load failed")?;
    let user_agent = concat!("flux/v", env!("CARGO_PKG_VERSION"));
    client::build(config, user_agent, &Metrics::default()).context("kubernetes client initialization failed")
}

/// Returns the namespace of the context that the flags and the environment name, if it has one.
///
/// # Errors
///
/// Returns an error if the kubeconfig cannot be read.
pub fn context_namespace(args: &GlobalArgs) -> Result<Option<String>> {
    let Some(kubeconfig) = read(args)? else {
        return Ok(None);
    };
    let name = args.context.as_ref().or(kubeconfig.current_context.as_ref());
    let context = kubeconfig
        .contexts
        .iter()
        .find(|context| Some(&context.name) == name);
    Ok(context.and_then(|context| context.context.as_ref()?.namespace.clone()))
}

async fn config(args: &GlobalArgs) -> Result<Config> {
    let kubeconfig = match read(args)? {
        // An address is enough to reach a cluster with.
        Some(kubeconfig) if kubeconfig.contexts.is_empty() && args.server.is_some() => empty(),
        None if args.server.is_some() => empty(),
        Some(kubeconfig) => kubeconfig,
        None => return Config::incluster().context("there is no kubeconfig, and no cluster around"),
    };
    let options = KubeConfigOptions {
        context: args.context.clone(),
        cluster: args.cluster.clone(),
        user: args.user.clone(),
    };
    let kubeconfig = overlay(kubeconfig, args);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.disable_compression |= args.disable_compression;
    Ok(config)
}

/// Reads the kubeconfig, `None` where there is none.
fn read(args: &GlobalArgs) -> Result<Option<Kubeconfig>> {
    if let Some(path) = &args.kubeconfig {
        return Ok(Some(Kubeconfig::read_from(path)?));
    }
    if let Some(kubeconfig) = Kubeconfig::from_env()? {
        return Ok(Some(kubeconfig));
    }
    let Some(path) = env::home_dir().map(|home| home.join(".kube/config")) else {
        return Ok(None);
    };
    if path.exists() {
        Ok(Some(Kubeconfig::read_from(path)?))
    } else {
        Ok(None)
    }
}

/// Returns a kubeconfig for flags to fill.
fn empty() -> Kubeconfig {
    let name = FROM_FLAGS.to_owned();
    let cluster = NamedCluster {
        name: name.clone(),
        cluster: Some(Cluster::default()),
        ..Default::default()
    };
    let user = NamedAuthInfo {
        name: name.clone(),
        auth_info: Some(AuthInfo::default()),
        ..Default::default()
    };
    let context = KubeContext {
        cluster: name.clone(),
        user: Some(name.clone()),
        ..Default::default()
    };
    let context = NamedContext {
        name: name.clone(),
        context: Some(context),
        ..Default::default()
    };
    Kubeconfig {
        clusters: vec![cluster],
        auth_infos: vec![user],
        contexts: vec![context],
        current_context: Some(name),
        ..Kubeconfig::default()
    }
}

/// Lets flags win over every cluster and user of a kubeconfig: only those in use matter.
fn overlay(mut kubeconfig: Kubeconfig, args: &GlobalArgs) -> Kubeconfig {
    for cluster in kubeconfig
        .clusters
        .iter_mut()
        .filter_map(|named| named.cluster.as_mut())
    {
        overlay_cluster(cluster, args);
    }
    for user in kubeconfig
        .auth_infos
        .iter_mut()
        .filter_map(|named| named.auth_info.as_mut())
    {
        overlay_user(user, args);
    }
    kubeconfig
}

fn overlay_cluster(cluster: &mut Cluster, args: &GlobalArgs) {
    set(&mut cluster.server, args.server.as_ref());
    set(&mut cluster.tls_server_name, args.tls_server_name.as_ref());
    if let Some(path) = &args.certificate_authority {
        cluster.certificate_authority = Some(path.clone());
        cluster.certificate_authority_data = None;
    }
    if args.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(true);
        cluster.certificate_authority = None;
        cluster.certificate_authority_data = None;
    }
}

fn overlay_user(user: &mut AuthInfo, args: &GlobalArgs) {
    if let Some(token) = &args.token {
        user.token = Some(token.clone().into());
        user.token_file = None;
    }
    if let Some(path) = &args.client_certificate {
        user.client_certificate = Some(path.clone());
        user.client_certificate_data = None;
    }
    if let Some(path) = &args.client_key {
        user.client_key = Some(path.clone());
        user.client_key_data = None;
    }
    set(&mut user.impersonate, args.impersonate.as_ref());
    set(&mut user.impersonate_uid, args.impersonate_uid.as_ref());
    if !args.impersonate_groups.is_empty() {
        user.impersonate_groups = Some(args.impersonate_groups.clone());
    }
}

fn set(field: &mut Option<String>, flag: Option<&String>) {
    if let Some(value) = flag {
        *field = Some(value.clone());
    }
}

/// Puts an error of the API server in its own words, as upstream does.
#[must_use]
pub fn explain(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => anyhow!("{}", status.message),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    fn args(line: &str) -> GlobalArgs {
        let matches = crate::args::command()
            .try_get_matches_from(line.split(' '))
            .unwrap();
        GlobalArgs::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn flags_win_over_the_kubeconfig() {
        let kubeconfig = Kubeconfig::from_yaml(
            r#"
clusters: [{name: c, cluster: {server: "https://old", certificate-authority-data: AAAA}}]
users: [{name: u, user: {tokenFile: /token, client-key-data: AAAA}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
"#,
        )
        .unwrap();
        let args = args(
            "flux check --server https://new --certificate-authority /ca --client-key /key --token t \
             --as jane --as-group a --as-group b --as-uid 7",
        );
        let kubeconfig = overlay(kubeconfig, &args);
        let cluster = kubeconfig.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://new"));
        assert_eq!(cluster.certificate_authority.as_deref(), Some("/ca"));
        assert_eq!(cluster.certificate_authority_data, None);
        let user = kubeconfig.auth_infos[0].auth_info.as_ref().unwrap();
        assert!(user.token.is_some() && user.token_file.is_none());
        assert_eq!(
            (user.client_key.as_deref(), user.client_key_data.is_none()),
            (Some("/key"), true)
        );
        assert_eq!(user.impersonate.as_deref(), Some("jane"));
        assert_eq!(
            user.impersonate_groups.as_deref(),
            Some(&["a".to_owned(), "b".to_owned()][..])
        );
        assert_eq!(user.impersonate_uid.as_deref(), Some("7"));
    }

    #[tokio::test]
    async fn an_address_and_a_token_are_enough() {
        let args = args("flux check --kubeconfig /dev/null --server https://127.0.0.1:6443 --token t");
        let config = config(&args).await.unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:6443/");
        assert!(config.auth_info.token.is_some());
    }
}
