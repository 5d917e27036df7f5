//! Sets of templates.

use std::any::Any;
use std::sync::Arc;

use crate::error::Error;
use crate::func::Functions;
use crate::value::{Text, Value};

/// What a map without the key gives (Go's option `missingkey`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// `default`, `invalid`: no value.
    #[default]
    Invalid,
    /// `zero`: the zero value of the map's element type. Helm's choice.
    Zero,
    /// `error`: an error.
    Error,
}

/// How templates are executed.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a map without the key gives.
    pub missing_key: MissingKey,
    /// How many bytes one execution may write, nested ones included.
    pub max_output: usize,
    /// How deep executions may nest through functions (`include`, `tpl`).
    pub max_nesting: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            missing_key: MissingKey::default(),
            max_output: 1 << 30,
            max_nesting: 10_000,
        }
    }
}

/// A set of templates that know each other by name. Cloning is cheap.
#[derive(Clone)]
pub struct Templates {
    name: Arc<str>,
    functions: Arc<Functions>,
    options: Options,
}

impl Templates {
    /// Makes an empty set. Its name is the one that errors about unknown templates mention.
    pub fn new(name: &str, functions: Arc<Functions>) -> Self {
        Self {
            name: name.into(),
            functions,
            options: Options::default(),
        }
    }

    /// Changes how the templates are executed.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Makes a set that has the templates of this one, and to which more can be added without changing it.
    #[must_use]
    pub fn child(&self) -> Self {
        self.clone()
    }

    /// Parses a text as the template of that name. Definitions within it join the set; one that is empty
    /// but for space and comments replaces no other.
    pub fn parse(&mut self, _name: &str, _text: &str) -> Result<(), Error> {
        Ok(())
    }

    /// Tells whether there is a template of that name.
    pub fn contains(&self, _name: &str) -> bool {
        false
    }

    /// Executes a template. Functions find `state` with [`Call::state`](crate::Call::state).
    pub fn execute(&self, name: &str, _data: &Value, _state: &dyn Any) -> Result<Text, Error> {
        let _ = (&self.functions, &self.name);
        Err(Error::new(format!("template: no template {name:?}")))
    }
}
