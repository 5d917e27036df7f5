//! References as they are typed: `Kind/name`, `Kind/name.namespace`.

/// A reference to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedReference {
    /// Its kind, as Kubernetes spells it.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its namespace, if one was typed.
    pub namespace: Option<String>,
}

/// The kinds that a chart can come from.
pub const CHART_SOURCES: &[&str] = &["HelmRepository", "GitRepository", "Bucket"];

/// The kinds that a release can take its chart from as it is.
pub const CHART_REFERENCES: &[&str] = &["OCIRepository", "HelmChart"];

/// The kinds that a Kustomization can take its files from.
pub const KUSTOMIZATION_SOURCES: &[&str] = &["OCIRepository", "GitRepository", "Bucket", "ExternalArtifact"];

/// The kinds that values can come from.
pub const VALUES_SOURCES: &[&str] = &["Secret", "ConfigMap"];

/// Splits `Kind/name`; without a kind, it is empty.
#[must_use]
pub fn kind_and_name(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((kind, name)) if !name.contains('/') => (kind, name),
        _ => ("", text),
    }
}

/// Splits `name.namespace` at the last dot.
#[must_use]
pub fn name_and_namespace(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('.') {
        Some((name, namespace)) => (name, Some(namespace)),
        None => (text, None),
    }
}

/// Finds a kind in a list, whatever the case of its letters.
#[must_use]
pub fn find(kinds: &[&'static str], kind: &str) -> Option<&'static str> {
    kinds
        .iter()
        .find(|known| known.eq_ignore_ascii_case(kind))
        .copied()
}

fn supported(kinds: &[&'static str], kind: &str) -> Result<&'static str, String> {
    find(kinds, kind).ok_or_else(|| {
        let kinds = kinds.join(", ");
        format!("source kind '{kind}' is not supported, must be one of: {kinds}")
    })
}

/// Reads the source of a chart.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn chart_source(text: &str) -> Result<TypedReference, String> {
    if text.trim().is_empty() {
        return Err(
            "no helm chart source given, please specify it in the format <kind>/<name>.<namespace>"
                .to_owned(),
        );
    }
    let (kind, rest) = kind_and_name(text);
    let (name, namespace) = name_and_namespace(rest);
    if kind.is_empty() || name.is_empty() {
        return Err(format!(
            "invalid helm chart source '{text}', must be in format <kind>/<name>"
        ));
    }
    Ok(TypedReference {
        kind: supported(CHART_SOURCES, kind)?,
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
    })
}

/// Reads the source of a HelmChart, which is in its own namespace.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn local_chart_source(text: &str) -> Result<TypedReference, String> {
    if text.trim().is_empty() {
        return Err("no helm chart source given, please specify it in the format <kind>/<name>".to_owned());
    }
    let (kind, name) = kind_and_name(text);
    if kind.is_empty() || name.is_empty() {
        return Err(format!(
            "invalid helm chart source '{text}', must be in format <kind>/<name>"
        ));
    }
    Ok(TypedReference {
        kind: supported(CHART_SOURCES, kind)?,
        name: name.to_owned(),
        namespace: None,
    })
}

/// Reads the source of a Kustomization, a GitRepository where no kind is given.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn kustomization_source(text: &str) -> Result<TypedReference, String> {
    if text.trim().is_empty() {
        return Err(
            "no kustomization source given, please specify it in the format <kind>/<name>.<namespace>"
                .to_owned(),
        );
    }
    let (kind, rest) = kind_and_name(text);
    let (name, namespace) = name_and_namespace(rest);
    if name.is_empty() {
        return Err(format!("no name given for source of kind '{kind}'"));
    }
    let kind = if kind.is_empty() { "GitRepository" } else { kind };
    Ok(TypedReference {
        kind: supported(KUSTOMIZATION_SOURCES, kind)?,
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_upstream_reads_them() {
        let source = chart_source("helmrepository/podinfo.flux-system").unwrap();
        let expected = ("HelmRepository", "podinfo", Some("flux-system".to_owned()));
        assert_eq!((source.kind, source.name.as_str(), source.namespace), expected);
        assert_eq!(chart_source("Bucket/a.b.c").unwrap().name, "a.b");
        assert_eq!(local_chart_source("Bucket/a.b").unwrap().name, "a.b");
        assert_eq!(kustomization_source("app").unwrap().kind, "GitRepository");
        assert_eq!(
            kustomization_source("externalartifact/app").unwrap().kind,
            "ExternalArtifact"
        );
    }

    #[test]
    fn what_is_wrong_with_a_reference_is_said() {
        for (result, message) in [
            (
                chart_source("podinfo"),
                "invalid helm chart source 'podinfo', must be in format <kind>/<name>",
            ),
            (
                chart_source("foobar/podinfo"),
                "source kind 'foobar' is not supported, must be one of: HelmRepository, GitRepository, Bucket",
            ),
            (
                kustomization_source("Bucket/"),
                "no name given for source of kind 'Bucket'",
            ),
        ] {
            assert_eq!(result.unwrap_err(), message);
        }
    }
}
