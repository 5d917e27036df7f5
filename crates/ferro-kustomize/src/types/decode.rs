//! Strict decoding of configuration, with the rules of Go's JSON decoder.
//!
//! Unknown fields are refused, names are matched with their case folded when no field matches exactly,
//! null leaves a field alone, and no type is converted into another.

use std::collections::BTreeMap;

use ferro_gocompat::float::{Width, append};
use ferro_yaml::{Dialect, Kind, Node, Tag, Value};

/// Where decoding is, for messages: the struct in Go, and the path of fields that led there.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    parent: Option<&'a Self>,
    /// Blank where only the struct is new.
    field: &'a str,
    go_struct: &'static str,
    /// Whether unknown fields are passed over.
    is_lenient: bool,
    /// Whether numbers and booleans are taken for texts.
    takes_any_text: bool,
}

impl<'a> At<'a> {
    pub(crate) fn strict() -> Self {
        Self {
            parent: None,
            field: "",
            go_struct: "",
            is_lenient: false,
            takes_any_text: false,
        }
    }

    pub(crate) fn lenient() -> Self {
        Self {
            is_lenient: true,
            takes_any_text: true,
            ..Self::strict()
        }
    }

    /// The same place, now that it is known what it is.
    pub(crate) fn inside(&'a self, go_struct: &'static str) -> Self {
        Self {
            parent: Some(self),
            field: "",
            go_struct,
            ..*self
        }
    }

    /// A field; `field` also names the structs that Go embeds on the way to it, into which leniency does not reach.
    fn below(&'a self, field: &'a str) -> Self {
        Self {
            parent: Some(self),
            field,
            takes_any_text: self.takes_any_text && !field.contains('.'),
            ..*self
        }
    }

    fn path(&self) -> String {
        match self.parent.map(Self::path) {
            Some(parent) if parent.is_empty() => self.field.to_owned(),
            Some(parent) if self.field.is_empty() => parent,
            Some(parent) => format!("{parent}.{}", self.field),
            None => self.field.to_owned(),
        }
    }
}

/// A value that does not fit, in the words of Go's decoder, and its line.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) text: String,
    pub(crate) line: u32,
}

fn mismatch<T>(node: &Node, go_type: &str, at: &At<'_>) -> Result<T, Mismatch> {
    let found = match (node.kind(), node.tag()) {
        (Kind::Sequence, _) => "array".to_owned(),
        (Kind::Mapping, _) => "object".to_owned(),
        (_, Tag::Bool) => "bool".to_owned(),
        (_, Tag::Int | Tag::Float) if go_type.starts_with("int") => {
            format!("number {}", node.text().unwrap_or_default())
        }
        (_, Tag::Int | Tag::Float) => "number".to_owned(),
        _ => "string".to_owned(),
    };
    let path = at.path();
    let target = if path.is_empty() {
        "Go value".to_owned()
    } else {
        format!("Go struct field {}.{path}", at.go_struct)
    };
    Err(Mismatch {
        text: format!("json: cannot unmarshal {found} into {target} of type {go_type}"),
        line: node.position().line,
    })
}

impl Mismatch {
    /// The text of the decoder that files and plugin configurations go through.
    pub(crate) fn while_unmarshaling(&self) -> String {
        format!("error unmarshaling JSON: while decoding JSON: {}", self.text)
    }
}

/// A type that is decoded from a tree and written back to one.
pub(crate) trait Codec: Sized {
    /// The name of the type in Go, for messages.
    fn go_type() -> String;
    /// Decodes a node that is not null.
    fn decode(node: &Node, at: &At<'_>) -> Result<Self, Mismatch>;
    /// Writes the value, or nothing where Go leaves an empty one out.
    fn encode(&self) -> Option<Node>;
}

impl Codec for String {
    fn go_type() -> String {
        "string".to_owned()
    }

    fn decode(node: &Node, at: &At<'_>) -> Result<Self, Mismatch> {
        let is_text = !matches!(node.tag(), Tag::Bool | Tag::Int | Tag::Float);
        match node.text() {
            Some(text) if is_text => Ok(text.to_owned()),
            Some(text) if at.takes_any_text => Ok(as_text(text)),
            _ => mismatch(node, "string", at),
        }
    }

    fn encode(&self) -> Option<Node> {
        (!self.is_empty()).then(|| Node::string(self))
    }
}

impl Codec for bool {
    fn go_type() -> String {
        "bool".to_owned()
    }

