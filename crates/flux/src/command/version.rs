//! `flux version`: versions of this program and of what runs in the cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, anyhow, bail};
use clap::{ArgMatches, FromArgMatches as _};
use serde::ser::{SerializeMap as _, Serializer as _};

use super::installation;
use super::session::Session;
use crate::args::version::VersionArgs;

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let args = VersionArgs::from_arg_matches(matches)?;
    if !["yaml", "json"].contains(&args.output.as_str()) {
        bail!("--output must be json or yaml, not {}", args.output);
    }
    let mut versions = vec![("flux".to_owned(), crate::VERSION.to_owned())];
    if !args.client {
        versions.extend(cluster_versions(session).await?);
    }
    let text = if args.output == "json" {
        json(&versions)?
    } else {
        yaml(&versions)
    };
    session.terminal.print(&text);
    Ok(())
}

async fn cluster_versions(session: &mut Session<'_>) -> Result<Vec<(String, String)>> {
    let mut versions = Vec::new();
    if let Ok(anchor) = installation::anchor(session).await
        && let Some(distribution) = anchor.distribution
    {
        versions.push(("distribution".to_owned(), distribution));
    }
    let deployments = installation::deployments(session).await?;
    if deployments.is_empty() {
        bail!("no deployments found in {} namespace", session.namespace);
    }
    let mut images = BTreeMap::new();
    for image in deployments.iter().flat_map(installation::images) {
        let (name, tag) = split_image(&image)?;
        images.insert(name.to_owned(), tag.to_owned());
    }
    versions.extend(images);
    Ok(versions)
}

/// Splits an image into its last name and its tag.
fn split_image(image: &str) -> Result<(&str, &str)> {
    let last = image.rsplit('/').next().unwrap_or(image);
    let (last, _digest) = last.split_once('@').unwrap_or((last, ""));
    last.split_once(':')
        .ok_or_else(|| anyhow!("missing image tag in image {image}"))
}

fn yaml(versions: &[(String, String)]) -> String {
    versions.iter().fold(String::new(), |mut text, (name, version)| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {version}");
        text
    })
}

fn json(versions: &[(String, String)]) -> Result<String> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::pretty(&mut bytes);
    let mut map = serializer.serialize_map(Some(versions.len()))?;
    for (name, version) in versions {
        map.serialize_entry(name, version)?;
    }
    map.end()?;
    Ok(String::from_utf8(bytes)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_split() {
        for (image, parts) in [
            (
                "ghcr.io/fluxcd/source-controller:v1.9.1",
                ("source-controller", "v1.9.1"),
            ),
            ("localhost:5000/x/flux:v1@sha256:0cafe", ("flux", "v1")),
            ("flux:1", ("flux", "1")),
        ] {
            assert_eq!(split_image(image).unwrap(), parts);
        }
        for image in ["localhost:5000/flux", "flux@sha256:0cafe"] {
            assert_eq!(
                split_image(image).unwrap_err().to_string(),
                format!("missing image tag in image {image}")
            );
        }
    }

    #[test]
    fn versions_keep_their_order() {
        let versions = [
            ("flux".to_owned(), "v2".to_owned()),
            ("distribution".to_owned(), "v1".to_owned()),
        ];
        assert_eq!(yaml(&versions), "flux: v2\ndistribution: v1\n");
        assert_eq!(
            json(&versions).unwrap(),
            "{\n  \"flux\": \"v2\",\n  \"distribution\": \"v1\"\n}\n"
        );
    }
}
