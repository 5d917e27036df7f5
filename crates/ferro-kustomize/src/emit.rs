//! Output: the text of resources, and the forms in which messages and hashes show nodes.

use ferro_yaml::{EmitOptions, Node, to_string};

use crate::error::{Error, Result};
use crate::resource::Resource;

/// Writes a resource as `kustomize build` does.
pub(crate) fn resource(resource: &Resource) -> Result<String> {
    let bare;
    let node = if resource.shared.is_empty() {
        &resource.node
    } else {
        bare = crate::shared::without_anchors(&resource.node);
        &bare
    };
    to_string(node, &EmitOptions::sigs())
        .map_err(|error| Error::other(error.to_string()).at(resource.location()))
}

/// Writes a node as kyaml does, for messages.
pub(crate) fn kyaml(node: &Node) -> String {
    to_string(&crate::shared::without_anchors(node), &EmitOptions::kyaml()).unwrap_or_default()
}

/// Writes a node as kustomize writes configuration, for messages.
pub(crate) fn config(node: &Node) -> String {
    to_string(&crate::shared::without_anchors(node), &EmitOptions::sigs()).unwrap_or_default()
}

/// Writes a node as Go's JSON: compact, with sorted keys. What has no JSON form is nothing.
pub(crate) fn json(node: &Node) -> String {
    node.to_json()
        .map(|value| ferro_gocompat::json::to_string(&value))
        .unwrap_or_default()
}

/// Writes a resource with its bookkeeping as JSON, for messages; what has no JSON form is the reason for that.
pub(crate) fn exposed_json(resource: &Resource) -> String {
    let mut resource = resource.clone();
    resource.expose_record();
    match crate::shared::without_anchors(&resource.node).to_json() {
        Ok(value) => ferro_gocompat::json::to_string(&value),
        Err(error) => format!("<{error}>"),
    }
}

/// Writes a node as Go's JSON with two blanks of indentation.
pub(crate) fn pretty_json(node: &Node) -> String {
    let options = ferro_gocompat::json::Options {
        indent: "  ",
        ..ferro_gocompat::json::Options::default()
    };
    node.to_json()
        .map(|value| ferro_gocompat::json::to_string_with(&value, &options))
        .unwrap_or_default()
}
