//! How values print, by examples; `differential` compares with the original.

use ferro_template::types::{ANY_MAP, BYTE_SLICE, IntKind};
use ferro_template::{List, Map, Value, sprint, sprintf, sprintln};
use serde_json::json;

use crate::typed;

#[test]
fn floats_print_with_an_exponent_from_a_million_on() {
    let cases = [
        (100_000.0, "100000"),
        (123_456.0, "123456"),
        (999_999.0, "999999"),
        (1_000_000.0, "1e+06"),
        (1_234_567.0, "1.234567e+06"),
        (12_345_678.9, "1.23456789e+07"),
        (123_456_789.0, "1.23456789e+08"),
        (1e20, "1e+20"),
        (1e21, "1e+21"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (3.0, "3"),
        (1.10, "1.1"),
        (-0.0, "-0"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
    ];
    for (number, expected) in cases {
        assert_eq!(sprint(&[Value::Float(number)]), *expected, "{number}");
    }
}

fn nested() -> Value {
    let map = Map::from_iter([
        ("b", Value::from("x")),
        ("a", Value::list(vec![Value::int(1), Value::Nil])),
    ]);
    Value::list(vec![
        map.into(),
        Value::Bytes([104, 105].into()),
        Value::from(true),
    ])
}

#[test]
fn containers_print_nested() {
    let cases = [
        ("%v", "[map[a:[1 <nil>] b:x] [104 105] true]"),
        ("%s", "[map[a:[%!s(int=1) <nil>] b:x] hi %!s(bool=true)]"),
        (
            "%d",
            "[map[%!d(string=a):[1 <nil>] %!d(string=b):%!d(string=x)] [104 105] %!d(bool=true)]",
        ),
        (
            "%#v",
            "[]interface {}{map[string]interface {}{\"a\":[]interface {}{1, interface {}(nil)}, \"b\":\"x\"}, \
             []uint8{0x68, 0x69}, true}",
        ),
        ("%T", "[]interface {}"),
    ];
    for (format, expected) in cases {
        assert_eq!(sprintf(format.as_bytes(), &[nested()]), *expected, "{format}");
    }
    assert_eq!(
        sprintf(
            b"%#v %v",
            &[Value::Map(Map::nil(ANY_MAP)), Value::Map(Map::new())]
        ),
        *"map[string]interface {}(nil) map[]"
    );
    assert_eq!(
        sprintf(b"%#v", &[Value::List(List::nil(BYTE_SLICE))]),
        *"[]uint8(nil)"
    );
}

#[test]
fn operands_are_separated_unless_they_are_strings() {
    let args = [Value::from("a"), Value::int(1), Value::int(2), Value::from("b")];
    assert_eq!(sprint(&args), *"a1 2b");
    assert_eq!(sprintln(&args), *"a 1 2 b\n");
    assert_eq!(sprint(&[Value::Nil, Value::Nil]), *"<nil> <nil>");
}

#[test]
fn formats_tell_what_is_wrong_with_them() {
    let (s, i, f) = (Value::from("x"), Value::int(1), Value::Float(1.5));
    let cases: [(&str, &[&Value], &str); 15] = [
        ("%d", &[&s], "%!d(string=x)"),
        ("%s", &[&i], "%!s(int=1)"),
        ("%s", &[&Value::Nil], "%!s(<nil>)"),
        ("%d", &[&f], "%!d(float64=1.5)"),
        ("%d", &[], "%!d(MISSING)"),
        ("a", &[&i], "a%!(EXTRA int=1)"),
        ("%!", &[], "%!!(MISSING)"),
        ("%", &[&i], "%!(NOVERB)%!(EXTRA int=1)"),
        ("%[3]d", &[&i], "%!d(BADINDEX)"),
        ("%*d", &[&s, &i], "%!(BADWIDTH)1"),
        ("%.*d", &[&s, &i], "%!(BADPREC)1"),
        ("%[2]s %[1]d", &[&i, &s], "x 1"),
        (
            "%6.2f|%-6d|%06d|%+d|%x|%X|%o|%#o|%b|%c|%q|%U",
            &[&f, &i, &i, &i, &i, &i, &i, &i, &i, &i, &i, &i],
            "  1.50|1     |000001|+1|1|1|1|01|1|\u{1}|'\\x01'|U+0001",
        ),
        (
            "%x % X %#x %q %+q",
            &[&s, &s, &s, &s, &s],
            "78 78 0x78 \"x\" \"x\"",
        ),
        ("%t%%", &[&Value::Bool(true)], "true%"),
    ];
    for (format, args, expected) in cases {
        let args: Vec<Value> = args.iter().map(|arg| (*arg).clone()).collect();
        assert_eq!(sprintf(format.as_bytes(), &args), *expected, "{format}");
    }
}

#[test]
fn strings_that_are_not_utf8_stay_as_they_are() {
    let text = Value::str(vec![b'a', 0xFF, b'b']);
    assert_eq!(sprint(std::slice::from_ref(&text)).as_bytes(), b"a\xFFb");
    assert_eq!(
        sprintf(
            b"%q %x %5s|%.2s",
            &[text.clone(), text.clone(), text.clone(), text]
        )
        .as_bytes(),
        b"\"a\\xffb\" 61ff62   a\xFFb|a\xFF"
    );
}

#[test]
fn methods_print_for_values_that_have_them() {
    let spoken = typed::value(&json!({"t": "spoken", "v": typed::encode(b"w")}));
    let duration = typed::value(&json!({"t": "duration", "v": "95000000000"}));
    let thing = typed::value(&json!({"t": "*thing", "v": typed::encode(b"n")}));
    assert_eq!(
        sprintf(
            b"%v %d %q %T",
            &[spoken.clone(), spoken.clone(), spoken.clone(), spoken]
        ),
        *"«w» {%!d(string=w)} \"«w»\" main.spoken"
    );
    assert_eq!(
        sprintf(b"%v %d %T", &[duration.clone(), duration.clone(), duration]),
        *"1m35s 95000000000 time.Duration"
    );
    assert_eq!(
        sprintf(b"%v %+v", &[thing.clone(), thing]),
        *"&{n 0 <nil> map[] 7} &{Name:n Count:0 Any:<nil> Map:map[] hidden:7}"
    );
}

#[test]
fn integers_are_as_wide_as_their_kind() {
    assert_eq!(sprint(&[Value::int_of(IntKind::Int8, 200)]), *"-56");
    assert_eq!(
        sprint(&[Value::int_of(IntKind::Uint64, -1)]),
        *"18446744073709551615"
    );
}
