//! Values as Go's `%#v` prints them, which is how some errors show them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ferro_gocompat::number::format_g;
use ferro_gocompat::quote::quote;

use super::decode::is_merge;
use crate::convert::{scalar_value, string_of};
use crate::{Dialect, Kind, Node, Result, Value};

/// How much of a value is shown; Go knows no end.
const MAX_VALUES: usize = 10_000;

/// A decoded value.
#[derive(Clone, PartialEq)]
enum Literal {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Uint(u64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

/// Decodes values by the rules of v2.
pub(super) struct Literals<'t, 'd> {
    targets: &'t BTreeMap<usize, &'d Node>,
    left: usize,
}

impl<'t, 'd> Literals<'t, 'd> {
    pub(super) fn new(targets: &'t BTreeMap<usize, &'d Node>) -> Self {
        Self {
            targets,
            left: MAX_VALUES,
        }
    }

    /// Prints the value of a node.
    pub(super) fn of(&mut self, node: &'d Node) -> Result<String> {
        let mut out = String::new();
        match self.value(node)? {
            Literal::Nil => out.push_str("<nil>"),
            value => value.print(&mut out),
        }
        Ok(out)
    }

    fn value(&mut self, node: &'d Node) -> Result<Literal> {
        // An alias may stand inside of what it refers to.
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(Literal::Nil);
        };
        self.left = left;
        Ok(match node.kind() {
            Kind::Alias => match self.target(node) {
                Some(target) => self.value(target)?,
                None => Literal::Nil,
            },
            Kind::Scalar => match scalar_value(node, Dialect::V2)? {
                Value::Null => Literal::Nil,
                Value::Bool(value) => Literal::Bool(value),
                Value::Int(value) => Literal::Int(value),
                Value::Uint(value) => Literal::Uint(value),
                Value::Float(value) => Literal::Float(value),
                Value::Timestamp | Value::Merge | Value::Str => {
                    Literal::Text(string_of(node, node.text().unwrap_or_default())?)
                }
            },
            Kind::Sequence => {
                let items = node.items().iter().map(|item| self.value(item));
                Literal::List(items.collect::<Result<_>>()?)
            }
            Kind::Mapping => {
                let mut fields = Vec::new();
                self.fields(node, &mut fields)?;
                Literal::Map(fields)
            }
        })
    }

    fn target(&self, alias: &'d Node) -> Option<&'d Node> {
        self.targets.get(&std::ptr::from_ref(alias).addr()).copied()
    }

    fn fields(&mut self, mapping: &'d Node, fields: &mut Vec<(Literal, Literal)>) -> Result<()> {
        for entry in mapping.entries() {
            if is_merge(&entry.key) {
                self.merge(&entry.value, fields)?;
                continue;
            }
            let key = self.value(&entry.key)?;
            let value = self.value(&entry.value)?;
            match fields.iter_mut().find(|(known, _)| *known == key) {
                Some((_, slot)) => *slot = value,
                None => fields.push((key, value)),
            }
        }
        Ok(())
    }

    fn merge(&mut self, source: &'d Node, fields: &mut Vec<(Literal, Literal)>) -> Result<()> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(());
        };
        self.left = left;
        match source.kind() {
            Kind::Alias => match self.target(source) {
                Some(target) => self.merge(target, fields),
                None => Ok(()),
            },
            Kind::Sequence => source
                .items()
                .iter()
                .rev()
                .try_for_each(|item| self.merge(item, fields)),
            _ => self.fields(source, fields),
        }
    }
}

impl Literal {
    fn print(&self, out: &mut String) {
        match self {
            Self::Nil => out.push_str("interface {}(nil)"),
            Self::Bool(value) => out.push_str(&value.to_string()),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Uint(value) => out.push_str(&format!("{value:#x}")),
            Self::Float(value) => out.push_str(&format_g(*value)),
            Self::Text(text) => out.push_str(&quote(text)),
            Self::List(items) => {
                out.push_str("[]interface {}{");
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.print(out);
                }
                out.push('}');
            }
            Self::Map(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by(|left, right| left.0.compare(&right.0));
                out.push_str("map[interface {}]interface {}{");
                for (index, (key, value)) in fields.into_iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    key.print(out);
                    out.push(':');
                    value.print(out);
                }
                out.push('}');
            }
        }
    }

    /// Orders keys as `fmt` does; between types it goes by where these are in memory, so any order will do.
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            (Self::Uint(left), Self::Uint(right)) => left.cmp(right),
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Float(left), Self::Float(right)) => left.total_cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Nil => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Uint(_) => 4,
            Self::Text(_) => 5,
            Self::List(_) => 6,
            Self::Map(_) => 7,
        }
    }
}
