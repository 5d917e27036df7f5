//! What `range` goes through.

use std::sync::Arc;

use super::Operand;
use crate::print;
use crate::value::{Int, Items, Key, List, NamedType, Type, Value};

/// An iteration that has begun. Maps are iterated as they were at its start.
pub(super) enum Iter {
    Nothing,
    Ints {
        next: i128,
        end: i128,
        like: Int,
        named: Option<&'static NamedType>,
    },
    List {
        list: List,
        next: usize,
    },
    Bytes {
        bytes: Arc<[u8]>,
        next: usize,
    },
    Map {
        entries: std::vec::IntoIter<(Key, Value)>,
        key: &'static Type,
        elem: &'static Type,
    },
    Items {
        items: Items,
        variables: usize,
    },
}

impl Iter {
    /// Starts an iteration, or says why there is none.
    pub(super) fn new(value: Value, variables: usize) -> Result<Self, String> {
        match value {
            Value::Nil => Ok(Self::Nothing),
            Value::List(list) => Ok(Self::List { list, next: 0 }),
            Value::Bytes(bytes) => Ok(Self::Bytes { bytes, next: 0 }),
            Value::Map(map) => Ok(Self::Map {
                entries: map
                    .entries()
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect::<Vec<_>>()
                    .into_iter(),
                key: map.key_type(),
                elem: map.elem(),
            }),
            Value::Object(object) => match object.iterate() {
                Some(Items::Single(_)) if variables > 1 => {
                    let shown = print::verb(&Value::Object(object), 'v');
                    Err(format!("can't use {shown} iterate over more than one variable"))
                }
                Some(items) => Ok(Self::Items { items, variables }),
                None => {
                    let value = Value::Object(object);
                    Err(format!("range can't iterate over {}", print::pointee(&value)))
                }
            },
            value => Self::of_number(&value, variables),
        }
    }

    fn of_number(value: &Value, variables: usize) -> Result<Self, String> {
        let Some(int) = value.as_int() else {
            return Err(format!("range can't iterate over {}", print::verb(value, 'v')));
        };
        if variables > 1 {
            let shown = print::verb(value, 'v');
            return Err(format!(
                "can't use {shown} to iterate over more than one variable"
            ));
        }
        Ok(Self::Ints {
            next: 0,
            end: int.as_i128(),
            like: int,
            named: match value {
                Value::Named(named) => Some(named.ty),
                _ => None,
            },
        })
    }

    /// Returns the next index or key and element.
    pub(super) fn next(&mut self) -> Option<(Operand, Operand)> {
        match self {
            Self::Nothing => None,
            Self::Ints {
                next,
                end,
                like,
                named,
            } => {
                if *next >= *end {
                    return None;
                }
                let number = Value::int_of(like.kind, *next as i64);
                *next += 1;
                let number = match named {
                    Some(named) => Value::named(named, number),
                    None => number,
                };
                Some((Operand::default(), Operand::new(number)))
            }
            Self::List { list, next } => {
                let value = list.items().get(*next)?.clone();
                let index = Value::int(*next as i64);
                *next += 1;
                let is_interface = matches!(list.elem(), Type::Any | Type::Error);
                Some((Operand::new(index), Operand { value, is_interface }))
            }
            Self::Bytes { bytes, next } => {
                let byte = *bytes.get(*next)?;
                let index = Value::int(*next as i64);
                *next += 1;
                let byte = Value::int_of(crate::value::IntKind::Uint8, i64::from(byte));
                Some((Operand::new(index), Operand::new(byte)))
            }
            Self::Map { entries, key, elem } => {
                let (entry, value) = entries.next()?;
                let key = Operand {
                    value: entry.to_value(key),
                    is_interface: matches!(key, Type::Any),
                };
                let is_interface = matches!(elem, Type::Any | Type::Error);
                Some((key, Operand { value, is_interface }))
            }
            Self::Items { items, variables } => match items {
                Items::Single(items) => Some((Operand::default(), Operand::new(items.next()?))),
                Items::Pairs(pairs) => {
                    let (first, second) = pairs.next()?;
                    // With one variable, that and dot are the first of each pair.
                    Some(if *variables > 1 {
                        (Operand::new(first), Operand::new(second))
                    } else {
                        (Operand::default(), Operand::new(first))
                    })
                }
            },
        }
    }
}
