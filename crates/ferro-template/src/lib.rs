//! Go's `text/template` in Rust: the language of Helm's charts, byte for byte.
//!
//! A [`Templates`] is a set of parsed templates that know each other by name and call [`Functions`]. It is
//! parsed once, can be shared by threads, and executed as often as needed over [`Value`]s, which model
//! Go's values with their types. Output, error texts and positions are those of Go 1.26.
//!
//! ```
//! use std::sync::Arc;
//! use ferro_template::{Functions, Map, Templates, Value};
//!
//! let mut templates = Templates::new("greeting", Arc::new(Functions::builtins()));
//! templates.parse("greeting", "Hello, {{ .name }}!")?;
//! let data = Value::from(Map::from_iter([("name", Value::from("world"))]));
//! assert_eq!(templates.execute("greeting", &data, &())?, *"Hello, world!");
//! # Ok::<(), ferro_template::Error>(())
//! ```
//!
//! # What it does not do
//!
//! It reads no files and knows no functions but the language's own: sprig and Helm's are in `ferro-sprig` and
//! `ferro-helm`. Channels do not exist here; `range` over one of Go's iterator functions is an
//! [`Object`] that [iterates](Object::iterate). There is no `html/template`.
//!
//! # Limits
//!
//! Go's limits are kept with their texts: 10 000 nested parentheses, 100 000 templates within each other. Where
//! Go would use up its memory or run forever, [`Options`] sets bounds: output, nested executions, steps. Such
//! errors are of [`ErrorKind::Limit`]. No template and no value, however deep, overflows the stack.
//!
//! Two things are told apart only in Go: whether a struct stands where it can be pointed to (an [`Object`] says
//! itself which of its methods are visible), and what address a pointer has (it is always the same here).

mod ast;
mod builtin;
mod error;
mod exec;
mod func;
mod lex;
mod number;
mod parse;
mod print;
mod set;
mod show;
mod stack;
pub mod value;

pub use error::{Error, ErrorKind};
pub use func::{Call, Function, Functions};
pub use print::{sprint, sprintf, sprintln};
pub use set::{MissingKey, Options, Parsed, Templates, Unnamed};
pub use value::types;
pub use value::{
    Entries, Int, IntKind, Item, Items, Key, Kind, List, Map, Method, Named, NamedType, NilPointer, Object,
    OrderedFloat, Text, Type, Value,
};
