//! Registration of functions, and access to arguments that were checked against their types.

use std::sync::Arc;

use ferro_template::types::{ANY_MAP, ANY_SLICE, INT_SLICE, STRING_MAP, STRING_SLICE};
use ferro_template::{Error, Function, Functions, Int, IntKind, List, Map, Text, Type, Value};

use crate::Environment;

pub(crate) const ANY: &Type = &Type::Any;
pub(crate) const BOOL: &Type = &Type::Bool;
pub(crate) const INT: &Type = &Type::Int(IntKind::Int);
pub(crate) const INT64: &Type = &Type::Int(IntKind::Int64);
pub(crate) const FLOAT: &Type = &Type::Float64;
pub(crate) const STRING: &Type = &Type::String;
pub(crate) const MAP: &Type = ANY_MAP;
pub(crate) const TEXT_MAP: &Type = STRING_MAP;
pub(crate) const LIST: &Type = ANY_SLICE;
pub(crate) const TEXTS: &Type = STRING_SLICE;
pub(crate) const INTS: &Type = INT_SLICE;

/// The longest list that a function makes of numbers alone.
pub(crate) const MAX_ITEMS: usize = 1 << 22;
/// The longest text that a function makes of a number.
pub(crate) const MAX_TEXT: usize = 1 << 28;

pub(crate) type Outcome = Result<Value, Error>;

/// The functions being put together.
pub(crate) struct Table<'f> {
    functions: &'f mut Functions,
    environment: Arc<dyn Environment>,
}

impl<'f> Table<'f> {
    pub(crate) fn new(functions: &'f mut Functions, environment: Arc<dyn Environment>) -> Self {
        Self {
            functions,
            environment,
        }
    }

    pub(crate) fn environment(&self) -> Arc<dyn Environment> {
        Arc::clone(&self.environment)
    }

    /// Adds a function of fixed parameters under all of `names`.
    pub(crate) fn add(
        &mut self,
        names: &[&str],
        params: &[&'static Type],
        result: &'static Type,
        run: impl Fn(Args<'_>) -> Outcome + Send + Sync + 'static,
    ) {
        let function = Function::new(params, result, move |_, args| run(Args(args)));
        self.insert(names, &function);
    }

    /// Adds a function whose last parameter takes any number of arguments.
    pub(crate) fn add_variadic(
        &mut self,
        names: &[&str],
        params: &[&'static Type],
        result: &'static Type,
        run: impl Fn(Args<'_>) -> Outcome + Send + Sync + 'static,
    ) {
        let function = Function::variadic(params, result, move |_, args| run(Args(args)));
        self.insert(names, &function);
    }

    fn insert(&mut self, names: &[&str], function: &Function) {
        for name in names {
            self.functions.insert(name, function.clone());
        }
    }
}

/// The arguments of a call.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a>(pub(crate) &'a [Value]);

impl<'a> Args<'a> {
    pub(crate) fn any(self, index: usize) -> &'a Value {
        self.0.get(index).unwrap_or(&Value::Nil)
    }

    pub(crate) fn text(self, index: usize) -> &'a [u8] {
        self.any(index).as_text().map_or(&[], Text::as_bytes)
    }

    /// A text with replacement characters for bytes that are not UTF-8.
    pub(crate) fn string(self, index: usize) -> std::borrow::Cow<'a, str> {
        self.any(index).as_text().map(Text::to_str).unwrap_or_default()
    }

    pub(crate) fn int(self, index: usize) -> i64 {
        self.any(index).as_int().map_or(0, |int: Int| int.bits)
    }

    pub(crate) fn float(self, index: usize) -> f64 {
        match self.any(index).plain() {
            Value::Float(value) => *value,
            _ => 0.0,
        }
    }

    pub(crate) fn bool(self, index: usize) -> bool {
        matches!(self.any(index).plain(), Value::Bool(true))
    }

    pub(crate) fn map(self, index: usize) -> Map {
        self.any(index).as_map().cloned().unwrap_or_else(|| Map::nil(MAP))
    }

    pub(crate) fn list(self, index: usize) -> List {
        self.any(index)
            .as_list()
            .cloned()
            .unwrap_or_else(|| List::nil(LIST))
    }

    pub(crate) fn rest(self, from: usize) -> &'a [Value] {
        self.0.get(from..).unwrap_or_default()
    }

    pub(crate) fn len(self) -> usize {
        self.0.len()
    }
}

pub(crate) fn text(bytes: impl Into<Text>) -> Outcome {
    Ok(Value::Str(bytes.into()))
}

pub(crate) fn bytes(bytes: &[u8]) -> Outcome {
    Ok(Value::Str(Text::from_bytes(bytes)))
}

pub(crate) fn fail<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(message))
}

/// What Go says when a nil pointer or an untyped nil is looked into.
pub(crate) fn nil_dereference<T>() -> Result<T, Error> {
    fail("runtime error: invalid memory address or nil pointer dereference")
}

/// What a text reads as in sprig: strings and bytes as they are, anything else as `%v` prints it.
pub(crate) fn to_text(value: &Value) -> Text {
    match value {
        Value::Str(text) => text.clone(),
        Value::Bytes(bytes) => Text::from_bytes(bytes),
        _ => ferro_template::sprint(std::slice::from_ref(value)),
    }
}
