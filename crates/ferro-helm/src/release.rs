//! From a chart and values to what a release consists of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::rc::Rc;

use ferro_template::Text;
use serde_json::{Map, Value as Json};

use crate::chart::{Crd, is_compatible_range};
use crate::manifest::{self, Hook, INSTALL_ORDER, Manifest};
use crate::render::{self, Environment, Lookup, Mode, Release, Renderer};
use crate::values::{self, Instance, coalesce_values, resolve, schema, to_map};
use crate::{Capabilities, Notice};

/// What a release is made for.
#[derive(Clone)]
pub struct ReleaseOptions {
    /// The release.
    pub release: Release,
    /// The cluster's capabilities.
    pub capabilities: Capabilities,
    /// Where `lookup` looks.
    pub lookup: Option<Rc<dyn Lookup>>,
    /// Whether values need not fit the schemas.
    pub skip_schema_validation: bool,
    /// Whether the notes of subcharts are notes of the release, too.
    pub sub_notes: bool,
}

/// What a release consists of.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The chart as values have made it.
    pub instance: Instance,
    /// The manifests in the order of installation.
    pub manifests: Vec<Manifest>,
    /// The hooks in that order.
    pub hooks: Vec<Hook>,
    /// What users are told after an installation.
    pub notes: String,
    /// The custom resource definitions in `crds/` folders.
    pub crds: Vec<Crd>,
}

/// Why a release cannot be made; the texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name is not one.
    #[error(
        "release name check failed: release name {}: {problem}",
        ferro_gocompat::quote::quote(name)
    )]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The dependencies and values do not go together.
    #[error("chart dependencies processing failed: {0}")]
    Dependencies(values::Error),
    /// The values do not fit the chart.
    #[error(transparent)]
    Values(values::Error),
    /// The values do not fit the chart's schema.
    #[error("values don't meet the specifications of the schema(s) in the following chart(s):\n{0}")]
    Schema(String),
    /// The cluster is too old or too new for the chart.
    #[error("chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {found}")]
    KubeVersion {
        /// The versions that it is for.
        wanted: String,
        /// The cluster's.
        found: String,
    },
    /// A template fails.
    #[error(transparent)]
    Render(render::Error),
    /// A template renders to something that is not YAML.
    #[error(transparent)]
    Manifest(manifest::ParseError),
}

impl Error {
    /// Tells whether upstream had begun to make a release, of which it then shows what there is.
    pub fn has_release(&self) -> bool {
        matches!(
            self,
            Self::KubeVersion { .. } | Self::Render(_) | Self::Manifest(_)
        )
    }
}

/// Checks the name of a release.
pub fn validate_release_name(name: &str) -> Result<(), Error> {
    let fail = |problem| {
        Err(Error::Name {
            name: name.to_owned(),
            problem,
        })
    };
    if name.is_empty() {
        return fail("no name provided");
    }
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let is_label = |label: &str| {
        label.bytes().all(is_inner) && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 53 || !name.split('.').all(is_label) {
        return fail(
            "invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ \
             and the length must not be longer than 53",
        );
    }
    Ok(())
}

/// Renders a release: dependencies, values and their schemas, templates, manifests.
///
/// Whether it succeeds or not, `notices` gets what there is to say.
pub fn render(
    renderer: &Renderer,
    user: &Map<String, Json>,
    options: &ReleaseOptions,
    notices: &mut Vec<Notice>,
) -> Result<Rendered, Error> {
    validate_release_name(&options.release.name)?;
    let resolve = || {
        let instance = resolve(renderer.chart(), user, notices).map_err(Error::Dependencies)?;
        let values = coalesce_values(&instance, to_map(user), notices).map_err(Error::Values)?;
        if !options.skip_schema_validation {
            schema::validate(&instance, &values, notices).map_err(Error::Schema)?;
        }
        check_kube_version(&instance, &options.capabilities)?;
        Ok((instance, values))
    };
    let (instance, values, program) = renderer.resolve_and_parse(resolve, Error::Render)?;
    let environment = Environment {
        release: options.release.clone(),
        capabilities: options.capabilities.clone(),
        lookup: options.lookup.clone(),
        mode: Mode::Normal,
    };
    let mut files = program
        .render(&instance, &values, &environment, notices)
        .map_err(Error::Render)?;
    let notes = take_notes(&mut files, &instance, options.sub_notes);
    let sorted = manifest::sort(&files, &INSTALL_ORDER).map_err(Error::Manifest)?;
    notices.extend(sorted.notices);
    Ok(Rendered {
        crds: instance.crds(),
        instance,
        manifests: sorted.manifests,
        hooks: sorted.hooks,
        notes,
    })
}

fn check_kube_version(instance: &Instance, capabilities: &Capabilities) -> Result<(), Error> {
    let wanted = &instance.chart().metadata.kube_version;
    if wanted.is_empty() || is_compatible_range(wanted, &capabilities.kube_version.normalized) {
        return Ok(());
    }
    Err(Error::KubeVersion {
        wanted: wanted.clone(),
        found: capabilities.kube_version.version.clone(),
    })
}

/// Takes the notes out of the rendered files.
fn take_notes(files: &mut BTreeMap<String, Text>, root: &Instance, with_subcharts: bool) -> String {
    const SUFFIX: &str = "NOTES.txt";
    let own = format!("{}/templates/{SUFFIX}", root.path());
    let mut notes = String::new();
    files.retain(|name, text| {
        if !name.ends_with(SUFFIX) {
            return true;
        }
        if with_subcharts || *name == own {
            if !notes.is_empty() {
                notes.push('\n');
            }
            notes.push_str(&text.to_str());
        }
        false
    });
    notes
}

impl Rendered {
    /// The text of all manifests, as a release record has it.
    pub fn manifest(&self, include_crds: bool) -> String {
        let mut text = String::new();
        let crds = self.crds.iter().filter(|_| include_crds);
        for crd in crds {
            push(&mut text, &crd.filename, &text_of(&crd.data));
        }
        for manifest in &self.manifests {
            push(&mut text, &manifest.path, &manifest.content);
        }
        text
    }

    /// The text of manifests and hooks, as `helm template` prints it.
    pub fn template_output(&self, include_crds: bool, skip_tests: bool) -> String {
        let mut text = String::new();
        let write = |part: &str| {
            text.push_str(part);
            Ok::<(), Infallible>(())
        };
        match self.write_template_output(include_crds, skip_tests, write) {
            Ok(()) => text,
            Err(never) => match never {},
        }
    }

    /// Writes that text in parts, which is a matter of megabytes where there are many custom resource definitions.
    pub fn write_template_output<E>(
        &self,
        include_crds: bool,
        skip_tests: bool,
        mut write: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut trimmed = Trimmed {
            blanks: String::new(),
            write: &mut write,
        };
        for crd in self.crds.iter().filter(|_| include_crds) {
            trimmed.document(&crd.filename, &text_of(&crd.data))?;
        }
        for manifest in &self.manifests {
            trimmed.document(&manifest.path, &manifest.content)?;
        }
        write("\n")?;
        for hook in self.hooks.iter().filter(|hook| !(skip_tests && hook.is_test())) {
            document(&hook.path, &hook.manifest, &mut write)?;
        }
        Ok(())
    }
}

/// Writes a text without the blanks at its end. At its start there are none.
struct Trimmed<'w, W> {
    /// Those that were not written yet.
    blanks: String,
    write: &'w mut W,
}

