//! Go's types, as far as templates can tell them apart.

use std::fmt;

use super::{Text, Value};
use crate::error::Error;
use crate::func::Call;

/// A Go type. Types are known when a program is compiled, so composites refer to their parts statically:
/// `&Type::Slice(&Type::String)` is `[]string`.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// `interface {}`
    Any,
    /// `error`
    Error,
    /// `bool`
    Bool,
    /// `int`, `uint8`, …
    Int(IntKind),
    /// `float32`
    Float32,
    /// `float64`
    Float64,
    /// `complex128`
    Complex,
    /// `string`
    String,
    /// `[]T`
    Slice(&'static Self),
    /// `[N]T`
    Array(usize, &'static Self),
    /// `map[K]V`
    Map(&'static Self, &'static Self),
    /// `*T`
    Ptr(&'static Self),
    /// A struct without a name of its own, with the text that Go prints for it.
    Struct(&'static str),
    /// A function type, with the text that Go prints for it.
    Func(&'static str),
    /// A named type.
    Named(&'static NamedType),
}

/// `[]interface {}`
pub const ANY_SLICE: &Type = &Type::Slice(&Type::Any);
/// `[]string`
pub const STRING_SLICE: &Type = &Type::Slice(&Type::String);
/// `[]int`
pub const INT_SLICE: &Type = &Type::Slice(&Type::Int(IntKind::Int));
/// `[]uint8`
pub const BYTE_SLICE: &Type = &Type::Slice(&Type::Int(IntKind::Uint8));
/// `map[string]interface {}`
pub const ANY_MAP: &Type = &Type::Map(&Type::String, &Type::Any);
/// `map[string]string`
pub const STRING_MAP: &Type = &Type::Map(&Type::String, &Type::String);

/// The kinds of Go's integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names of Go's types")]
pub enum IntKind {
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Uintptr,
}

impl IntKind {
    /// Tells whether values of this kind may be negative.
    pub const fn is_signed(self) -> bool {
        matches!(
            self,
            Self::Int | Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64
        )
    }

    /// Returns the name of the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint => "uint",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Uintptr => "uintptr",
        }
    }

    /// Cuts a number to the width of this kind, as a conversion in Go does.
    pub const fn wrap(self, bits: i64) -> i64 {
        match self {
            Self::Int | Self::Int64 | Self::Uint | Self::Uint64 | Self::Uintptr => bits,
            Self::Int8 => bits as i8 as i64,
            Self::Int16 => bits as i16 as i64,
            Self::Int32 => bits as i32 as i64,
            Self::Uint8 => bits as u8 as i64,
            Self::Uint16 => bits as u16 as i64,
            Self::Uint32 => bits as u32 as i64,
        }
    }
}

/// `reflect.Kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of Go's kinds")]
pub enum Kind {
    Invalid,
    Bool,
    Int(IntKind),
    Float32,
    Float64,
    Complex128,
    Array,
    Func,
    Interface,
    Map,
    Ptr,
    Slice,
    String,
    Struct,
}

impl Kind {
    /// Returns what `reflect.Kind.String` does.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Bool => "bool",
            Self::Int(kind) => kind.name(),
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Complex128 => "complex128",
            Self::Array => "array",
            Self::Func => "func",
            Self::Interface => "interface",
            Self::Map => "map",
            Self::Ptr => "ptr",
            Self::Slice => "slice",
            Self::String => "string",
            Self::Struct => "struct",
        }
    }
}

/// A type with a name and methods, such as `time.Duration` or `common.Values`.
#[derive(Debug)]
pub struct NamedType {
    /// Its name with the package, as `%T` prints it.
    pub name: &'static str,
    /// What it is made of.
    pub underlying: Type,
    /// The methods that templates can call.
    pub methods: &'static [Method],
    /// Its `String` or `Error` method, if it has one; objects have [`Object::display`](super::Object::display).
    pub display: Option<fn(&Value) -> Text>,
    /// Tells whether it is an `error`.
    pub is_error: bool,
}

impl NamedType {
    /// A named type without methods.
    pub const fn plain(name: &'static str, underlying: Type) -> Self {
        Self {
            name,
            underlying,
            methods: &[],
            display: None,
            is_error: false,
        }
    }
}

/// What a method does: it gets the receiver and arguments that were checked against the parameters.
pub type MethodFn = fn(&mut Call<'_>, &Value, &[Value]) -> Result<Value, Error>;

/// A method of a named type.
#[derive(Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// The types of its parameters; of a variadic one the last is the type of an element.
    pub params: &'static [&'static Type],
    /// Tells whether the last parameter takes any number of arguments.
    pub is_variadic: bool,
    /// The type of its result.
    pub result: &'static Type,
    /// The method itself.
    pub run: MethodFn,
}

