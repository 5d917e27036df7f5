//! `Chart.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use ferro_gocompat::quote::quote;
use ferro_gocompat::semver::{Constraints, Version};
use ferro_gocompat::unicode::is_print;
use serde_json::Value as Json;

use super::decode::{Decoder, Source};

/// Somebody who maintains a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintainer {
    /// Their name.
    pub name: String,
    /// Their mail address.
    pub email: String,
    /// Their page.
    pub url: String,
}

/// A chart that another one depends on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// The range of versions that will do.
    pub version: String,
    /// The repository that it comes from.
    pub repository: String,
    /// Paths of values, separated by commas, the first of which that is a boolean enables or disables it.
    pub condition: String,
    /// Names under `tags:` in the values that enable or disable it.
    pub tags: Vec<String>,
    /// Whether it is enabled; only rendering makes use of it.
    pub enabled: bool,
    /// Which of its values the parent takes over.
    pub import_values: Vec<Json>,
    /// What the parent calls it.
    pub alias: String,
}

/// What `Chart.lock` fixes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    /// When it was written.
    pub generated: String,
    /// A digest of the dependencies in `Chart.yaml`.
    pub digest: String,
    /// The versions that were chosen.
    pub dependencies: Vec<Dependency>,
}

/// What `Chart.yaml` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// The chart's name.
    pub name: String,
    /// A page about it.
    pub home: String,
    /// Where its sources are.
    pub sources: Vec<String>,
    /// The chart's version.
    pub version: String,
    /// What it is, in a sentence.
    pub description: String,
    /// Words to find it by.
    pub keywords: Vec<String>,
    /// Who maintains it.
    pub maintainers: Vec<Option<Maintainer>>,
    /// A picture.
    pub icon: String,
    /// The version of the format, `v1` or `v2`.
    pub api_version: String,
    /// A condition to enable it.
    pub condition: String,
    /// Tags to enable it.
    pub tags: String,
    /// The version of what it installs.
    pub app_version: String,
    /// Whether it is no longer maintained.
    pub deprecated: bool,
    /// Anything else.
    pub annotations: Option<BTreeMap<String, String>>,
    /// The range of Kubernetes versions that it is for.
    pub kube_version: String,
    /// The charts that it depends on; an empty list is not the same as none.
    pub dependencies: Option<Vec<Option<Dependency>>>,
    /// `application` (as is an empty text) or `library`.
    pub kind: String,
}

/// Why metadata is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("validation: {0}")]
pub struct InvalidMetadata(String);

const METADATA_FIELDS: [&str; 17] = [
    "name",
    "home",
    "sources",
    "version",
    "description",
    "keywords",
    "maintainers",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "deprecated",
    "annotations",
    "kubeVersion",
    "dependencies",
    "type",
];
const DEPENDENCY_FIELDS: [&str; 8] = [
    "name",
    "version",
    "repository",
    "condition",
    "tags",
    "enabled",
    "import-values",
    "alias",
];

impl Metadata {
    /// Reads `Chart.yaml`, or `requirements.yaml` on top of it; the error is upstream's text.
    pub(crate) fn read(&mut self, yaml: &[u8]) -> Result<(), String> {
        self.decode(&Source::parse(yaml)?)
    }

    /// Reads a document that was parsed before, as `document`, from `text`; what is no metadata is passed over.
    /// It is not checked yet, see [`Metadata::validate`].
    ///
    /// # Errors
    /// In upstream's words, when something is of another type.
    pub fn from_document(document: Json, text: &[u8]) -> Result<Self, String> {
        let source = Source::new(document, text);
        let mut metadata = Self::default();
        metadata.decode(&source)?;
        Ok(metadata)
    }

    fn decode(&mut self, source: &Source<'_>) -> Result<(), String> {
        let mut decoder = Decoder::new(source);
        let go_type = ("Metadata", "v2.Metadata");
        decoder.object(
            &source.json,
            go_type,
            &METADATA_FIELDS,
            |decoder, field, value| {
                self.field(decoder, field, value);
            },
        );
        decoder.finish()
    }

