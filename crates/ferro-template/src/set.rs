//! Sets of templates.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::ast::Tree;
use crate::error::Error;
use crate::func::Functions;
use crate::lex::Delims;
use crate::parse::File;
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

/// How templates are executed. Go has but the first; the rest are limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a map without the key gives.
    pub missing_key: MissingKey,
    /// How many bytes one execution may write, nested ones included, and how long a printed text may be.
    pub max_output: usize,
    /// How deep executions may nest through functions (`include`, `tpl`).
    pub max_nesting: usize,
    /// How many steps (texts, actions, iterations) one execution may take, nested ones included.
    pub max_steps: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            missing_key: MissingKey::default(),
            max_output: 1 << 30,
            max_nesting: 10_000,
            max_steps: 1 << 30,
        }
    }
}

/// A set of templates that know each other by name. Cloning is cheap.
#[derive(Clone)]
pub struct Templates {
    name: Arc<str>,
    functions: Arc<Functions>,
    options: Options,
    delims: Option<(Arc<str>, Arc<str>)>,
    layer: Arc<Layer>,
}

/// A text that was parsed, with the definitions in it. Cloning is cheap.
#[derive(Clone)]
pub struct Parsed(Arc<[Arc<Tree>]>);

/// A text that was parsed before it is known what it is called.
pub struct Unnamed(File);

impl Unnamed {
    /// Gives it its name. This fails if the text has a definition of the same name.
    pub fn named(self, name: &str) -> Result<Parsed, Error> {
        Parsed::of(self.0, &Text::from(name))
    }
}

impl Parsed {
    fn of(file: File, name: &Text) -> Result<Self, Error> {
        Ok(Self(file.named(name)?.into_iter().map(Arc::new).collect()))
    }

    /// Tells whether one of its templates has nothing but space and comments.
    pub fn has_blank(&self) -> bool {
        self.0.iter().any(|tree| tree.is_empty)
    }
}

/// Templates on top of others, which they hide.
#[derive(Clone, Default)]
struct Layer {
    below: Option<Arc<Self>>,
    trees: HashMap<Text, Arc<Tree>, RandomState>,
}

impl Layer {
    fn lookup(&self, name: &[u8]) -> Option<&Tree> {
        let mut layer = self;
        loop {
            if let Some(tree) = layer.trees.get(name) {
                return Some(tree);
            }
            layer = layer.below.as_deref()?;
        }
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        // Layers may be many; dropping them must not recurse.
        let mut below = self.below.take();
        while let Some(mut layer) = below.and_then(Arc::into_inner) {
            below = layer.below.take();
        }
    }
}

impl Templates {
    /// Makes an empty set. Its name is the one that errors about unknown templates mention.
    pub fn new(name: &str, functions: Arc<Functions>) -> Self {
        Self {
            name: name.into(),
            functions,
            options: Options::default(),
            delims: None,
            layer: Arc::default(),
        }
    }

    /// Changes how the templates are executed.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Changes the delimiters of actions in what is parsed from now on; an empty one is the usual.
    #[must_use]
    pub fn with_delims(mut self, left: &str, right: &str) -> Self {
        let or = |delim: &str, default: &str| Arc::from(if delim.is_empty() { default } else { delim });
        self.delims = Some((or(left, "{{"), or(right, "}}")));
        self
    }

    /// Makes a set that has the templates of this one, and to which more can be added without changing it.
    #[must_use]
    pub fn child(&self) -> Self {
        let layer = if self.layer.trees.is_empty() {
            Arc::clone(&self.layer)
        } else {
            Arc::new(Layer {
                below: Some(Arc::clone(&self.layer)),
                trees: HashMap::default(),
            })
        };
        Self {
            layer,
            ..self.clone()
        }
    }

    /// Parses a text as the template of that name. Definitions within it join the set; one that is empty
    /// but for space and comments replaces no other.
    pub fn parse(&mut self, name: &str, text: impl AsRef<[u8]>) -> Result<(), Error> {
        let parsed = self.parse_apart(name, text.as_ref())?;
        self.add(&parsed);
        Ok(())
    }

    /// Parses a text, which the template holds on to, as the template of that name without adding it.
    pub fn parse_apart(&self, name: &str, text: impl Into<Arc<[u8]>>) -> Result<Parsed, Error> {
        let name = Text::from(name);
        Parsed::of(self.parse_as(&name, &text.into())?, &name)
    }

    /// Parses a text whose name will only be known later. An error does not show it, so that whoever wants to tell it parses again.
    pub fn parse_unnamed(&self, text: impl Into<Arc<[u8]>>) -> Result<Unnamed, Error> {
        self.parse_as(&Text::default(), &text.into()).map(Unnamed)
    }

    fn parse_as(&self, name: &Text, text: &Arc<[u8]>) -> Result<File, Error> {
        let delims = match &self.delims {
            Some((left, right)) => Delims {
                left: left.as_bytes(),
                right: right.as_bytes(),
            },
            None => Delims::default(),
        };
        crate::parse::parse(name, text, delims, &self.functions)
    }

    /// Adds what was parsed for a set with the same functions.
    pub fn add(&mut self, parsed: &Parsed) {
        for tree in &*parsed.0 {
            if tree.is_empty && self.lookup(tree.name.as_bytes()).is_some() {
                continue;
            }
            let layer = Arc::make_mut(&mut self.layer);
            layer.trees.insert(tree.name.clone(), Arc::clone(tree));
        }
    }

    /// Tells whether there is a template of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.lookup(name.as_bytes()).is_some()
    }

    /// Returns the name of the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how the templates are executed.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the functions.
    pub fn functions(&self) -> &Arc<Functions> {
        &self.functions
    }

    pub(crate) fn lookup(&self, name: &[u8]) -> Option<&Tree> {
        self.layer.lookup(name)
    }

    /// Executes a template. Functions find `state` with [`Call::state`](crate::Call::state).
    pub fn execute(&self, name: &str, data: &Value, state: &dyn Any) -> Result<Text, Error> {
        crate::exec::execute(self, name.as_bytes(), data, state)
    }
}
