//! Values that both sides can make from the same JSON; the Go side is `oracle/template.go`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferro_template::types::{
    ANY_MAP, ANY_SLICE, INT_SLICE, IntKind, Method, NamedType, STRING_MAP, STRING_SLICE, Type,
};
use ferro_template::{Error, Key, List, Map, NilPointer, Object, Text, Value};
use serde_json::{Value as Json, json};

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

/// A struct with fields and methods of its own and of its pointer.
pub(crate) struct Thing {
    name: Text,
    count: i64,
    any: Value,
    map: Map,
    is_pointer: bool,
}

const TEXT: &Type = &Type::String;
const INT: &Type = &Type::Int(IntKind::Int);

/// The receiver of a method of the struct itself, which a nil pointer cannot become.
fn thing<'v>(value: &'v Value, method: &str) -> Result<&'v Thing, Error> {
    let text = || format!("value method main.thing.{method} called using nil *thing pointer");
    value.downcast().ok_or_else(|| Error::new(text()))
}

/// The receiver of a method of the pointer.
fn pointer(value: &Value) -> Result<&Thing, Error> {
    let text = "runtime error: invalid memory address or nil pointer dereference";
    value.downcast().ok_or_else(|| Error::new(text))
}

static METHODS: [Method; 5] = [
    Method {
        name: "Hello",
        params: &[],
        is_variadic: false,
        result: TEXT,
        run: |_, this, _| {
            let name = &thing(this, "Hello")?.name;
            Ok(Value::Str([b"hello ", name.as_bytes()].concat().into()))
        },
    },
    Method {
        name: "Nothing",
        params: &[],
        is_variadic: false,
        result: &Type::Any,
        run: |_, this, _| thing(this, "Nothing").map(|_| Value::Nil),
    },
    Method {
        name: "Sum",
        params: &[INT, INT],
        is_variadic: true,
        result: INT,
        run: |_, this, args| {
            let first = args[0].as_int().unwrap().bits;
            Ok(Value::int(
                args.len() as i64 - 1 + first + thing(this, "Sum")?.count,
            ))
        },
    },
    Method {
        name: "Fail",
        params: &[TEXT],
        is_variadic: false,
        result: TEXT,
        run: |_, this, args| {
            thing(this, "Fail")?;
            Err(Error::new(args[0].as_text().unwrap().to_str()))
        },
    },
    Method {
        name: "Greet",
        params: &[TEXT],
        is_variadic: false,
        result: TEXT,
        run: |_, this, args| {
            let who = args[0].as_text().unwrap();
            let parts = [pointer(this)?.name.as_bytes(), b" greets ", who.as_bytes()];
            Ok(Value::Str(parts.concat().into()))
        },
    },
];

static THING: NamedType = NamedType {
    methods: &METHODS,
    ..NamedType::plain("main.thing", Type::Struct("struct {}"))
};
static THING_TYPE: Type = Type::Named(&THING);

impl Object for Thing {
    fn go_type(&self) -> Type {
        if self.is_pointer {
            Type::Ptr(&THING_TYPE)
        } else {
            Type::Named(&THING)
        }
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Name", Value::Str(self.name.clone())),
            ("Count", Value::int(self.count)),
            ("Any", self.any.clone()),
            ("Map", Value::Map(self.map.clone())),
            ("hidden", Value::int(7)),
        ]
    }

    fn is_interface_field(&self, name: &str) -> bool {
        name == "Any"
    }

    fn method(&self, name: &str) -> Option<&'static Method> {
        let is_visible = self.is_pointer || name != "Greet";
        self.go_type().method(name).filter(|_| is_visible)
    }
}

/// A struct that prints itself.
struct Spoken(Text);

static SPOKEN: NamedType = NamedType::plain("main.spoken", Type::Struct("struct {}"));

impl Object for Spoken {
    fn go_type(&self) -> Type {
        Type::Named(&SPOKEN)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![("Word", Value::Str(self.0.clone()))]
    }

    fn display(&self) -> Option<Text> {
        Some([b"\xc2\xab", self.0.as_bytes(), b"\xc2\xbb"].concat().into())
    }

    fn equals(&self, other: &dyn Object) -> Option<bool> {
        let other = (other as &dyn std::any::Any).downcast_ref::<Self>();
        Some(other.is_some_and(|other| other.0 == self.0))
    }
}

/// `*errors.errorString`
struct Failure(Text);

static FAILURE: NamedType = NamedType::plain("errors.errorString", Type::Struct("struct {}"));
static FAILURE_TYPE: Type = Type::Named(&FAILURE);

impl Object for Failure {
    fn go_type(&self) -> Type {
        Type::Ptr(&FAILURE_TYPE)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![("s", Value::Str(self.0.clone()))]
    }

    fn display(&self) -> Option<Text> {
        Some(self.0.clone())
    }

    fn is_error(&self) -> bool {
        true
    }
}

static TABLE: NamedType = NamedType {
    methods: &[
        Method {
            name: "Size",
            params: &[],
            is_variadic: false,
            result: INT,
            run: |_, this, _| Ok(Value::int(this.as_map().unwrap().len() as i64)),
        },
        Method {
            name: "Pick",
            params: &[TEXT],
            is_variadic: false,
            result: &Type::Any,
            run: |_, this, args| {
                let key = args[0].as_text().unwrap();
                Ok(this.as_map().unwrap().get(key.as_bytes()).unwrap_or_default())
            },
        },
    ],
    ..NamedType::plain("main.table", *ANY_MAP)
};

