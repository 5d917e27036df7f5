//! Go structs and pointers, which other crates bring.

use std::any::Any;

use super::types::{Method, Type};
use super::{Text, Value};

/// A Go struct or pointer that templates can hold: `time.Time`, `*semver.Version`, `*common.Capabilities`.
///
/// ```
/// use ferro_template::{NamedType, Object, Type, Value};
///
/// struct Pair(i64, i64);
///
/// static PAIR: NamedType = NamedType::plain("demo.Pair", Type::Struct("struct { A int; B int }"));
///
/// impl Object for Pair {
///     fn go_type(&self) -> Type {
///         Type::Named(&PAIR)
///     }
///
///     fn fields(&self) -> Vec<(&'static str, Value)> {
///         vec![("A", Value::int(self.0)), ("B", Value::int(self.1))]
///     }
/// }
///
/// assert_eq!(ferro_template::sprint(&[Value::object(Pair(1, 2))]), *"{1 2}");
/// ```
pub trait Object: Any {
    /// Returns the type: a named struct, or a pointer to one.
    fn go_type(&self) -> Type;

    /// Returns the fields in the order of their declaration, also those that are not exported.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// Returns an exported field.
    fn field(&self, name: &str) -> Option<Value> {
        if !name.starts_with(char::is_uppercase) {
            return None;
        }
        self.fields()
            .into_iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    /// Returns the fields as `encoding/json` writes them: under the names in their tags, and without those that
    /// it leaves out when they are empty.
    fn json_fields(&self) -> Vec<(&'static str, Value)> {
        let is_exported = |name: &str| name.starts_with(char::is_uppercase);
        let fields = self.fields().into_iter();
        fields.filter(|(name, _)| is_exported(name)).collect()
    }

    /// Tells whether a field is of an interface type, in which nil is not an error to print or look into.
    fn is_interface_field(&self, _name: &str) -> bool {
        false
    }

    /// Returns a method.
    fn method(&self, name: &str) -> Option<&'static Method> {
        self.go_type().method(name)
    }

    /// Returns what its `Error` or `String` method says.
    fn display(&self) -> Option<Text> {
        None
    }

    /// Returns what the `String` method of a pointer to it says, which Go uses where the value stands in
    /// memory that can be pointed to: a field of a pointer, an element of a slice.
    fn display_addressed(&self) -> Option<Text> {
        self.display()
    }

    /// Returns the copy of it that Go makes for an argument of an interface type, if it is another: a copy
    /// cannot be pointed to, so it has neither the methods of a pointer nor their text.
    fn copied(&self) -> Option<Value> {
        None
    }

    /// Returns what a deep copy of it is, if not the same: copies made by reflection lack what is not exported.
    fn deep_copied(&self) -> Option<Value> {
        None
    }

    /// Returns what its `GoString` method says, which is what `%#v` prints.
    fn go_string(&self) -> Option<Text> {
        None
    }

    /// Tells whether it is an `error`.
    fn is_error(&self) -> bool {
        false
    }

    /// Tells whether it is a nil pointer.
    fn is_nil(&self) -> bool {
        false
    }

    /// Compares as `==` does; nothing when such values cannot be compared.
    fn equals(&self, other: &dyn Object) -> Option<bool> {
        let (this, other): (*const Self, *const ()) = (self, std::ptr::from_ref(other).cast());
        Some(std::ptr::addr_eq(this, other))
    }

    /// Returns what `range` goes through, when it is an iterator function.
    fn iterate(&self) -> Option<Items> {
        None
    }
}

/// What an iterator function yields.
pub enum Items {
    /// `iter.Seq`: single values.
    Single(Box<dyn Iterator<Item = Value>>),
    /// `iter.Seq2`: pairs.
    Pairs(Box<dyn Iterator<Item = Item>>),
}

/// A pair of an `iter.Seq2`.
pub type Item = (Value, Value);

/// A nil pointer of a type, and the fields that its struct has.
pub struct NilPointer {
    /// The type: a pointer to a named struct.
    pub ty: Type,
    /// The names of the fields.
    pub fields: &'static [&'static str],
}

impl Object for NilPointer {
    fn go_type(&self) -> Type {
        self.ty
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        self.fields.iter().map(|name| (*name, Value::Nil)).collect()
    }

    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    fn is_nil(&self) -> bool {
        true
    }

    fn equals(&self, other: &dyn Object) -> Option<bool> {
        Some(other.is_nil() && other.go_type() == self.ty)
    }
}
