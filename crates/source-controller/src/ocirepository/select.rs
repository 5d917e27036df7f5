//! Which tag, which layer.

use ferro_api::source::{LayerSelector, OCIRepositorySpec, OciLayerOperation};
use ferro_gocompat::regexp::{self, Regex};
use ferro_gocompat::semver::{self, Constraints, Version};
use ferro_http::describe;
use ferro_oci::{Client, Descriptor, ImageManifest, NameError, Tag, media_type};

/// Why no tag could be chosen; the texts are the reference's.
#[derive(Debug, thiserror::Error)]
pub(super) enum TagError {
    #[error("{}", describe(.0))]
    List(#[from] ferro_oci::Error),
    #[error(transparent)]
    Filter(#[from] regexp::Error),
    #[error("semver '{range}' parse error: {source}")]
    Range { range: String, source: semver::Error },
    #[error("no match found for semver: {0}")]
    NoMatch(String),
    #[error(transparent)]
    Tag(#[from] NameError),
}

/// The tag that the spec asks for, without a digest in it. A range has the registry list its tags.
pub(super) async fn tag(spec: &OCIRepositorySpec, client: &Client) -> Result<Tag, TagError> {
    let reference = spec.reference.clone().unwrap_or_default();
    let text = |field: Option<String>| field.filter(|text| !text.is_empty());
    let is_chart = media_type_of(spec.layer_selector.as_ref()) == media_type::HELM_CHART;
    if let Some(range) = text(reference.semver) {
        let tags = client.tags().await?;
        let filter = text(reference.semver_filter);
        return highest(tags, &range, filter.as_deref(), is_chart);
    }
    let tag = text(reference.tag).unwrap_or_else(|| OCIRepositorySpec::DEFAULT_TAG.to_owned());
    Ok(Tag::parse(&if is_chart { written(&tag) } else { tag })?)
}

/// The tag with the highest version in the range. Of equal versions the greater text is taken, so that the choice does not depend on the
/// order of the registry.
fn highest(tags: Vec<String>, range: &str, filter: Option<&str>, is_chart: bool) -> Result<Tag, TagError> {
    let filter = filter.map(Regex::go).transpose()?;
    let constraints = Constraints::parse(range).map_err(|source| TagError::Range {
        range: range.to_owned(),
        source,
    })?;
    let version = |tag: &str| {
        // Two dots at least, though the parser would take less.
        let read = if is_chart {
            tag.replace('_', "+")
        } else {
            tag.to_owned()
        };
        let version = Version::parse(&read).ok()?;
        (read.splitn(3, '.').count() == 3 && constraints.check(&version)).then_some(version)
    };
    let highest = tags
        .into_iter()
        .filter(|tag| filter.as_ref().is_none_or(|filter| filter.is_match(tag)))
        .filter_map(|tag| Some((version(&tag)?, tag)))
        .max_by(|(a, a_tag), (b, b_tag)| a.cmp(b).then_with(|| a_tag.cmp(b_tag)));
    let (_, tag) = highest.ok_or_else(|| TagError::NoMatch(range.to_owned()))?;
    Ok(Tag::parse(&tag)?)
}

/// A version as a tag: registries know no `+`.
fn written(version: &str) -> String {
    version.replace('+', "_")
}

fn media_type_of(selector: Option<&LayerSelector>) -> &str {
    selector
        .and_then(|selector| selector.media_type.as_deref())
        .unwrap_or_default()
}

/// What is to be made of the layer.
pub(super) fn operation(selector: Option<&LayerSelector>) -> OciLayerOperation {
    selector
        .and_then(|selector| selector.operation)
        .unwrap_or_default()
}

/// The layer that the selector means.
///
/// # Errors
/// When there is none, in the words of the reference.
pub(super) fn layer<'m>(
    selector: Option<&LayerSelector>,
    manifest: &'m ImageManifest,
) -> Result<&'m Descriptor, String> {
    let first = manifest.layers.first().ok_or("no layers found in artifact")?;
    let wanted = media_type_of(selector);
    if wanted.is_empty() {
        return Ok(first);
    }
    let found = manifest.layers.iter().find(|layer| layer.media_type == wanted);
    found.ok_or_else(|| format!("failed to find layer with media type '{wanted}' in artifact"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(tags: &[&str], range: &str, filter: Option<&str>, is_chart: bool) -> Result<String, String> {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let tag = highest(tags, range, filter, is_chart);
        tag.map(|tag| tag.as_str().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn highest_version_in_the_range_wins() {
        let tags = [
            "latest",
            "6.1.4",
            "v6.1.10",
            "6.1.9",
            "6.2",
            "7",
            "6.3.0-rc.1",
            "5.0.0",
        ];
        let cases = [
            (">= 6.1.x <= 6.1.x", None, "v6.1.10"),
            (">= 6.0.0", None, "v6.1.10"),
            (">= 6.0.0-0", None, "6.3.0-rc.1"),
            (">= 6.0.0-0", Some(r"^\d+\.\d+\.\d+$"), "6.1.9"),
            ("~5", None, "5.0.0"),
        ];
        for (range, filter, expected) in cases {
            assert_eq!(
                choose(&tags, range, filter, false).as_deref(),
                Ok(expected),
                "{range} {filter:?}"
            );
        }
    }

    #[test]
    fn highest_does_not_depend_on_the_order() {
        for tags in [["1.0.0", "v1.0.0", "01.0.0"], ["v1.0.0", "01.0.0", "1.0.0"]] {
            assert_eq!(choose(&tags, "*", None, false).as_deref(), Ok("v1.0.0"));
        }
    }

    #[test]
    fn highest_of_charts_reads_underscores_as_plus() {
        let tags = ["6.2.1_build.2", "6.2.0"];
        assert_eq!(choose(&tags, "6.2.x", None, true).as_deref(), Ok("6.2.1_build.2"));
        assert_eq!(choose(&tags, "6.2.x", None, false).as_deref(), Ok("6.2.0"));
    }

    #[test]
    fn highest_faults_have_the_texts_of_the_reference() {
        let cases = [
            (
                "<= x.y",
                None,
                "semver '<= x.y' parse error: improper constraint: \"<= x.y\"",
            ),
            ("> 9", None, "no match found for semver: > 9"),
            ("*", Some("["), "error parsing regexp: missing closing ]: `[`"),
        ];
        for (range, filter, expected) in cases {
            assert_eq!(choose(&["1.0.0"], range, filter, false), Err(expected.to_owned()));
        }
    }

    #[test]
    fn layer_by_media_type_or_the_first() {
        let manifest = |types: &[&str]| {
            let layers = types.iter().map(|media| Descriptor::of(media, media.as_bytes()));
            ImageManifest::new(Descriptor::of("c", b"{}"), layers.collect())
        };
        let selector = |media: &str| {
            Some(LayerSelector {
                media_type: Some(media.to_owned()),
                operation: None,
            })
        };
        let two = manifest(&["a", "b"]);
        let pick = |selector: Option<LayerSelector>| {
            layer(selector.as_ref(), &two).map(|layer| layer.media_type.clone())
        };
        assert_eq!(pick(None).as_deref(), Ok("a"));
        assert_eq!(pick(selector("")).as_deref(), Ok("a"));
        assert_eq!(pick(selector("b")).as_deref(), Ok("b"));
        let missing = "failed to find layer with media type 'c' in artifact";
        assert_eq!(pick(selector("c")), Err(missing.to_owned()));
        assert_eq!(
            layer(None, &manifest(&[])).unwrap_err(),
            "no layers found in artifact"
        );
    }
}
