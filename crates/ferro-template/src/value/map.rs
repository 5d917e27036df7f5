//! Go maps.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::types::{ANY_MAP, IntKind, STRING_MAP, Type};
use super::{Int, Text, Value, drop_deep};

/// A Go map: shared, and changed in place for all who hold it. Entries are kept in the order in which Go
/// prints and ranges over them.
#[derive(Clone)]
pub struct Map {
    ty: &'static Type,
    data: Rc<Shared>,
}

struct Shared {
    entries: RefCell<Rc<Entries>>,
    is_nil: bool,
}

/// The entries of a map at one moment, in order. A snapshot costs nothing until the map is changed.
#[derive(Clone, Default)]
pub struct Entries(BTreeMap<Key, Value>);

/// A key of a map, in Go's order.
#[derive(Clone, Debug)]
pub enum Key {
    /// `false`, `true`
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A float, by its bits in an order-preserving form.
    Float(OrderedFloat),
    /// A string.
    Str(Text),
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            // Nearly all are strings.
            (Self::Str(a), Self::Str(b)) => a.cmp(b),
            _ => self.as_key().cmp(&other.as_key()),
        }
    }
}

/// A float that is ordered as Go orders keys: not-a-number first.
#[derive(Clone, Copy, Debug)]
pub struct OrderedFloat(pub f64);

impl PartialEq for OrderedFloat {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OrderedFloat {}

impl PartialOrd for OrderedFloat {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedFloat {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let rank = |value: f64| !value.is_nan();
        rank(self.0)
            .cmp(&rank(other.0))
            .then_with(|| self.0.partial_cmp(&other.0).unwrap_or(std::cmp::Ordering::Equal))
    }
}

/// Lets string keys be looked up by their bytes, without making a key first.
trait AsKey {
    fn as_key(&self) -> KeyRef<'_>;
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum KeyRef<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(OrderedFloat),
    Str(&'a [u8]),
}

impl AsKey for Key {
    fn as_key(&self) -> KeyRef<'_> {
        match self {
            Self::Bool(value) => KeyRef::Bool(*value),
            Self::Int(value) => KeyRef::Int(*value),
            Self::Uint(value) => KeyRef::Uint(*value),
            Self::Float(value) => KeyRef::Float(*value),
            Self::Str(text) => KeyRef::Str(text.as_bytes()),
        }
    }
}

impl AsKey for [u8] {
    fn as_key(&self) -> KeyRef<'_> {
        KeyRef::Str(self)
    }
}

struct Bytes<'a>(&'a [u8]);

impl AsKey for Bytes<'_> {
    fn as_key(&self) -> KeyRef<'_> {
        KeyRef::Str(self.0)
    }
}

impl<'a> std::borrow::Borrow<dyn AsKey + 'a> for Key {
    fn borrow(&self) -> &(dyn AsKey + 'a) {
        self
    }
}

impl PartialEq for dyn AsKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.as_key() == other.as_key()
    }
}

impl Eq for dyn AsKey + '_ {}

impl PartialOrd for dyn AsKey + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn AsKey + '_ {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_key().cmp(&other.as_key())
    }
}

impl Key {
    /// Returns the key as a value of the map's key type.
    pub fn to_value(&self, ty: &'static Type) -> Value {
        let value = match (self, ty.underlying()) {
            (Self::Bool(value), _) => Value::Bool(*value),
            (Self::Int(value), Type::Int(kind)) => Value::Int(Int::new(*kind, *value)),
            (Self::Int(value), _) => Value::Int(Int::new(IntKind::Int, *value)),
            (Self::Uint(value), Type::Int(kind)) => Value::Int(Int::new(*kind, *value as i64)),
            (Self::Uint(value), _) => Value::Int(Int::new(IntKind::Uint64, *value as i64)),
            (Self::Float(value), Type::Float32) => Value::Float32(value.0 as f32),
            (Self::Float(value), _) => Value::Float(value.0),
            (Self::Str(text), _) => Value::Str(text.clone()),
        };
        match ty {
            Type::Named(named) => Value::named(named, value),
            _ => value,
        }
    }

    /// Returns a string key; of other keys nothing is known as text.
    pub(crate) fn as_text(&self) -> &str {
        match self {
            Self::Str(text) => text.as_str().unwrap_or(""),
            _ => "",
        }
    }

    /// Makes a key of a value; nothing when such values cannot be keys here.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(int) if int.kind.is_signed() => Self::Int(int.bits),
            Value::Int(int) => Self::Uint(int.bits as u64),
            Value::Float(value) => Self::Float(OrderedFloat(*value)),
            Value::Float32(value) => Self::Float(OrderedFloat(f64::from(*value))),
            Value::Str(text) => Self::Str(text.clone()),
            Value::Named(named) => return Self::of(&named.value),
            _ => return None,
        })
    }
}

