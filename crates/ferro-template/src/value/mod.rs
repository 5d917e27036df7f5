//! Go's values, as templates see them.
//!
//! A [`Value`] knows its Go type, because templates can: `printf "%T"`, `eq`, and every argument check
//! depend on it. Cloning is cheap and shares lists and maps; maps are changed in place, as in Go.
//! Values belong to one render and one thread.

mod list;
mod map;
mod object;
mod text;
pub mod types;

use std::rc::Rc;
use std::sync::Arc;

pub use list::List;
pub use map::{Entries, Key, Map, OrderedFloat};
pub use object::{Item, Items, NilPointer, Object};
pub use text::Text;
pub(crate) use text::lossy;
pub use types::{IntKind, Kind, Method, NamedType, Type};

use crate::func::Function;

/// A Go value.
#[derive(Clone, Default)]
pub enum Value {
    /// The untyped nil: an empty interface, or no value at all.
    #[default]
    Nil,
    /// `bool`
    Bool(bool),
    /// An integer of any kind.
    Int(Int),
    /// `float64`
    Float(f64),
    /// `float32`
    Float32(f32),
    /// `complex128`
    Complex(f64, f64),
    /// `string`
    Str(Text),
    /// `[]uint8`
    Bytes(Arc<[u8]>),
    /// A slice or an array.
    List(List),
    /// A map.
    Map(Map),
    /// A struct or a pointer.
    Object(Rc<dyn Object>),
    /// A boolean, number, string or function of a named type, such as `time.Duration`.
    Named(Rc<Named>),
    /// A function.
    Func(Function),
}

/// An integer with its kind. Unsigned ones are kept by their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int {
    /// Its kind.
    pub kind: IntKind,
    /// Its bits, sign-extended when the kind is signed.
    pub bits: i64,
}

impl Int {
    /// Makes an integer, cut to the width of the kind.
    pub const fn new(kind: IntKind, bits: i64) -> Self {
        Self {
            kind,
            bits: kind.wrap(bits),
        }
    }

    /// Returns the number as a signed one, unless it is too large.
    pub fn as_i64(self) -> Option<i64> {
        (self.kind.is_signed() || self.bits >= 0).then_some(self.bits)
    }

    /// Returns the number as a wide one, which always fits.
    pub fn as_i128(self) -> i128 {
        if self.kind.is_signed() {
            i128::from(self.bits)
        } else {
            i128::from(self.bits as u64)
        }
    }
}

/// A value of a named type that is no list, map or struct.
#[derive(Clone)]
pub struct Named {
    /// The type.
    pub ty: &'static NamedType,
    /// The value of the underlying type.
    pub value: Value,
}

impl Value {
    /// Makes an `int`.
    pub const fn int(value: i64) -> Self {
        Self::Int(Int {
            kind: IntKind::Int,
            bits: value,
        })
    }

    /// Makes an `int64`.
    pub const fn int64(value: i64) -> Self {
        Self::Int(Int {
            kind: IntKind::Int64,
            bits: value,
        })
    }

    /// Makes an integer of a kind, cut to its width.
    pub const fn int_of(kind: IntKind, bits: i64) -> Self {
        Self::Int(Int::new(kind, bits))
    }

    /// Makes a string.
    pub fn str(text: impl Into<Text>) -> Self {
        Self::Str(text.into())
    }

