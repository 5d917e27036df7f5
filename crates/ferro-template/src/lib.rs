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
pub use set::{MissingKey, Options, Templates};
pub use value::types;
pub use value::{
    Entries, Int, IntKind, Item, Items, Key, Kind, List, Map, Method, Named, NamedType, NilPointer, Object,
    OrderedFloat, Text, Type, Value,
};
