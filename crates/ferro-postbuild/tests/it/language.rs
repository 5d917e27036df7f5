//! The language, case by case: what is recognised, what each operator does, what is refused.

use std::collections::BTreeMap;

use ferro_postbuild::{Error, clean_value, substitute, validate_name, validate_names};

fn vars() -> BTreeMap<String, String> {
    let pairs = [
        ("a", "value"),
        ("b", "b"),
        ("empty", ""),
        ("cluster", "prod"),
        ("n", "3"),
        ("minus", "-2"),
        ("path", "usr/share/doc/share"),
        ("uni", "éa"),
        ("1st", "one"),
        ("greek", "σας"),
        ("sharp", "straße"),
        ("quote", "\""),
        ("roman", "ⅰ"),
        ("newer", "ƛ"),
    ];
    pairs
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

#[track_caller]
fn check(input: &str, expected: &str) {
    assert_eq!(
        substitute(input, &vars(), true).as_deref(),
        Ok(expected),
        "input {input:?}"
    );
}

#[track_caller]
fn check_error(input: &str, expected: &Error) {
    assert_eq!(
        substitute(input, &vars(), true).as_ref(),
        Err(expected),
        "input {input:?}"
    );
}

#[test]
fn only_dollar_brace_triggers() {
    check("plain", "plain");
    check("$a", "$a");
    check("$(a)", "$(a)");
    check("cost $ 5", "cost $ 5");
    check("end$", "end$");
    check("${a}", "value");
    check("x${a}y${b}z", "xvalueybz");
    check("${1st}", "one");
    check("a: ${a}\nb: ${b}\n", "a: value\nb: b\n");
}

#[test]
fn double_dollar_collapses_outside_braces() {
    check("$$a", "$a");
    check("$$", "$");
    check("$$$", "$$");
    check("$${a}", "${a}");
    check("$$${a}", "$value");
    check("$$$${a}", "$${a}");
    check("\\${a}", "\\value");
}

#[test]
fn malformed_expressions_are_refused() {
    check_error("${}", &Error::VariableName);
    check_error("${!a}", &Error::VariableName);
    check_error("${ a}", &Error::VariableName);
    check_error("${", &Error::VariableName);
    for input in [
        "${a b}",
        "${a.b}",
        "${a[0]}",
        "${a@Q}",
        "${a-d}",
        "${a+d}",
        "${a?d}",
        "${a",
        "${a$b}",
        "${a${b}}",
        // Alphabetic in Rust; not a letter in Go.
        "${aⅠ}",
        "${a:=${bⅠ}}",
    ] {
        check_error(input, &Error::MissingClosingBrace);
    }
    for input in [
        "${#}",
        "${##}",
        "${#a",
        "${#a b}",
        "${a^x}",
        "${a^^^}",
        "${a:",
        "${a/l}",
        "${a/l",
        "${a:é}",
        "${a:1${b}}",
    ] {
        check_error(input, &Error::BadSubstitution);
    }
    for input in [
        "${a:}", "${a::1}", "${a#}", "${a%}", "${a##}", "${a:=", "${a=x", "${a/x/y", "${a:1:}",
    ] {
        let error = substitute(input, &vars(), true).unwrap_err();
        assert!(
            matches!(error, Error::FunctionArgument | Error::BadSubstitution),
            "{input}: {error}"
        );
    }
    check_error("${a:}", &Error::FunctionArgument);
    check_error("${a/x/", &Error::FunctionArgument);
}

#[test]
fn defaults_are_all_the_same_operator() {
    for op in ["=", ":=", ":-", ":?", ":+"] {
        check(&format!("${{a{op}d}}"), "value");
        check(&format!("${{empty{op}d}}"), "d");
        check(&format!("${{missing{op}d}}"), "d");
        check(&format!("${{missing{op}}}"), "");
    }
    check("${x:={a}}", "{a}");
    check("${x:=a${a}b${b}c}", "avaluebbc");
    check("${x:-${y:-${a}}}", "value");
    check("${x:=$$}", "$$");
    check("${x:=a:b}", "a:b");
}

#[test]
fn substrings_count_bytes() {
    check("${cluster:1}", "rod");
    check("${cluster:0:2}", "pr");
    check("${cluster:1:99}", "rod");
    check("${cluster:9}", "");
    check("${cluster:4}", "");
    check("${cluster:9:-1}", "");
    check("${cluster: -2}", "prod");
    check("${cluster:x}", "prod");
    check("${cluster:1:x}", "prod");
    check("${cluster:${minus}}", "od");
    check("${cluster:1::2}", "ro");
    check("${cluster:+1}", "prod");
    check("${cluster:99999999999999999999}", "prod");
    check("${cluster:1:9223372036854775807}", "rod");
    check("${uni:2}", "a");
    check_error("${uni:1}", &Error::SplitCharacter("uni".into()));
    check("${cluster:1:-1}", "ro");
    check("${cluster:0:-4}", "");
    check("${cluster:0:-9}", "");
    check("${cluster:3:-2}", "");
    check("${cluster:${minus}:-1}", "o");
    check("${cluster:0:-99999999999999999999}", "prod");
    check("${empty:1:-1}", "");
    check_error("${uni:0:-2}", &Error::SplitCharacter("uni".into()));
}

#[test]
fn length_and_case() {
    check("${#a}", "5");
    check("${#uni}", "3");
    check("${#empty}", "0");
    check("${a^}", "Value");
    check("${a^^}", "VALUE");
    check("${a,}", "value");
    check("${greek^^}", "ΣΑΣ");
    check("${sharp^^}", "STRAßE");
    check("${uni^}", "Éa");
    check("${empty^}", "");
    check("${a^,}", "value");
    check("${roman^}", "Ⅰ");
    // Its capital came with Unicode 16, which Go does not know.
    check("${newer^^}", "ƛ");
}

#[test]
fn trims_remove_a_matching_end() {
    check("${a#v}", "alue");
    check("${a#*}", "alue");
    check("${a##*}", "");
    check("${a%e}", "valu");
    check("${a%%*}", "");
    check("${a%*}", "valu");
    check("${a#?}", "alue");
    check("${a#[u-w]}", "alue");
    check("${a#[^a]}", "alue");
    check("${a#[}", "value");
    check("${a%[a-f]}", "value");
    check("${a#x}", "value");
    check("${path#*/}", "share/doc/share");
    check("${path##*/}", "share");
    check("${path%/*}", "usr/share/doc");
    check("${path%%/*}", "usr");
    check("${path#*share}", "/doc/share");
    check("${cluster#p*}", "rod");
    check("${cluster##p*}", "");
    check("${a#${b}}", "value");
    check("${uni##?}", "a");
    check_error("${uni#?}", &Error::SplitCharacter("uni".into()));
}

#[test]
fn replacements_are_literal() {
    check("${path/share/x}", "usr/x/doc/share");
    check("${path//share/x}", "usr/x/doc/x");
    check("${path/#usr/x}", "x/share/doc/share");
    check("${path/%share/x}", "usr/share/doc/x");
    check("${path/#share/x}", "usr/share/doc/share");
    check("${path/share/}", "usr//doc/share");
    check("${path//share/}", "usr//doc/");
    check("${path/%share/}", "usr/share/doc/share");
    check("${path/\\//-}", "usr-share/doc/share");
    check("${path//\\//\\\\}", "usr\\share\\doc\\share");
    check("${path/*/x}", "usr/share/doc/share");
    check_error("${a/#/x}", &Error::FunctionArgument);
    check_error("${a///x}", &Error::FunctionArgument);
    check("${a/v/$$}", "$alue");
    check("${a/${b}/x}", "value");
    check("${a/value/${b}}", "b");
    check("${a/v}x/w}", "value");
}

#[test]
fn strict_mode_wants_every_variable_without_default() {
    for input in [
        "${x}", "${#x}", "${x^^}", "${x#p}", "${x/a/b}", "${x:1}", "${x^,}",
    ] {
        check_error(input, &Error::NotSet("x".into()));
        let lenient = if input == "${#x}" { "0" } else { "" };
        assert_eq!(
            substitute(input, &vars(), false).as_deref(),
            Ok(lenient),
            "input {input:?}"
        );
    }
    check("${empty}", "");
    // The default is evaluated although it is not needed.
    check_error("${a:-${x}}", &Error::NotSet("x".into()));
    assert_eq!(
        Error::NotSet("x".into()).to_string(),
        "variable not set (strict mode): \"x\""
    );
}

#[test]
fn syntax_errors_win_over_missing_variables() {
    check_error("${x} ${}", &Error::VariableName);
}

#[test]
fn worked_examples_of_the_behaviour_page() {
    check("${cluster}-${region:=eu}", "prod-eu");
    check("replicas: ${n}", "replicas: 3");
    check("${quote}${n}${quote}", "\"3\"");
    check("$${cluster}", "${cluster}");
    check("${#cluster}", "4");
    check("${cluster^^}", "PROD");
    check("${cluster/o/0}", "pr0d");
    check("${cluster:+x}", "prod");
}

#[test]
fn names_and_values_are_checked_as_given() {
    for name in ["a", "_", "_A9", "aB_c"] {
        assert_eq!(validate_name(name), Ok(()));
    }
    for name in ["", "9a", "tls.crt", "a-b", "é", "a\n"] {
        assert_eq!(validate_name(name), Err(Error::InvalidName(name.to_owned())));
    }
    let vars = BTreeMap::from([
        ("ok".to_owned(), String::new()),
        ("tls.crt".to_owned(), String::new()),
    ]);
    assert_eq!(
        validate_names(&vars).unwrap_err().to_string(),
        "'tls.crt' var name is invalid, must match '^[_[:alpha:]][_[:alpha:][:digit:]]*$'"
    );
    assert_eq!(clean_value("a\nb\r\nc"), "ab\rc");
}