    /// Makes a `[]interface {}`.
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(List::new(items))
    }

    /// Makes a value of a named type from one of the underlying type.
    pub fn named(ty: &'static NamedType, value: Self) -> Self {
        Self::Named(Rc::new(Named { ty, value }))
    }

    /// Makes a value of a struct or pointer.
    pub fn object(object: impl Object) -> Self {
        Self::Object(Rc::new(object))
    }

    /// Returns the kind; of nil it is invalid.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Nil => Kind::Invalid,
            Self::Bool(_) => Kind::Bool,
            Self::Int(int) => Kind::Int(int.kind),
            Self::Float(_) => Kind::Float64,
            Self::Float32(_) => Kind::Float32,
            Self::Complex(..) => Kind::Complex128,
            Self::Str(_) => Kind::String,
            Self::Bytes(_) => Kind::Slice,
            Self::List(list) => list.ty().kind(),
            Self::Map(_) => Kind::Map,
            Self::Object(object) => object.go_type().kind(),
            Self::Named(named) => named.ty.underlying.kind(),
            Self::Func(_) => Kind::Func,
        }
    }

    /// Returns the type; nil has none. That of a function does not tell its signature, which
    /// [`Value::type_name`] does.
    pub fn go_type(&self) -> Option<Type> {
        Some(match self {
            Self::Nil => return None,
            Self::Bool(_) => Type::Bool,
            Self::Int(int) => Type::Int(int.kind),
            Self::Float(_) => Type::Float64,
            Self::Float32(_) => Type::Float32,
            Self::Complex(..) => Type::Complex,
            Self::Str(_) => Type::String,
            Self::Bytes(_) => *types::BYTE_SLICE,
            Self::List(list) => *list.ty(),
            Self::Map(map) => *map.ty(),
            Self::Object(object) => object.go_type(),
            Self::Named(named) => Type::Named(named.ty),
            Self::Func(_) => Type::Func("func"),
        })
    }

    /// Returns what `%T` prints.
    pub fn type_name(&self) -> String {
        match self {
            Self::Func(function) => function.type_text(),
            _ => self
                .go_type()
                .map_or_else(|| "<nil>".to_owned(), |ty| ty.to_string()),
        }
    }

    /// Returns the method of that name.
    pub fn method(&self, name: &str) -> Option<&'static Method> {
        match self {
            Self::List(list) => list.ty().method(name),
            Self::Map(map) => map.ty().method(name),
            Self::Named(named) => named.ty.methods.iter().find(|method| method.name == name),
            Self::Object(object) => object.method(name),
            _ => None,
        }
    }

    /// Returns what the `Error` or `String` method says, if there is one.
    pub fn display(&self) -> Option<Text> {
        let of_type = |ty: &Type| match ty {
            Type::Named(named) => named.display,
            _ => None,
        };
        match self {
            Self::List(list) => of_type(list.ty()).map(|display| display(self)),
            Self::Map(map) => of_type(map.ty()).map(|display| display(self)),
            Self::Named(named) => named.ty.display.map(|display| display(self)),
            Self::Object(object) => object.display(),
            _ => None,
        }
    }

    /// Tells whether it is an `error`.
    pub fn is_error(&self) -> bool {
        match self {
            Self::Object(object) => object.is_error(),
            Self::Named(named) => named.ty.is_error,
            _ => false,
        }
    }

    /// Tells whether it is nil: untyped, or a nil pointer, map, slice.
    pub fn is_nil(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::List(list) => list.is_nil(),
            Self::Map(map) => map.is_nil(),
            Self::Object(object) => object.is_nil(),
            _ => false,
        }
    }

    /// Tells whether `if` takes it for true: not the zero value; structs always.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(int) => int.bits != 0,
            Self::Float(value) => *value != 0.0,
            Self::Float32(value) => *value != 0.0,
            Self::Complex(re, im) => *re != 0.0 || *im != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Object(object) => !object.is_nil(),
            Self::Named(named) => named.value.is_true(),
            Self::Func(_) => true,
        }
    }

    /// Returns the value of the underlying type.
    pub fn plain(&self) -> &Self {
        match self {
            Self::Named(named) => named.value.plain(),
            other => other,
        }
    }

    /// Returns the string, also of a named string type.
    pub fn as_text(&self) -> Option<&Text> {
        match self.plain() {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the map.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Returns the list; `[]uint8` is [`Value::Bytes`].
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// Returns the integer, also of a named type.
    pub fn as_int(&self) -> Option<Int> {
        match self.plain() {
            Self::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// Returns the object when it is a `T`.
    pub fn downcast<T: Object>(&self) -> Option<&T> {
        match self {
            Self::Object(object) => (&**object as &dyn std::any::Any).downcast_ref(),
            _ => None,
        }
    }

    /// Returns the value under another type with the same underlying type, as Go converts on assignment.
    pub fn retyped(self, ty: &'static Type) -> Self {
        match (self, ty) {
            (Self::Map(map), _) => Self::Map(map.retyped(ty)),
            (Self::List(list), _) => Self::List(list.retyped(ty)),
            (other, _) => other,
        }
    }
}

/// Drops values without recursion, however deep lists and maps are nested.
fn drop_deep(mut values: Vec<Value>) {
    let is_flat = |value: &Value| !matches!(value, Value::List(_) | Value::Map(_));
    if values.iter().all(is_flat) {
        return;
    }
    while let Some(value) = values.pop() {
        let inner = match value {
            Value::List(mut list) => list.take_items(),
            Value::Map(mut map) => map.take_values(),
            _ => None,
        };
        values.extend(inner.into_iter().flatten().filter(|value| !is_flat(value)));
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::Str(text)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}
