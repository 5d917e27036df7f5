//! Older versions: the current schema, and the fields that have lost their meaning.
//!
//! Manifests that name such a field still apply. The API server drops it when it stores the object in
//! the current version, so no controller ever sees it.

#![expect(
    clippy::indexing_slicing,
    reason = "the values are built here, and indexing them inserts"
)]

use serde_json::{Value, json};

use super::schema;
use crate::meta::AccessFrom;
use crate::notification::ReceiverStatus;

/// An older version of a kind.
pub(super) struct Version {
    pub(super) name: &'static str,
    /// Adds to the current schema what the version accepts beyond it.
    pub(super) extend: fn(&mut Value),
}

/// A version that accepts what the current one does.
const fn same(name: &'static str) -> Version {
    Version { name, extend: |_| {} }
}

pub(super) const GIT_REPOSITORY: &[Version] = &[Version {
    name: "v1beta2",
    extend: |schema| {
        add(schema, "/spec", "accessFrom", schema::of::<AccessFrom>());
        add(
            schema,
            "/spec",
            "gitImplementation",
            json!({"type": "string", "enum": ["go-git", "libgit2"]}),
        );
        add(schema, "/status", "contentConfigChecksum", text());
        add(schema, "/status", "url", text());
    },
}];

pub(super) const OCI_REPOSITORY: &[Version] = &[Version {
    name: "v1beta2",
    extend: |schema| add(schema, "/status", "contentConfigChecksum", text()),
}];

pub(super) const HELM_REPOSITORY: &[Version] = &[same("v1beta2")];

pub(super) const HELM_CHART: &[Version] = &[Version {
    name: "v1beta2",
    extend: |schema| {
        add(schema, "/spec", "accessFrom", schema::of::<AccessFrom>());
        add(schema, "/spec", "valuesFile", text());
    },
}];

pub(super) const BUCKET: &[Version] = &[Version {
    name: "v1beta2",
    extend: |schema| add(schema, "/spec", "accessFrom", schema::of::<AccessFrom>()),
}];

pub(super) const KUSTOMIZATION: &[Version] = &[Version {
    name: "v1beta2",
    extend: |schema| {
        add(
            schema,
            "/spec",
            "validation",
            json!({"type": "string", "enum": ["none", "client", "server"]}),
        );
    },
}];

pub(super) const HELM_RELEASE: &[Version] = &[
    Version {
        name: "v2beta2",
        extend: extend_helm_release,
    },
    Version {
        name: "v2beta1",
        extend: extend_helm_release,
    },
];

fn extend_helm_release(schema: &mut Value) {
    add(schema, "/spec/chart/spec", "valuesFile", text());
    add(schema, "/status", "lastAppliedRevision", text());
}

pub(super) const ALERT: &[Version] = &[Version {
    name: "v1beta2",
    extend: extend_static,
}];

pub(super) const PROVIDER: &[Version] = &[Version {
    name: "v1beta2",
    extend: extend_static,
}];

/// Alerts and providers once had a status; now they are read when needed, and never reconciled.
fn extend_static(schema: &mut Value) {
    let mut status = schema::of::<ReceiverStatus>();
    if let Some(properties) = status["properties"].as_object_mut() {
        properties.remove("webhookPath");
    }
    add(schema, "", "status", status);
}

pub(super) const RECEIVER: &[Version] = &[Version {
    name: "v1beta2",
    extend: |schema| add(schema, "/status", "url", text()),
}];

pub(super) const IMAGE_REPOSITORY: &[Version] = &[same("v1beta2")];

pub(super) const IMAGE_POLICY: &[Version] = &[Version {
    name: "v1beta2",
    extend: |schema| {
        add(schema, "/status", "latestImage", text());
        add(schema, "/status", "observedPreviousImage", text());
    },
}];

pub(super) const IMAGE_UPDATE_AUTOMATION: &[Version] = &[same("v1beta2")];

/// Adds a property to the object schema at a path of property names.
fn add(schema: &mut Value, path: &str, name: &str, mut property: Value) {
    let parent = path
        .split('/')
        .skip(1)
        .fold(schema, |node, step| &mut node["properties"][step]);
    property["description"] = json!("Accepted for older manifests; it has no effect.");
    parent["properties"][name] = property;
}

fn text() -> Value {
    json!({"type": "string"})
}