    fn decode(node: &Node, at: &At<'_>) -> Result<Self, Mismatch> {
        match (node.tag(), node.text()) {
            // The 1.1 reading has more words for either value; all that mean true start with t, y or "on".
            (Tag::Bool, Some(text)) => Ok(matches!(
                text.to_ascii_lowercase().as_str(),
                "true" | "yes" | "on" | "y"
            )),
            _ => mismatch(node, "bool", at),
        }
    }

    fn encode(&self) -> Option<Node> {
        self.then(|| Node::bool(true))
    }
}

impl Codec for i64 {
    fn go_type() -> String {
        "int64".to_owned()
    }

    fn decode(node: &Node, at: &At<'_>) -> Result<Self, Mismatch> {
        let number = match (node.tag(), node.text()) {
            (Tag::Int, Some(text)) => crate::scalar::parse_int(text),
            _ => None,
        };
        number.map_or_else(|| mismatch(node, "int64", at), Ok)
    }

    fn encode(&self) -> Option<Node> {
        Some(Node::int(*self))
    }
}

impl<T: Codec> Codec for Vec<T> {
    fn go_type() -> String {
        format!("[]{}", T::go_type())
    }

    fn decode(node: &Node, at: &At<'_>) -> Result<Self, Mismatch> {
        let Some(items) = node.as_sequence() else {
            return mismatch(node, &Self::go_type(), at);
        };
        items.iter().map(|item| decode_element(item, at)).collect()
    }

    fn encode(&self) -> Option<Node> {
        if self.is_empty() {
            return None;
        }
        let items: Vec<Node> = self
            .iter()
            .map(|item| item.encode().unwrap_or_else(|| Node::string("")))
            .collect();
        Some(Node::sequence(items))
    }
}

impl<T: Codec> Codec for BTreeMap<String, T> {
    fn go_type() -> String {
        format!("map[string]{}", T::go_type())
    }

    fn decode(node: &Node, at: &At<'_>) -> Result<Self, Mismatch> {
        if !node.is_mapping() {
            return mismatch(node, &Self::go_type(), at);
        }
        let mut map = Self::new();
        for entry in node.entries() {
            let key = crate::scalar::json_key(&entry.key).as_str().to_owned();
            map.insert(key, decode_element(&entry.value, at)?);
        }
        Ok(map)
    }

    fn encode(&self) -> Option<Node> {
        let entries: Vec<_> = self
            .iter()
            .map(|(key, value)| (key, value.encode().unwrap_or_else(|| Node::string(""))).into())
            .collect();
        (!entries.is_empty()).then(|| Node::mapping(entries))
    }
}

impl<T: Codec> Codec for Option<T> {
    fn go_type() -> String {
        T::go_type()
    }

    fn decode(node: &Node, at: &At<'_>) -> Result<Self, Mismatch> {
        T::decode(node, at).map(Some)
    }

    fn encode(&self) -> Option<Node> {
        self.as_ref()
            .map(|value| value.encode().unwrap_or_else(crate::scalar::empty_mapping))
    }
}

/// Free-form content, such as Helm values.
impl Codec for Node {
    fn go_type() -> String {
        "map[string]interface {}".to_owned()
    }

    fn decode(node: &Node, at: &At<'_>) -> Result<Self, Mismatch> {
        if node.is_mapping() {
            Ok(node.clone())
        } else {
            mismatch(node, &Self::go_type(), at)
        }
    }

