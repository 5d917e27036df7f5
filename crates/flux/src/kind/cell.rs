//! Cells of tables.

use kube::api::DynamicObject;

use super::{Column, KindRow, Reference};
use crate::object::ObjectExt as _;
use crate::text::{one_line, shorten_hashes, title_case};

/// What is said of an object whose controller has not spoken.
const WAITING: &str = "waiting to be reconciled";

fn ready(row: &KindRow, object: &DynamicObject) -> String {
    let status = match (row.static_message(object), object.ready()) {
        (Some(_), _) => "True",
        (None, Some(ready)) => ready.status,
        (None, None) => "False",
    };
    status.to_owned()
}

fn message(row: &KindRow, object: &DynamicObject) -> String {
    match (row.static_message(object), object.ready()) {
        (Some(message), _) => message.to_owned(),
        (None, Some(ready)) => one_line(ready.message),
        (None, None) => WAITING.to_owned(),
    }
}

pub(super) const SUSPENDED: Column = Column {
    name: "Suspended",
    cell: |_, object| title_case(object.is_suspended()).to_owned(),
};

pub(super) const READY: Column = Column {
    name: "Ready",
    cell: ready,
};

pub(super) const MESSAGE: Column = Column {
    name: "Message",
    cell: message,
};

/// The message with hashes shortened.
pub(super) const SHORT_MESSAGE: Column = Column {
    name: "Message",
    cell: |row, object| shorten_hashes(&message(row, object)),
};

/// The revision of the artifact, in full: that of a chart is its version.
pub(super) const REVISION: Column = Column {
    name: "Revision",
    cell: |_, object| artifact_revision(object),
};

/// The revision of the artifact with hashes shortened.
pub(super) const SHORT_REVISION: Column = Column {
    name: "Revision",
    cell: |_, object| shorten_hashes(&artifact_revision(object)),
};

/// Columns of most sources.
pub(super) const SOURCE: &[Column] = &[SHORT_REVISION, SUSPENDED, READY, SHORT_MESSAGE];

/// Columns of objects that have no revision.
pub(super) const PLAIN: &[Column] = &[SUSPENDED, READY, MESSAGE];

/// Returns a column that shows one field.
macro_rules! field {
    ($name:literal, $pointer:literal) => {
        Column {
            name: $name,
            cell: |_, object| object.text($pointer).to_owned(),
        }
    };
}
pub(super) use field;

pub(super) fn artifact_revision(object: &DynamicObject) -> String {
    object.text("/status/artifact/revision").to_owned()
}

/// The version of the chart that was released, or else tried.
pub(super) fn release_revision(object: &DynamicObject) -> String {
    let released = object.text("/status/history/0/chartVersion");
    let revision = if released.is_empty() {
        object.text("/status/lastAttemptedRevision")
    } else {
        released
    };
    revision.to_owned()
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// The sources of an object, the first one of which was given by the user.
pub(crate) fn source(row: &KindRow, object: &DynamicObject) -> String {
    let sources = row.sources.map(|sources| sources(object)).unwrap_or_default();
    sources.first().map(ToString::to_string).unwrap_or_default()
}