static TABLE_TYPE: Type = Type::Named(&TABLE);

pub(crate) static DURATION: NamedType = NamedType {
    display: Some(|value| {
        let nanos = value.as_int().unwrap().bits;
        Text::from(ferro_gocompat::duration::format(nanos))
    }),
    ..NamedType::plain("time.Duration", Type::Int(IntKind::Int64))
};

static MONTH: NamedType = NamedType {
    display: Some(|value| {
        const NAMES: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        let month = value.as_int().unwrap().bits;
        let name = usize::try_from(month - 1).ok().and_then(|index| NAMES.get(index));
        Text::from(name.map_or_else(|| format!("%!Month({})", month as u64), |name| (*name).to_owned()))
    }),
    ..NamedType::plain("time.Month", Type::Int(IntKind::Int))
};

pub(crate) const FLOAT_SLICE: &Type = &Type::Slice(&Type::Float64);
const NESTED_SLICE: &Type = &Type::Slice(ANY_SLICE);
const INT_MAP: &Type = &Type::Map(&Type::String, &Type::Int(IntKind::Int));
const INT_KEYS: &Type = &Type::Map(&Type::Int(IntKind::Int), &Type::Any);
const BOOL_KEYS: &Type = &Type::Map(&Type::Bool, &Type::String);

/// Makes the value that the oracle makes of the same JSON.
pub(crate) fn value(data: &Json) -> Value {
    let text = || Text::from(decode(data["v"].as_str().unwrap_or("")));
    let number = || data["v"].as_str().unwrap().parse::<f64>().unwrap();
    let items = || {
        data["l"]
            .as_array()
            .map(|items| items.iter().map(value).collect::<Vec<_>>())
            .unwrap_or_default()
    };
    let list = |ty| Value::List(List::with_type(ty, items()));
    let ty = data["t"].as_str().unwrap();
    match ty {
        "nil" => Value::Nil,
        "bool" => Value::Bool(data["v"] == "true"),
        "float64" => Value::Float(number()),
        "float32" => Value::Float32(number() as f32),
        "complex128" => {
            let part = |index: usize| data["l"][index]["v"].as_str().unwrap().parse().unwrap();
            Value::Complex(part(0), part(1))
        }
        "string" => Value::Str(text()),
        "[]byte" => Value::Bytes(Arc::from(text().as_bytes())),
        "[]any" => list(ANY_SLICE),
        "[]string" => list(STRING_SLICE),
        "[]int" => list(INT_SLICE),
        "[]float64" => list(FLOAT_SLICE),
        "[][]any" => list(NESTED_SLICE),
        "map[string]any" => Value::Map(map(data, ANY_MAP, text_key)),
        "map[string]string" => Value::Map(map(data, STRING_MAP, text_key)),
        "map[string]int" => Value::Map(map(data, INT_MAP, text_key)),
        "map[int]any" => Value::Map(map(data, INT_KEYS, |key| Key::Int(key.parse().unwrap()))),
        "map[bool]string" => Value::Map(map(data, BOOL_KEYS, |key| Key::Bool(key == "true"))),
        "table" => Value::Map(map(data, &TABLE_TYPE, text_key)),
        "nil map" => Value::Map(Map::nil(ANY_MAP)),
        "nil slice" => Value::List(List::nil(ANY_SLICE)),
        "nil thing" => Value::object(NilPointer {
            ty: Type::Ptr(&THING_TYPE),
            fields: &["Name", "Count", "Any", "Map", "hidden"],
        }),
        "duration" => Value::named(
            &DURATION,
            Value::int64(data["v"].as_str().unwrap().parse().unwrap()),
        ),
        "month" => Value::named(&MONTH, Value::int(data["v"].as_str().unwrap().parse().unwrap())),
        "spoken" => Value::object(Spoken(text())),
        "error" => Value::object(Failure(text())),
        "thing" | "*thing" => {
            let items = items();
            Value::object(Thing {
                name: text(),
                count: items.len() as i64,
                any: items.first().cloned().unwrap_or_default(),
                map: if data["m"].is_object() {
                    map(data, ANY_MAP, text_key)
                } else {
                    Map::nil(ANY_MAP)
                },
                is_pointer: ty == "*thing",
            })
        }
        _ => integer(ty, data["v"].as_str().unwrap()),
    }
}

fn text_key(key: &str) -> Key {
    Key::Str(key.into())
}

fn map(data: &Json, ty: &'static Type, key: fn(&str) -> Key) -> Map {
    let map = Map::with_type(ty);
    for (name, item) in data["m"].as_object().into_iter().flatten() {
        map.insert_key(key(name), value(item));
    }
    map
}

fn integer(ty: &str, text: &str) -> Value {
    let kinds = [
        IntKind::Int,
        IntKind::Int8,
        IntKind::Int16,
        IntKind::Int32,
        IntKind::Int64,
        IntKind::Uint,
        IntKind::Uint8,
        IntKind::Uint16,
        IntKind::Uint32,
        IntKind::Uint64,
    ];
    let kind = kinds.into_iter().find(|kind| kind.name() == ty).unwrap();
    let bits = text
        .parse::<i64>()
        .unwrap_or_else(|_| text.parse::<u64>().unwrap() as i64);
    Value::int_of(kind, bits)
}

/// Shorthands for data in tests.
pub(crate) fn text(text: &str) -> Json {
    json!({"t": "string", "v": encode(text.as_bytes())})
}