    fn encode(&self) -> Option<Node> {
        (!self.entries().is_empty()).then(|| self.clone())
    }
}

/// The text that takes the place of a number or boolean where a text is wanted and that is not minded.
fn as_text(text: &str) -> String {
    match Dialect::V2.resolve(text) {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Float(value) => {
            let mut out = String::new();
            append(&mut out, value, b'g', None, Width::Double);
            out
        }
        _ => text.to_owned(),
    }
}

/// Decodes an element of a list or map, in which null means the zero value.
fn decode_element<T: Codec>(node: &Node, at: &At<'_>) -> Result<T, Mismatch> {
    if !node.is_null() {
        return T::decode(node, at);
    }
    let zeros = [
        Node::string(""),
        crate::scalar::empty_mapping(),
        crate::scalar::empty_sequence(),
        Node::bool(false),
        Node::int(0),
    ];
    let zero = zeros.iter().find_map(|zero| T::decode(zero, at).ok());
    zero.map_or_else(|| mismatch(node, &T::go_type(), at), Ok)
}

/// Pairs each key of a mapping with the field it means, in the order in which Go would meet them:
/// sorted, so that of two spellings of one field the later one wins.
pub(crate) fn match_fields<'n>(
    node: &'n Node,
    fields: &[&'static str],
    at: &At<'_>,
    go_type: &str,
) -> Result<Vec<Matched<'n>>, Mismatch> {
    if !node.is_mapping() {
        return mismatch(node, go_type, at);
    }
    let mut keys: BTreeMap<&str, &Node> = BTreeMap::new();
    for entry in node.entries() {
        keys.insert(entry.name().unwrap_or_default(), &entry.value);
    }
    let mut found = Vec::with_capacity(keys.len());
    for (key, value) in keys {
        let exact = fields.iter().find(|field| **field == key);
        let Some(field) = exact.or_else(|| fields.iter().find(|field| folds_to(field, key))) else {
            if at.is_lenient {
                continue;
            }
            let text = format!("json: unknown field {}", ferro_gocompat::quote::quote(key));
            // What is wrong in the fields before it is found first.
            found.push(Err(Mismatch {
                text,
                line: value.position().line,
            }));
            break;
        };
        if !value.is_null() {
            found.push(Ok((*field, value)));
        }
    }
    Ok(found)
}

/// A field and its value, or what is not known as one.
type Matched<'n> = Result<(&'static str, &'n Node), Mismatch>;

/// Go folds `K` (Kelvin) and `ſ` (long s) onto ASCII too.
fn folds_to(field: &str, key: &str) -> bool {
    let fold = |c: char| match c {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        c => c.to_ascii_lowercase(),
    };
    field.chars().map(fold).eq(key.chars().map(fold))
}

/// Decodes one field of a record.
pub(crate) fn field<T: Codec>(node: &Node, name: &str, at: &At<'_>) -> Result<T, Mismatch> {
    T::decode(node, &at.below(name))
}

/// Refuses what is no list, where Go has a name for the type of the list.
pub(crate) fn require_list(node: &Node, name: &str, go_type: &str, at: &At<'_>) -> Result<(), Mismatch> {
    if node.is_sequence() {
        return Ok(());
    }
    mismatch(node, go_type, &at.below(name))
}

/// Defines a record together with its decoding. `named` gives the name of the struct in Go where it is another one, `from` its
/// package, `in` the structs that it embeds on the way to a field, `as` the type of a list; all are for messages.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(named $go:literal)? $(from $package:literal)? {
            $(
                $(#[$field_meta:meta])*
                pub $field:ident: $type:ty = $key:literal $(in $embedded:literal)? $(as $listed:literal)?,
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        $vis struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $name {
            const GO_NAME: &'static str = $crate::types::decode::first(&[$($go,)? stringify!($name)]);
        }

        impl $crate::types::decode::Codec for $name {
            fn go_type() -> String {
                let package = $crate::types::decode::first(&[$($package,)? "types"]);
                format!("{package}.{}", Self::GO_NAME)
            }

            fn decode(
                node: &ferro_yaml::Node,
                at: &$crate::types::decode::At<'_>,
            ) -> Result<Self, $crate::types::decode::Mismatch> {
                let mut record = Self::default();
                let fields = $crate::types::decode::match_fields(node, &[$($key),*], at, &Self::go_type())?;
                let at = &at.inside(Self::GO_NAME);
                for field in fields {
                    let (key, value) = field?;
                    match key {
                        $( $key => {
                            let path = concat!($($embedded, ".",)? $key);
                            $( $crate::types::decode::require_list(value, path, $listed, at)?; )?
                            record.$field = $crate::types::decode::field(value, path, at)?;
                        } )*
                        _ => {}
                    }
                }
                Ok(record)
            }

            fn encode(&self) -> Option<ferro_yaml::Node> {
                let mut entries: Vec<ferro_yaml::Entry> = Vec::new();
                $( if let Some(value) = $crate::types::decode::Codec::encode(&self.$field) {
                    entries.push(($key, value).into());
                } )*
                (!entries.is_empty()).then(|| ferro_yaml::Node::mapping(entries))
            }
        }
    };
}
pub(crate) use record;

/// The first of some names.
pub(crate) const fn first(names: &[&'static str]) -> &'static str {
    match names.first() {
        Some(name) => name,
        None => "",
    }
}