impl Entries {
    /// Returns the entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Value)> + DoubleEndedIterator {
        self.0.iter()
    }

    /// Returns the entries in order, with keys as text; entries under other keys are left out.
    pub fn texts(&self) -> impl Iterator<Item = (&Text, &Value)> {
        self.0.iter().filter_map(|(key, value)| match key {
            Key::Str(text) => Some((text, value)),
            _ => None,
        })
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value under a string.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&Value> {
        self.0.get(&Bytes(key.as_ref()) as &dyn AsKey)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(entries) = Rc::get_mut(self.entries.get_mut()) {
            drop_deep(std::mem::take(&mut entries.0).into_values().collect());
        }
    }
}

impl Default for Map {
    fn default() -> Self {
        Self::new()
    }
}

impl Map {
    /// Makes an empty `map[string]interface {}`.
    pub fn new() -> Self {
        Self::with_type(ANY_MAP)
    }

    /// Makes an empty map of a type.
    pub fn with_type(ty: &'static Type) -> Self {
        Self {
            ty,
            data: Rc::new(Shared {
                entries: RefCell::default(),
                is_nil: false,
            }),
        }
    }

    /// Makes a nil map of a type.
    pub fn nil(ty: &'static Type) -> Self {
        Self {
            ty,
            data: Rc::new(Shared {
                entries: RefCell::default(),
                is_nil: true,
            }),
        }
    }

    /// Makes a `map[string]string`.
    pub fn of_strings<K: Into<Text>, V: Into<Text>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let map = Self::with_type(STRING_MAP);
        for (key, value) in pairs {
            map.insert(key, Value::Str(value.into()));
        }
        map
    }

    /// Returns the same map under another type, as Go converts `common.Values` to `map[string]interface {}`.
    pub fn retyped(&self, ty: &'static Type) -> Self {
        Self {
            ty,
            data: Rc::clone(&self.data),
        }
    }

    /// Returns its type.
    pub fn ty(&self) -> &'static Type {
        self.ty
    }

    /// Returns the type of its values.
    pub fn elem(&self) -> &'static Type {
        self.ty.elem().unwrap_or(&Type::Any)
    }

    /// Returns the type of its keys.
    pub fn key_type(&self) -> &'static Type {
        self.ty.key().unwrap_or(&Type::String)
    }

    /// Tells whether it is Go's nil map.
    pub fn is_nil(&self) -> bool {
        self.data.is_nil
    }

    /// Returns the entries of this moment.
    pub fn entries(&self) -> Rc<Entries> {
        Rc::clone(&self.data.entries.borrow())
    }

    /// Returns the value under a string.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        self.data.entries.borrow().get(key).cloned()
    }

    /// Returns the value under a key.
    pub fn get_key(&self, key: &Key) -> Option<Value> {
        self.data.entries.borrow().0.get(key).cloned()
    }

    /// Tells whether there is a value under a string.
    pub fn contains(&self, key: impl AsRef<[u8]>) -> bool {
        self.data.entries.borrow().get(key).is_some()
    }

    /// Sets the value under a string and returns the one that was there.
    pub fn insert(&self, key: impl Into<Text>, value: Value) -> Option<Value> {
        self.insert_key(Key::Str(key.into()), value)
    }

    /// Sets the value under a key and returns the one that was there.
    pub fn insert_key(&self, key: Key, value: Value) -> Option<Value> {
        Rc::make_mut(&mut *self.data.entries.borrow_mut())
            .0
            .insert(key, value)
    }

    /// Removes the entry under a string and returns its value.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        Rc::make_mut(&mut *self.data.entries.borrow_mut())
            .0
            .remove(&Bytes(key.as_ref()) as &dyn AsKey)
    }

    /// Removes all entries.
    pub fn clear(&self) {
        *self.data.entries.borrow_mut() = Rc::default();
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.data.entries.borrow().len()
    }

    /// Tells whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether both are the same map, so that a change of one shows in the other.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.data, &other.data)
    }

    /// Takes the values out, if nobody else holds them.
    pub(super) fn take_values(&mut self) -> Option<Vec<Value>> {
        let shared = Rc::get_mut(&mut self.data)?;
        let entries = Rc::get_mut(shared.entries.get_mut())?;
        Some(std::mem::take(&mut entries.0).into_values().collect())
    }
}

impl<K: Into<Text>> FromIterator<(K, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(pairs: I) -> Self {
        let map = Self::new();
        let entries = pairs
            .into_iter()
            .map(|(key, value)| (Key::Str(key.into()), value))
            .collect();
        *map.data.entries.borrow_mut() = Rc::new(Entries(entries));
        map
    }
}