impl Type {
    /// Returns the kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Any | Self::Error => Kind::Interface,
            Self::Bool => Kind::Bool,
            Self::Int(kind) => Kind::Int(*kind),
            Self::Float32 => Kind::Float32,
            Self::Float64 => Kind::Float64,
            Self::Complex => Kind::Complex128,
            Self::String => Kind::String,
            Self::Slice(_) => Kind::Slice,
            Self::Array(..) => Kind::Array,
            Self::Map(..) => Kind::Map,
            Self::Ptr(_) => Kind::Ptr,
            Self::Struct(_) => Kind::Struct,
            Self::Func(_) => Kind::Func,
            Self::Named(named) => named.underlying.kind(),
        }
    }

    /// Returns the type without its name.
    pub const fn underlying(&self) -> &Self {
        match self {
            Self::Named(named) => named.underlying.underlying(),
            other => other,
        }
    }

    /// Returns the type of an element of a slice, array or map.
    pub const fn elem(&self) -> Option<&'static Self> {
        match self.underlying() {
            Self::Slice(elem) | Self::Array(_, elem) | Self::Map(_, elem) => Some(elem),
            _ => None,
        }
    }

    /// Returns the type of the keys of a map.
    pub const fn key(&self) -> Option<&'static Self> {
        match self.underlying() {
            Self::Map(key, _) => Some(key),
            _ => None,
        }
    }

    /// Returns the method of that name; methods of `T` are methods of `*T` too.
    pub fn method(&self, name: &str) -> Option<&'static Method> {
        match self {
            Self::Named(named) => named.methods.iter().find(|method| method.name == name),
            Self::Ptr(Self::Named(named)) => Self::Named(named).method(name),
            _ => None,
        }
    }

    /// Tells whether the untyped `nil` is a value of this type.
    pub const fn can_be_nil(&self) -> bool {
        matches!(
            self.kind(),
            Kind::Interface | Kind::Map | Kind::Ptr | Kind::Slice | Kind::Func
        )
    }

    /// Tells whether a value of this type can be assigned to `target`. Whether it is an `error` is not
    /// for the type alone to say.
    pub fn is_assignable_to(&self, target: &Self) -> bool {
        if matches!(target, Self::Any) || self == target {
            return true;
        }
        let is_named = |ty: &Self| {
            !matches!(
                ty,
                Self::Slice(_)
                    | Self::Array(..)
                    | Self::Map(..)
                    | Self::Ptr(_)
                    | Self::Struct(_)
                    | Self::Func(_)
            )
        };
        (!is_named(self) || !is_named(target))
            && !matches!(target, Self::Error)
            && self.underlying() == target.underlying()
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any)
            | (Self::Error, Self::Error)
            | (Self::Bool, Self::Bool)
            | (Self::Float32, Self::Float32)
            | (Self::Float64, Self::Float64)
            | (Self::Complex, Self::Complex)
            | (Self::String, Self::String) => true,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Slice(a), Self::Slice(b)) | (Self::Ptr(a), Self::Ptr(b)) => a == b,
            (Self::Array(n, a), Self::Array(m, b)) => n == m && a == b,
            (Self::Map(k, v), Self::Map(l, w)) => k == l && v == w,
            (Self::Struct(a), Self::Struct(b)) | (Self::Func(a), Self::Func(b)) => a == b,
            (Self::Named(a), Self::Named(b)) => a.name == b.name,
            _ => false,
        }
    }
}

impl Eq for Type {}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("interface {}"),
            Self::Error => f.write_str("error"),
            Self::Bool => f.write_str("bool"),
            Self::Int(kind) => f.write_str(kind.name()),
            Self::Float32 => f.write_str("float32"),
            Self::Float64 => f.write_str("float64"),
            Self::Complex => f.write_str("complex128"),
            Self::String => f.write_str("string"),
            Self::Slice(elem) => write!(f, "[]{elem}"),
            Self::Array(len, elem) => write!(f, "[{len}]{elem}"),
            Self::Map(key, elem) => write!(f, "map[{key}]{elem}"),
            Self::Ptr(to) => write!(f, "*{to}"),
            Self::Struct(text) | Self::Func(text) => f.write_str(text),
            Self::Named(named) => f.write_str(named.name),
        }
    }
}