    fn field<'s>(&mut self, decoder: &mut Decoder<'s>, field: &str, value: &'s Json) {
        match field {
            "name" => decoder.string(&mut self.name, value),
            "home" => decoder.string(&mut self.home, value),
            "sources" => decoder.strings(&mut self.sources, value),
            "version" => decoder.string(&mut self.version, value),
            "description" => decoder.string(&mut self.description, value),
            "keywords" => decoder.strings(&mut self.keywords, value),
            "maintainers" => decoder.list(&mut self.maintainers, value, "[]*v2.Maintainer", maintainer),
            "icon" => decoder.string(&mut self.icon, value),
            "apiVersion" => decoder.string(&mut self.api_version, value),
            "condition" => decoder.string(&mut self.condition, value),
            "tags" => decoder.string(&mut self.tags, value),
            "appVersion" => decoder.string(&mut self.app_version, value),
            "deprecated" => decoder.bool(&mut self.deprecated, value),
            "annotations" => decoder.string_map(&mut self.annotations, value),
            "kubeVersion" => decoder.string(&mut self.kube_version, value),
            "dependencies" if value.is_null() => self.dependencies = None,
            "dependencies" => {
                let list = self.dependencies.get_or_insert_default();
                decoder.list(list, value, "[]*v2.Dependency", dependency);
            }
            _ => decoder.string(&mut self.kind, value),
        }
    }

    /// Cleans the texts and checks the rest.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn validate(&mut self) -> Result<(), InvalidMetadata> {
        self.sanitize();
        let invalid = |text: String| Err(InvalidMetadata(text));
        if self.api_version.is_empty() {
            return invalid("chart.metadata.apiVersion is required".to_owned());
        }
        if self.name.is_empty() {
            return invalid("chart.metadata.name is required".to_owned());
        }
        if self.name == "." || self.name == ".." {
            return invalid(format!(
                "chart.metadata.name {} is not allowed",
                quote(&self.name)
            ));
        }
        if self.name.contains('/') && self.name != "/" {
            return invalid(format!("chart.metadata.name {} is invalid", quote(&self.name)));
        }
        if self.version.is_empty() {
            return invalid("chart.metadata.version is required".to_owned());
        }
        if Version::parse(&self.version).is_err() {
            return invalid(format!(
                "chart.metadata.version {} is invalid",
                quote(&self.version)
            ));
        }
        if !matches!(self.kind.as_str(), "" | "application" | "library") {
            return invalid("chart.metadata.type must be application or library".to_owned());
        }
        self.validate_maintainers()?;
        self.validate_dependencies()
    }

    fn sanitize(&mut self) {
        let texts = [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ];
        texts
            .into_iter()
            .chain(&mut self.sources)
            .chain(&mut self.keywords)
            .for_each(sanitize);
    }

    fn validate_maintainers(&mut self) -> Result<(), InvalidMetadata> {
        for maintainer in &mut self.maintainers {
            let Some(maintainer) = maintainer else {
                let text = "maintainers must not contain empty or null nodes";
                return Err(InvalidMetadata(text.to_owned()));
            };
            let texts = [&mut maintainer.name, &mut maintainer.email, &mut maintainer.url];
            texts.into_iter().for_each(sanitize);
        }
        Ok(())
    }

    fn validate_dependencies(&mut self) -> Result<(), InvalidMetadata> {
        let mut seen = BTreeSet::new();
        for dependency in self.dependencies.iter_mut().flatten() {
            let Some(dependency) = dependency else {
                let text = "dependencies must not contain empty or null nodes";
                return Err(InvalidMetadata(text.to_owned()));
            };
            dependency.validate()?;
            let key = dependency.shown_name();
            if !seen.insert(key) {
                return Err(InvalidMetadata(format!(
                    "more than one dependency with name or alias {}",
                    quote(key)
                )));
            }
        }
        Ok(())
    }

    /// The dependencies; there are none that are null once the chart is valid.
    pub fn dependencies(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies.iter().flatten().flatten()
    }
}

/// Reads the version of the chart format alone; the error is upstream's text.
pub(crate) fn read_api_version(yaml: &[u8]) -> Result<String, String> {
    let source = Source::parse(yaml)?;
    let mut version = String::new();
    let mut decoder = Decoder::new(&source);
    let go_type = ("chartBase", "loader.chartBase");
    decoder.object(&source.json, go_type, &["apiVersion"], |decoder, _, value| {
        decoder.string(&mut version, value);
    });
    decoder.finish()?;
    Ok(version)
}

impl Dependency {
    /// What the parent calls it.
    pub fn shown_name(&self) -> &str {
        if self.alias.is_empty() {
            &self.name
        } else {
            &self.alias
        }
    }

    fn validate(&mut self) -> Result<(), InvalidMetadata> {
        let texts = [
            &mut self.name,
            &mut self.version,
            &mut self.repository,
            &mut self.condition,
        ];
        texts.into_iter().chain(&mut self.tags).for_each(sanitize);
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if !self.alias.chars().all(is_allowed) {
            return Err(InvalidMetadata(format!(
                "dependency {} has disallowed characters in the alias",
                quote(&self.name)
            )));
        }
        Ok(())
    }
}

impl Lock {
    /// Reads `Chart.lock`; the error is upstream's text.
    pub(crate) fn read(yaml: &[u8]) -> Result<Option<Self>, String> {
        let source = Source::parse(yaml)?;
        if source.json.is_null() {
            return Ok(None);
        }
        let mut lock = Self::default();
        let mut dependencies = Vec::new();
        let mut decoder = Decoder::new(&source);
        let known = ["generated", "digest", "dependencies"];
        decoder.object(
            &source.json,
            ("Lock", "v2.Lock"),
            &known,
            |decoder, field, value| match field {
                "generated" => generated(decoder, &mut lock.generated, value),
                "digest" => decoder.string(&mut lock.digest, value),
                _ => decoder.list(&mut dependencies, value, "[]*v2.Dependency", dependency),
            },
        );
        decoder.finish()?;
        lock.dependencies = dependencies.into_iter().flatten().collect();
        Ok(Some(lock))
    }
}

