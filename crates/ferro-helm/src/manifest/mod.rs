//! From rendered files to manifests and hooks, in the order in which they are installed.

mod hook;
mod order;
mod split;

use std::collections::BTreeMap;

use ferro_template::Text;

use crate::Notice;
use crate::chart::{Head, read_head};
pub use hook::{DeletePolicy, Hook, HookEvent, OutputLogPolicy};
pub use order::{INSTALL_ORDER, KindOrder, UNINSTALL_ORDER};
pub use split::split;

/// A manifest of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The file that it comes from.
    pub path: String,
    /// Its text.
    pub content: String,
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its `kind`.
    pub kind: String,
    /// Its `metadata.name`.
    pub name: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What rendered files hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// The hooks.
    pub hooks: Vec<Hook>,
    /// Everything else.
    pub manifests: Vec<Manifest>,
    /// What there is to say.
    pub notices: Vec<Notice>,
}

/// A file that is not YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("YAML parse error on {path}: {problem}")]
pub struct ParseError {
    /// The file.
    pub path: String,
    /// What is wrong, in upstream's words.
    pub problem: String,
}

/// Splits files into documents, and sorts those into hooks and manifests.
///
/// ```
/// use std::collections::BTreeMap;
/// use ferro_helm::manifest::{INSTALL_ORDER, sort};
///
/// let files = BTreeMap::from([("a.yaml".to_owned(), "kind: Pod\n---\nkind: Secret\n".into())]);
/// let sorted = sort(&files, &INSTALL_ORDER)?;
/// assert_eq!(sorted.manifests[0].kind, "Secret");
/// # Ok::<(), ferro_helm::manifest::ParseError>(())
/// ```
pub fn sort(files: &BTreeMap<String, Text>, order: &KindOrder) -> Result<Sorted, ParseError> {
    let mut sorted = Sorted::default();
    for (path, content) in files {
        if is_partial(path) {
            continue;
        }
        let fail = |problem| ParseError {
            path: path.clone(),
            problem,
        };
        let Some(content) = content.as_str() else {
            return Err(fail(not_utf8(content)));
        };
        for document in split(content) {
            let head = read_head(document).map_err(fail)?;
            sorted.add(path, document, head);
        }
    }
    sorted.hooks.sort_by(|a, b| order.compare(&a.kind, &b.kind));
    sorted.manifests.sort_by(|a, b| order.compare(&a.kind, &b.kind));
    Ok(sorted)
}

/// Tells whether a template is only there for others to include.
pub(crate) fn is_partial(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|base| base.starts_with('_'))
}

fn not_utf8(content: &Text) -> String {
    match ferro_yaml::sigs::from_slice(content.as_bytes()) {
        Err(error) => format!("error converting YAML to JSON: {error}"),
        Ok(_) => "error converting YAML to JSON: yaml: control characters are not allowed".to_owned(),
    }
}

impl Sorted {
    fn add(&mut self, path: &str, document: &str, head: Head) {
        let annotations = head.annotations.clone().unwrap_or_default();
        if !annotations.contains_key(hook::ANNOTATION) {
            return self.manifests.push(Manifest {
                path: path.to_owned(),
                content: document.to_owned(),
                api_version: head.api_version,
                kind: head.kind,
                name: head.name,
                annotations,
            });
        }
        match Hook::read(path, document, head, &annotations) {
            Ok(hook) => self.hooks.push(hook),
            Err(notice) => self.notices.push(notice),
        }
    }
}

#[cfg(test)]
mod tests;
