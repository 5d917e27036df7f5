//! `flux check`: whether the cluster will do, and whether what is installed works.

use anyhow::{Result, anyhow, bail};
use clap::{ArgMatches, FromArgMatches as _};
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::installation::{self, PART_OF_FLUX};
use super::session::{Session, name_of};
use crate::args::check::CheckArgs;
use crate::cluster::explain;
use crate::status::Status;
use crate::text::chain;
use crate::wait;

/// The oldest Kubernetes that will do: major and minor.
const OLDEST_KUBERNETES: (u32, u32) = (1, 33);

/// How that is printed.
const KUBERNETES_RANGE: &str = ">=1.33.0-0";

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let args = CheckArgs::from_arg_matches(matches)?;
    session.terminal.action(format_args!("checking prerequisites"));
    session.client().await?;
    let result = in_time(session.renew(), check_kubernetes(session)).await;
    let mut is_ok = report(result, session);
    if args.pre {
        if !is_ok {
            bail!("check failed");
        }
        session
            .terminal
            .success(format_args!("prerequisites checks passed"));
        return Ok(());
    }
    if is_ok {
        session
            .terminal
            .success(format_args!("prerequisites checks passed"));
    }

    session
        .terminal
        .action(format_args!("checking version in cluster"));
    let result = in_time(session.renew(), check_version(session)).await;
    is_ok &= report(result, session);
    session.terminal.action(format_args!("checking controllers"));
    is_ok &= report(check_controllers(&args, session).await, session);
    session.terminal.action(format_args!("checking crds"));
    let result = in_time(session.renew(), check_crds(session)).await;
    is_ok &= report(result, session);
    if !is_ok {
        bail!("check failed");
    }
    session.terminal.success(format_args!("all checks passed"));
    Ok(())
}

/// Each check, and each controller that is waited for, has the whole of `--timeout`: one that takes too long leaves the others theirs.
async fn in_time(deadline: Instant, check: impl Future<Output = Result<bool>>) -> Result<bool> {
    timeout_at(deadline, check)
        .await
        .unwrap_or_else(|_| bail!("context deadline exceeded"))
}

/// Prints the error of a check, and reports whether it passed.
fn report(result: Result<bool>, session: &mut Session<'_>) -> bool {
    result.unwrap_or_else(|error| {
        session.terminal.failure(format_args!("{}", chain(&error)));
        false
    })
}

async fn check_kubernetes(session: &mut Session<'_>) -> Result<bool> {
    let version = session.client().await?.apiserver_version().await;
    let version =
        version.map_err(|error| anyhow!("Kubernetes API call failed: {}", chain(&explain(error))))?;
    let parts = parse_version(&version.git_version);
    let parts = parts.ok_or_else(|| anyhow!("Kubernetes version can't be determined"))?;
    if parts < OLDEST_KUBERNETES {
        bail!(
            "Kubernetes version {} does not match {KUBERNETES_RANGE}",
            version.git_version
        );
    }
    let version = version.git_version.trim_start_matches('v');
    session
        .terminal
        .success(format_args!("Kubernetes {version} {KUBERNETES_RANGE}"));
    Ok(true)
}

/// Reads major and minor of a version such as `v1.35.4+k3s1`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

async fn check_version(session: &mut Session<'_>) -> Result<bool> {
    let anchor = installation::anchor(session)
        .await
        .map_err(|error| anyhow!("checking failed: {}", chain(&error)))?;
    if let Some(distribution) = anchor.distribution {
        session
            .terminal
            .success(format_args!("distribution: {distribution}"));
    }
    session
        .terminal
        .success(format_args!("bootstrapped: {}", anchor.is_bootstrapped));
    Ok(true)
}

async fn check_controllers(args: &CheckArgs, session: &mut Session<'_>) -> Result<bool> {
    let found = timeout_at(session.renew(), installation::deployments(session)).await;
    let deployments = found.unwrap_or_else(|_| bail!("context deadline exceeded"))?;
    if deployments.is_empty() {
        let namespace = &session.namespace;
        bail!("no controllers found in the '{namespace}' namespace with the label selector '{PART_OF_FLUX}'");
    }
    let mut is_ok = true;
    for deployment in &deployments {
        is_ok &= check_deployment(deployment, session).await?;
        for image in installation::images(deployment) {
            session.terminal.action(format_args!("{image}"));
        }
    }
    for name in args.components.iter().chain(&args.components_extra) {
        if !deployments.iter().any(|deployment| name_of(deployment) == name) {
            session
                .terminal
                .failure(format_args!("{name}: deployment not found"));
            is_ok = false;
        }
    }
    Ok(is_ok)
}

/// Waits for a Deployment to be ready.
async fn check_deployment(deployment: &DynamicObject, session: &mut Session<'_>) -> Result<bool> {
    let name = name_of(deployment);
    let api = installation::deployment_api(session).await?;
    let ready = wait::until(
        &api,
        name,
        session.renew(),
        |object| match Status::of_deployment(object) {
            Status::Current => Ok(Some(())),
            Status::InProgress(_) => Ok(None),
            Status::Failed(message) => bail!(message),
            Status::Terminating => bail!("Resource scheduled for deletion"),
        },
    );
    if ready.await.is_ok() {
        session.terminal.success(format_args!("{name}: deployment ready"));
        return Ok(true);
    }
    session
        .terminal
        .failure(format_args!("{name}: deployment not ready"));
    Ok(false)
}

async fn check_crds(session: &mut Session<'_>) -> Result<bool> {
    let api = installation::crds(session).await?;
    let crds = api
        .list(&ListParams::default().labels(PART_OF_FLUX))
        .await
        .map_err(explain)?;
    if crds.items.is_empty() {
        bail!("no crds found with the label selector '{PART_OF_FLUX}'");
    }
    let mut is_ok = true;
    for crd in &crds.items {
        let name = name_of(crd);
        let stored = crd
            .data
            .pointer("/status/storedVersions")
            .and_then(Value::as_array);
        match stored.and_then(|versions| versions.last()?.as_str()) {
            Some(version) => session.terminal.success(format_args!("{name}/{version}")),
            None => {
                session
                    .terminal
                    .failure(format_args!("no stored versions for {name}"));
                is_ok = false;
            }
        }
    }
    Ok(is_ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_versions_are_read() {
        assert_eq!(parse_version("v1.35.4"), Some((1, 35)));
        assert_eq!(parse_version("v1.33.0-alpha.1+k3s1"), Some((1, 33)));
        assert_eq!(parse_version("unknown"), None);
        assert!(parse_version("v1.9.0").unwrap() < OLDEST_KUBERNETES);
    }
}
