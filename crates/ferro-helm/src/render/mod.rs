//! Rendering: from a chart in its place and values to the text of every template.

mod ahead;
mod context;
mod error;
mod files;
mod functions;
mod glob;
mod object;
mod program;
mod texts;

use std::rc::Rc;

pub use ahead::Ahead;
pub use error::Error;
pub use functions::Lookup;
pub use program::{Engine, Program, Renderer};

use crate::Capabilities;

/// The release that is rendered: `.Release`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// The namespace that it goes to.
    pub namespace: String,
    /// Its revision, 1 for an installation.
    pub revision: i64,
    /// Whether it is upgraded rather than installed.
    pub is_upgrade: bool,
}

/// How missing things are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As an installation takes them.
    #[default]
    Normal,
    /// A value that is not there is an error.
    Strict,
    /// `required` and `fail` do not fail.
    Lint,
}

/// What a render needs besides chart and values.
#[derive(Clone)]
pub struct Environment {
    /// The release.
    pub release: Release,
    /// The cluster's capabilities.
    pub capabilities: Capabilities,
    /// Where `lookup` looks; without it finds nothing.
    pub lookup: Option<Rc<dyn Lookup>>,
    /// How missing things are taken.
    pub mode: Mode,
}
