//! Functions that ask for arguments of each kind of type, as `templateFunctions` of the oracle does.

use ferro_template::types::{ANY_MAP, ANY_SLICE, IntKind, STRING_SLICE, Type};
use ferro_template::{Error, Function, Functions, Map, Text, Value, sprint};

use crate::typed::DURATION;

const TEXT: &Type = &Type::String;
const INT: &Type = &Type::Int(IntKind::Int);
const INT8: &Type = &Type::Int(IntKind::Int8);
const UINT: &Type = &Type::Int(IntKind::Uint);
static DURATION_TYPE: Type = Type::Named(&DURATION);

fn add(
    functions: &mut Functions,
    name: &str,
    param: &'static Type,
    result: &'static Type,
    run: impl Fn(&Value) -> Value + Send + Sync + 'static,
) {
    functions.insert(
        name,
        Function::new(&[param], result, move |_, args| Ok(run(&args[0]))),
    );
}

pub(crate) fn functions() -> Functions {
    let mut functions = Functions::builtins();
    typed(&mut functions);
    untyped(&mut functions);
    functions
}

fn typed(functions: &mut Functions) {
    add(functions, "wantString", TEXT, TEXT, |s| {
        Value::Str([b"<", s.as_text().unwrap().as_bytes(), b">"].concat().into())
    });
    add(functions, "wantInt", INT, INT, |i| {
        Value::int(i.as_int().unwrap().bits.wrapping_add(1))
    });
    add(functions, "wantInt8", INT8, INT8, Value::clone);
    add(functions, "wantUint", UINT, UINT, Value::clone);
    add(
        functions,
        "wantFloat",
        &Type::Float64,
        &Type::Float64,
        |f| match f {
            Value::Float(f) => Value::Float(f / 2.0),
            _ => panic!("no float64"),
        },
    );
    add(
        functions,
        "wantFloat32",
        &Type::Float32,
        &Type::Float32,
        Value::clone,
    );
    add(
        functions,
        "wantComplex",
        &Type::Complex,
        &Type::Complex,
        Value::clone,
    );
    add(functions, "wantBool", &Type::Bool, &Type::Bool, |b| {
        Value::Bool(!b.is_true())
    });
    add(functions, "wantList", ANY_SLICE, INT, |l| {
        Value::int(l.as_list().unwrap().len() as i64)
    });
    add(functions, "wantStrings", STRING_SLICE, TEXT, |l| {
        let items = l.as_list().unwrap().items();
        let texts: Vec<&[u8]> = items
            .iter()
            .map(|item| item.as_text().unwrap().as_bytes())
            .collect();
        Value::Str(texts.join(&b","[..]).into())
    });
    add(functions, "wantMap", ANY_MAP, TEXT, |m| {
        Value::from(format!("{}/{}", m.type_name(), m.as_map().unwrap().len()))
    });
    add(functions, "wantError", &Type::Error, TEXT, |e| {
        Value::Str(sprint(std::slice::from_ref(e)))
    });
    add(functions, "wantDuration", &DURATION_TYPE, TEXT, |d| {
        Value::Str(d.display().unwrap())
    });
    functions.insert(
        "wantMany",
        Function::variadic(&[TEXT, INT], TEXT, |_, args| {
            let rest = sprint(&[Value::List(ferro_template::List::with_type(
                ferro_template::types::INT_SLICE,
                args[1..].to_vec(),
            ))]);
            Ok(Value::Str(
                [args[0].as_text().unwrap().as_bytes(), rest.as_bytes()]
                    .concat()
                    .into(),
            ))
        }),
    );
}

fn untyped(functions: &mut Functions) {
    const ANY: &Type = &Type::Any;
    add(functions, "wantAny", ANY, TEXT, |v| Value::from(v.type_name()));
    add(functions, "typeOf", ANY, TEXT, |v| Value::from(v.type_name()));
    let rest = |_: &mut ferro_template::Call<'_>, args: &[Value]| Ok(Value::int(args.len() as i64));
    functions.insert("wantRest", Function::variadic(&[ANY], INT, rest));
    functions.insert(
        "wantNothing",
        Function::new(&[], TEXT, |_, _| Ok(Value::from("nothing"))),
    );
    functions.insert("giveNil", Function::new(&[], ANY, |_, _| Ok(Value::Nil)));
    let give_any =
        |_: &mut ferro_template::Call<'_>, _: &[Value]| Ok(Map::from_iter([("a", Value::int(1))]).into());
    functions.insert("giveAny", Function::new(&[], ANY, give_any));
    functions.insert(
        "list",
        Function::variadic(&[ANY], ANY_SLICE, |_, args| Ok(Value::list(args.to_vec()))),
    );
    functions.insert(
        "dict",
        Function::variadic(&[ANY], ANY_MAP, |_, args| {
            let pairs = args.chunks_exact(2);
            Ok(Map::from_iter(pairs.map(|pair| (sprint(&pair[..1]), pair[1].clone()))).into())
        }),
    );
    functions.insert(
        "set",
        Function::new(&[ANY_MAP, TEXT, ANY], ANY_MAP, |_, args| {
            let map = args[0].as_map().unwrap();
            if map.is_nil() {
                return Err(Error::new("assignment to entry in nil map"));
            }
            map.insert(args[1].as_text().unwrap().clone(), args[2].clone());
            Ok(args[0].clone())
        }),
    );
    let fail = |_: &mut ferro_template::Call<'_>, args: &[Value]| {
        Err(Error::new(args[0].as_text().unwrap().to_str()))
    };
    functions.insert("fail", Function::new(&[TEXT], TEXT, fail));
    functions.insert(
        "include",
        Function::new(&[TEXT, ANY], TEXT, |call, args| {
            let name: &Text = args[0].as_text().unwrap();
            call.execute(&name.to_str(), &args[1]).map(Value::Str)
        }),
    );
}