impl<E, W: FnMut(&str) -> Result<(), E>> Trimmed<'_, W> {
    fn document(&mut self, path: &str, content: &str) -> Result<(), E> {
        document(path, content, |part| self.part(part))
    }

    fn part(&mut self, part: &str) -> Result<(), E> {
        let text = part.trim_end();
        if !text.is_empty() {
            (self.write)(&self.blanks)?;
            self.blanks.clear();
            (self.write)(text)?;
        }
        self.blanks.push_str(part.get(text.len()..).unwrap_or_default());
        Ok(())
    }
}

fn push(text: &mut String, path: &str, content: &str) {
    let write = |part: &str| {
        text.push_str(part);
        Ok::<(), Infallible>(())
    };
    match document(path, content, write) {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

fn document<E>(path: &str, content: &str, mut write: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    ["---\n# Source: ", path, "\n", content, "\n"]
        .into_iter()
        .try_for_each(&mut write)
}

/// Invalid bytes are replaced. The check is much faster than the replacing.
fn text_of(data: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(data) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(data),
    }
}

/// Picks the manifests of some files out of what `helm template` prints; a pattern without any is returned
/// as the error.
pub fn show_only(output: &str, patterns: &[String]) -> Result<String, String> {
    let documents: Vec<&str> = manifest::split(output).collect();
    let mut shown = String::new();
    for pattern in patterns {
        let mut is_missing = true;
        for document in &documents {
            let matches = |path| ferro_gocompat::path::matches(pattern, path) == Ok(true);
            if source_path(document).is_some_and(matches) {
                is_missing = false;
                let _ = writeln!(shown, "---\n{document}");
            }
        }
        if is_missing {
            return Err(pattern.clone());
        }
    }
    Ok(shown)
}

/// The path behind the chart's name in the first `# Source:` line.
fn source_path(document: &str) -> Option<&str> {
    document.match_indices("# Source: ").find_map(|(at, marker)| {
        let line = document.get(at + marker.len()..)?.split('\n').next()?;
        let (chart, path) = line.split_once('/')?;
        (!chart.is_empty() && !path.is_empty()).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hosts() {
        for name in ["a", "a-b.c1", "0"] {
            assert_eq!(validate_release_name(name), Ok(()));
        }
        for name in ["", "A", "-a", "a-", "a..b", "a_b", &"a".repeat(54)] {
            assert!(validate_release_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn files_are_shown_by_their_path_in_the_chart() {
        let output =
            "---\n# Source: app/templates/a.yaml\na: 1\n---\n# Source: app/charts/b/templates/b.yaml\nb: 1\n";
        let shown = show_only(output, &["templates/*.yaml".to_owned()]);
        assert_eq!(
            shown.as_deref(),
            Ok("---\n# Source: app/templates/a.yaml\na: 1\n\n")
        );
        let missing = show_only(output, &["templates/b.yaml".to_owned()]);
        assert_eq!(missing, Err("templates/b.yaml".to_owned()));
    }
}