fn generated<'s>(decoder: &mut Decoder<'s>, target: &mut String, value: &'s Json) {
    match value {
        Json::Null => {}
        Json::String(text) if ferro_yaml::to_rfc3339(text).is_some() => target.clone_from(text),
        Json::String(text) => decoder.fail(format!(
            "parsing time {} as \"2006-01-02T15:04:05Z07:00\": cannot parse {} as \"2006\"",
            quote(text),
            quote(text)
        )),
        _ => decoder.fail("Time.UnmarshalJSON: input is not a JSON string".to_owned()),
    }
}

fn maintainer<'s>(decoder: &mut Decoder<'s>, target: &mut Option<Maintainer>, value: &'s Json) {
    if value.is_null() {
        return *target = None;
    }
    let target = target.get_or_insert_default();
    let known = ["name", "email", "url"];
    decoder.object(
        value,
        ("Maintainer", "v2.Maintainer"),
        &known,
        |decoder, field, value| match field {
            "name" => decoder.string(&mut target.name, value),
            "email" => decoder.string(&mut target.email, value),
            _ => decoder.string(&mut target.url, value),
        },
    );
}

fn dependency<'s>(decoder: &mut Decoder<'s>, target: &mut Option<Dependency>, value: &'s Json) {
    if value.is_null() {
        return *target = None;
    }
    let target = target.get_or_insert_default();
    let go_type = ("Dependency", "v2.Dependency");
    decoder.object(
        value,
        go_type,
        &DEPENDENCY_FIELDS,
        |decoder, field, value| match field {
            "name" => decoder.string(&mut target.name, value),
            "version" => decoder.string(&mut target.version, value),
            "repository" => decoder.string(&mut target.repository, value),
            "condition" => decoder.string(&mut target.condition, value),
            "tags" => decoder.strings(&mut target.tags, value),
            "enabled" => decoder.bool(&mut target.enabled, value),
            "import-values" => decoder.list(
                &mut target.import_values,
                value,
                "[]interface {}",
                |_, slot, item| {
                    *slot = crate::values::with_float_numbers(item.clone());
                },
            ),
            _ => decoder.string(&mut target.alias, value),
        },
    );
}

/// Makes every space a blank and drops what cannot be printed.
fn sanitize(text: &mut String) {
    let is_clean = |c: char| matches!(c, ' '..='~');
    if text.chars().all(is_clean) {
        return;
    }
    *text = text
        .chars()
        .filter_map(|c| {
            if c.is_whitespace() {
                Some(' ')
            } else {
                is_print(c).then_some(c)
            }
        })
        .collect();
}

/// Tells whether a version is in a range; neither is if it cannot be read.
pub fn is_compatible_range(range: &str, version: &str) -> bool {
    let Ok(version) = Version::parse(version) else {
        return false;
    };
    Constraints::parse(range).is_ok_and(|range| range.check(&version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Metadata, String> {
        let mut metadata = Metadata::default();
        metadata.read(yaml.as_bytes())?;
        metadata.validate().map_err(|error| error.to_string())?;
        Ok(metadata)
    }

    #[test]
    fn scalars_become_strings_as_go_prints_them() {
        let text =
            "apiVersion: v2\nname: a\nversion: 1.10\nappVersion: 1e6\nkubeVersion: true\nHome: 12345678\n";
        let metadata = read(text).unwrap();
        assert_eq!(metadata.version, "1.1");
        assert_eq!(metadata.app_version, "1e+06");
        assert_eq!(metadata.kube_version, "true");
        assert_eq!(metadata.home, "12345678");
    }

    #[test]
    fn mismatches_are_named_as_go_names_them() {
        let error = read("apiVersion: v2\nname: [a]\nmaintainers: [{name: {}}]\n").unwrap_err();
        assert_eq!(
            error,
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go struct field \
             Maintainer.maintainers.name of type string"
        );
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        let error = |text: &str| read(text).unwrap_err();
        assert_eq!(error(""), "validation: chart.metadata.apiVersion is required");
        assert_eq!(
            error("apiVersion: v2\nname: a/b\nversion: 1\n"),
            "validation: chart.metadata.name \"a/b\" is invalid"
        );
        assert_eq!(
            error("apiVersion: v2\nname: a\nversion: x\n"),
            "validation: chart.metadata.version \"x\" is invalid"
        );
        let twice =
            "apiVersion: v2\nname: a\nversion: 1.0.0\ndependencies: [{name: b}, {name: c, alias: b}]\n";
        assert_eq!(
            error(twice),
            "validation: more than one dependency with name or alias \"b\""
        );
    }

    #[test]
    fn texts_are_cleaned() {
        let metadata =
            read("apiVersion: v2\nname: a\nversion: 1.0.0\ndescription: \"a\\tb\\u200bc\"\n").unwrap();
        assert_eq!(metadata.description, "a bc");
    }
}
