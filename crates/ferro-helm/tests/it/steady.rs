//! Functions of time and chance that answer the same each time, as the oracle's `steadyFunctions` do.

use std::sync::Arc;

use ferro_helm::render::Engine;
use ferro_template::types::ANY_SLICE;
use ferro_template::{Function, IntKind, Map, Text, Type, Value, sprint};

use crate::environment::Still;

const INT: &Type = &Type::Int(IntKind::Int);
const TEXT: &Type = &Type::String;
const ANY: &Type = &Type::Any;

/// An engine whose renders can be compared with the oracle's.
pub(crate) fn engine() -> Engine {
    let mut functions = ferro_sprig::helm_functions(Arc::new(Still::default()));
    let mut add = |name: &str, params: &[&'static Type], result, run: fn(&[Value]) -> Value| {
        functions.insert(name, Function::new(params, result, move |_, args| Ok(run(args))));
    };
    add("randAlpha", &[INT], TEXT, |args| repeated("a", args));
    add("randAlphaNum", &[INT], TEXT, |args| repeated("b", args));
    add("randAscii", &[INT], TEXT, |args| repeated("c", args));
    add("randNumeric", &[INT], TEXT, |args| repeated("1", args));
    add("randBytes", &[INT], TEXT, |args| repeated("d", args));
    add("randInt", &[INT, INT], INT, |args| args[0].clone());
    add("shuffle", &[TEXT], TEXT, |args| args[0].clone());
    add("uuidv4", &[], TEXT, |_| {
        Value::from("00000000-0000-4000-8000-000000000000")
    });
    add("ago", &[ANY], TEXT, |_| Value::from("1h"));
    add("bcrypt", &[TEXT], TEXT, |args| prefixed(b"bcrypt ", &args[0]));
    add("htpasswd", &[TEXT, TEXT], TEXT, |args| {
        let user = [bytes(&args[0]), b":"].concat();
        prefixed(&user, &args[1])
    });
    add("encryptAES", &[TEXT, TEXT], TEXT, |args| {
        prefixed(b"encrypted ", &args[1])
    });
    add("genPrivateKey", &[TEXT], TEXT, |args| prefixed(b"key ", &args[0]));
    add("genCA", &[TEXT, INT], ANY, certificate);
    add("genCAWithKey", &[TEXT, INT, TEXT], ANY, |args| {
        certificate(&args[..2])
    });
    add(
        "genSelfSignedCert",
        &[TEXT, ANY_SLICE, ANY_SLICE, INT],
        ANY,
        certificate,
    );
    add(
        "genSelfSignedCertWithKey",
        &[TEXT, ANY_SLICE, ANY_SLICE, INT, TEXT],
        ANY,
        |args| certificate(&args[..4]),
    );
    add(
        "genSignedCert",
        &[TEXT, ANY_SLICE, ANY_SLICE, INT, ANY],
        ANY,
        |args| certificate(&args[..4]),
    );
    add(
        "genSignedCertWithKey",
        &[TEXT, ANY_SLICE, ANY_SLICE, INT, ANY, TEXT],
        ANY,
        |args| certificate(&args[..4]),
    );
    Engine::with_functions(functions)
}

fn bytes(value: &Value) -> &[u8] {
    value.as_text().map_or(b"", Text::as_bytes)
}

fn repeated(text: &str, args: &[Value]) -> Value {
    let count = args[0].as_int().map_or(0, |int| int.bits);
    Value::from(text.repeat(usize::try_from(count).unwrap_or(0)))
}

fn prefixed(prefix: &[u8], text: &Value) -> Value {
    Value::Str(Text::from([prefix, bytes(text)].concat()))
}

fn certificate(of: &[Value]) -> Value {
    let of = sprint(&[Value::list(of.to_vec())]);
    let text = Text::from([b"certificate ", of.as_bytes()].concat());
    Value::Map(Map::from_iter([
        ("Cert", Value::Str(text)),
        ("Key", Value::from("key")),
    ]))
}
