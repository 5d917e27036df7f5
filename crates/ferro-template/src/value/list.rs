//! Go slices.

use std::rc::Rc;

use super::types::{ANY_SLICE, STRING_SLICE, Type};
use super::{Value, drop_deep};

/// A Go slice or array: shared elements and a type. Templates cannot change an element, so neither can we.
#[derive(Clone)]
pub struct List {
    ty: &'static Type,
    data: Rc<Window>,
}

/// The part of an array that a slice shows. Go lets a slice grow back to its capacity.
struct Window {
    array: Rc<Array>,
    start: usize,
    len: usize,
    capacity: usize,
    is_nil: bool,
}

struct Array(Vec<Value>);

impl Drop for Array {
    fn drop(&mut self) {
        drop_deep(std::mem::take(&mut self.0));
    }
}

impl List {
    /// Makes a `[]interface {}`.
    pub fn new(items: Vec<Value>) -> Self {
        Self::with_type(ANY_SLICE, items)
    }

    /// Makes a slice (or array) of a type; the elements must be values of its element type.
    pub fn with_type(ty: &'static Type, items: Vec<Value>) -> Self {
        let len = items.len();
        Self {
            ty,
            data: Rc::new(Window {
                array: Rc::new(Array(items)),
                start: 0,
                len,
                capacity: len,
                is_nil: false,
            }),
        }
    }

    /// Makes a `[]string`.
    pub fn of_strings<T: Into<super::Text>>(items: impl IntoIterator<Item = T>) -> Self {
        let items = items.into_iter().map(|item| Value::Str(item.into())).collect();
        Self::with_type(STRING_SLICE, items)
    }

    /// Makes a nil slice of a type.
    pub fn nil(ty: &'static Type) -> Self {
        Self {
            ty,
            data: Rc::new(Window {
                array: Rc::new(Array(Vec::new())),
                start: 0,
                len: 0,
                capacity: 0,
                is_nil: true,
            }),
        }
    }

    /// Returns the same elements under another type.
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

    /// Returns the type of its elements.
    pub fn elem(&self) -> &'static Type {
        self.ty.elem().unwrap_or(&Type::Any)
    }

    /// Tells whether it is Go's nil slice.
    pub fn is_nil(&self) -> bool {
        self.data.is_nil
    }

    /// Returns the elements.
    pub fn items(&self) -> &[Value] {
        let Window {
            array, start, len, ..
        } = &*self.data;
        array.0.get(*start..start + len).unwrap_or_default()
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.data.len
    }

    /// Tells whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.len == 0
    }

    /// Returns how far the slice can grow without a copy.
    pub fn capacity(&self) -> usize {
        self.data.capacity
    }

    /// Returns `list[start:end:max]`, which may reach beyond the end up to the capacity.
    pub fn slice(&self, start: usize, end: usize, max: Option<usize>) -> Option<Self> {
        let max = max.unwrap_or(self.data.capacity);
        if start > end || end > max || max > self.data.capacity {
            return None;
        }
        Some(Self {
            ty: self.ty,
            data: Rc::new(Window {
                array: Rc::clone(&self.data.array),
                start: self.data.start + start,
                len: end - start,
                capacity: max - start,
                is_nil: self.data.is_nil,
            }),
        })
    }

    /// Tells whether both are the same slice of the same array.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.data.array, &other.data.array)
            && self.data.start == other.data.start
            && self.data.len == other.data.len
    }

    /// Takes the elements out, if nobody else holds them.
    pub(super) fn take_items(&mut self) -> Option<Vec<Value>> {
        let window = Rc::get_mut(&mut self.data)?;
        let array = Rc::get_mut(&mut window.array)?;
        Some(std::mem::take(&mut array.0))
    }
}
