//! What sprig and Helm answered when they were asked.

use std::sync::Arc;

use serde_json::json;

use crate::environment::Fixed;
use crate::oracle::{Answer, Oracle};
use crate::render::{Functions, bytes_of, reference, render};

/// Templates with their output.
const PROBES: &[(&str, &str)] = &[
    // Text.
    (r#"{{ trimAll "$" "$5.00$" }}"#, "5.00"),
    (r#"{{ abbrev 5 "hello world" }}"#, "he..."),
    (r#"{{ abbrevboth 5 10 "1234 5678 9123" }}"#, "...5678..."),
    (r#"{{ wrapWith 5 "|" "abcdefgh ij" }}"#, "abcde|fgh|ij"),
    (
        r#"{{ wrap 10 "a verylongwordindeed b" }}"#,
        "a\nverylongwordindeed\nb",
    ),
    (
        r#"{{ plural "one" "many" 1 }} {{ plural "one" "many" 0 }}"#,
        "one many",
    ),
    (r#"{{ snakecase "HTTPServerName" }}"#, "http_server_name"),
    (r#"{{ snakecase "First Name2" }}"#, "first_name2"),
    (r#"{{ snakecase "HTTPServer2Go" }}"#, "http_server2_go"),
    (r#"{{ snakecase "JSONData2X" }}"#, "json_data2_x"),
    (r#"{{ camelcase "http_server-name" }}"#, "HttpServerName"),
    (r#"{{ camelcase "foo bar" }}"#, "FooBar"),
    (r#"{{ camelcase "JSONData" }}"#, "Jsondata"),
    (r#"{{ kebabcase "HTTPServer" }}"#, "http-server"),
    (r#"{{ title "o'neil smith-jones" }}"#, "O'Neil Smith-Jones"),
    (
        r#"{{ untitle "First Try" }} {{ swapcase "This Is A.Test" }}"#,
        "first try tHIS iS a.tEST",
    ),
    (r#"{{ initials "First Try" }} {{ nospace "a b  c" }}"#, "FT abc"),
    (r#"{{ quote "a\nb" nil "é" }}"#, r#""a\nb" "é""#),
    (r#"[{{ quote nil }}]"#, "[]"),
    (r#"{{ squote "it's" nil 1 }}"#, "'it's' '1'"),
    (r#"[{{ cat "" "a" nil 1 }}]"#, "[ a 1]"),
    ("{{ indent 2 \"a\\n\\nb\\n\" }}|", "  a\n  \n  b\n  |"),
    (r#"[{{ indent 2 "" }}]"#, "[  ]"),
    (r#"{{ nindent 2 "a" }}"#, "\n  a"),
    (
        r#"{{ toString nil }} {{ toString 1e6 }} {{ toString (list 1 "a") }}"#,
        "<nil> 1e+06 [1 a]",
    ),
    (
        r#"{{ substr 0 5 "hello world" }}|{{ substr -1 5 "hello world" }}|{{ substr 6 -1 "hello world" }}"#,
        "hello|hello|world",
    ),
    (
        r#"{{ trunc 5 "hello world" }}|{{ trunc -5 "hello world" }}|{{ trunc 1.0 "abc" }}"#,
        "hello|world|a",
    ),
    (r#"{{ adler32sum "hello" }}"#, "103547413"),
    (
        r#"{{ b64enc "hi" }} {{ b64dec "aGk=" }} {{ b32enc "hi" }} {{ b32dec "NBUQ====" }}"#,
        "aGk= hi NBUQ==== hi",
    ),
    (r#"{{ b64dec "!!" }}"#, "illegal base64 data at input byte 0"),
    (r#"{{ sha1sum "a" }}"#, "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
    (r#"{{ hello }}"#, "Hello!"),
    // Numbers.
    (
        r#"{{ int64 "0x1f" }} {{ int64 "010" }} {{ int64 "08" }} {{ int64 "1.9" }} {{ int64 " 5" }} {{ int64 "9" }}"#,
        "31 8 0 0 0 9",
    ),
    (
        r#"{{ int64 "1_000" }} {{ int64 "0777" }} {{ int64 "1e3" }} {{ int64 1e20 }} {{ int true }} {{ int nil }}"#,
        "1000 511 0 -9223372036854775808 1 0",
    ),
    (
        r#"{{ atoi "012" }} {{ atoi "x" }} {{ float64 "1e3" }} {{ float64 "x" }}"#,
        "12 0 1000 0",
    ),
    (r#"{{ toDecimal 0777 }} {{ toDecimal "777" }}"#, "329 511"),
    (
        r#"{{ seq 0 }}|{{ seq -3 }}|{{ seq 5 }}|{{ seq 2 5 }}|{{ seq 0 2 10 }}|{{ seq 0 -2 -5 }}|{{ seq 5 1 1 }}"#,
        "1 0|1 0 -1 -2 -3|1 2 3 4 5|2 3 4 5|0 2 4 6 8 10|0 -2 -4|",
    ),
    (
        r#"{{ until 3 }} {{ until -3 }} {{ untilStep 3 6 2 }} {{ untilStep 0 5 0 }}"#,
        "[0 1 2] [0 -1 -2] [3 5] []",
    ),
    (
        r#"{{ add 1 2.9 "3" }} {{ add1 1 }} {{ sub 3 5 }} {{ div 7 2 }} {{ mod -7 3 }} {{ mul 2 3 4 }}"#,
        "6 2 -2 3 -1 24",
    ),
    (
        r#"{{ addf 0.1 0.2 }} {{ divf 10 3 }} {{ subf 7.5 2 3 }} {{ mulf 1.5 2 2 }} {{ add1f 1.5 }}"#,
        "0.3 3.3333333333333335 2.5 6 2.5",
    ),
    (
        r#"{{ max 1 5 3 }} {{ biggest 1 2 }} {{ min 1 5 3 }} {{ maxf 1 2.5 }} {{ minf 1 2.5 }} {{ ceil 1.1 }} {{ floor 1.9 }}"#,
        "5 2 1 2.5 1 2 1",
    ),
    (
        r#"{{ round -2.5 0 }} {{ round 123.555555 3 }} {{ round 2.4 0 0.3 }}"#,
        "-3 123.556 3",
    ),
    // Lists.
    (
        r#"{{ first (list 1 2) }} {{ last (list 1 2) }} {{ rest (list 1 2 3) }} {{ initial (list 1 2 3) }}"#,
        "1 2 [2 3] [1 2]",
    ),
    (
        r#"{{ $l := list 1 2 }}{{ append $l 3 }}{{ prepend $l 0 }}{{ concat $l (list 9) }}{{ reverse $l }}{{ $l }}"#,
        "[1 2 3][0 1 2][1 2 9][2 1][1 2]",
    ),
    (
        r#"{{ uniq (list 1 1.0 1 "1" (list 1) (list 1)) }} {{ without (list 1 2 3) 2 }} {{ has 1.0 (list 1 2) }} {{ has 1 nil }}"#,
        "[1 1 1 [1]] [1 3] false false",
    ),
    (
        r#"{{ compact (list 0 "" nil "a" false (list)) }} {{ slice (list 1 2 3) 1 }} {{ slice (list 1 2 3) 1 2 }} {{ chunk 2 (list 1 2 3) }}"#,
        "[a] [2 3] [2] [[1 2] [3]]",
    ),
    (
        r#"{{ sortAlpha (list "b" 10 "a" 9) }} {{ sortAlpha 3 }} {{ join "-" (list 1 nil "a") }} {{ join "-" "x" }}"#,
        "[10 9 a b] [3] 1-a x",
    ),
    (
        r#"{{ splitList "," "a,b" }} {{ (split "," "a,b")._1 }} {{ splitn "," 2 "a,b,c" }} {{ toStrings (list 1 nil "a") }}"#,
        "[a b] b map[_0:a _1:b,c] [1 a]",
    ),
    // Maps.
    (
        r#"{{ dict "a" 1 2 }} {{ get (dict "a" 1) "b" }}|{{ hasKey (dict "a" nil) "a" }} {{ pluck "a" (dict "a" 1) (dict) (dict "a" 2) }}"#,
        "map[2: a:1] |true [1 2]",
    ),
    (
        r#"{{ $d := dict "a" 1 }}{{ $_ := set $d "b" 2 }}{{ $d }}{{ $_ := unset $d "a" }}{{ $d }}"#,
        "map[a:1 b:2]map[b:2]",
    ),
    (
        r#"{{ pick (dict "a" 1 "b" 2) "b" "c" }} {{ omit (dict "a" 1 "b" 2) "b" }}"#,
        "map[b:2] map[a:1]",
    ),
    (
        r#"{{ dig "a" "b" "none" (dict "a" (dict "b" 1)) }} {{ dig "a" "c" "none" (dict "a" (dict "b" 1)) }}"#,
        "1 none",
    ),
    (
        r#"{{ merge (dict "b" 0) (dict "b" 3) }} {{ mergeOverwrite (dict "b" 5) (dict "b" nil) }}"#,
        "map[b:3] map[b:<nil>]",
    ),
    (
        r#"{{ mergeOverwrite (dict "m" (dict "a" 1)) (dict "m" (dict)) }} {{ mergeOverwrite (dict "l" (list 1)) (dict "l" (list)) }}"#,
        "map[m:map[a:1]] map[l:[]]",
    ),
    (
        r#"{{ $s := dict "m" (dict "a" 1) }}{{ $r := merge (dict) $s }}{{ $_ := set $r.m "a" 2 }}{{ $s }}"#,
        "map[m:map[a:2]]",
    ),
    (
        r#"{{ $s := dict "m" (dict "a" 1) }}{{ $r := merge (dict) (deepCopy $s) }}{{ $_ := set $r.m "a" 2 }}{{ $s }}"#,
        "map[m:map[a:1]]",
    ),
    (
        r#"{{ deepEqual (dict "a" (list 1)) (dict "a" (list 1)) }} {{ deepEqual 1 1.0 }}"#,
        "true false",
    ),
    // Defaults, types.
    (
        r#"{{ default "d" 0 }} {{ default "d" "0" }} {{ "" | default "d" }} {{ empty now }} {{ coalesce 0 "" 3 }} {{ all }} {{ any 0 "" }}"#,
        "d 0 d false 3 true false",
    ),
    (
        r#"{{ ternary 1 2 true }} {{ true | ternary 1 2 }} {{ false | ternary 1 2 }}"#,
        "1 1 2",
    ),
    (
        r#"{{ typeOf (list) }} {{ typeOf (dict) }} {{ typeOf 1.5 }} {{ typeOf now }} {{ typeOf nil }} {{ typeOf (semver "1.2.3") }}"#,
        "[]interface {} map[string]interface {} float64 time.Time <nil> *semver.Version",
    ),
    (
        r#"{{ kindOf (list) }} {{ kindOf nil }} {{ kindOf now }} {{ kindOf (semver "1.2.3") }} {{ kindIs "map" (dict) }} {{ typeIsLike "semver.Version" (semver "1.2.3") }}"#,
        "slice invalid struct ptr true true",
    ),
    // Dates.
    (
        r#"{{ date "2006-01-02" 0 }} {{ dateInZone "15:04 MST" 1700000000 "Europe/Paris" }} {{ dateInZone "MST" 0 "No/Where" }} {{ htmlDate 951782400 }}"#,
        "1970-01-01 23:13 CET UTC 2000-02-29",
    ),
    (
        r#"{{ duration "95" }} {{ duration 95 }} {{ durationRound "2h10m5s" }} {{ durationRound "2400h10m5s" }}"#,
        "1m35s 0s 2h 3mo",
    ),
    (
        r#"{{ toDate "2006-01-02" "x" }} {{ toDate "2006-01-02" "2024-02-29" | dateModify "24h" | unixEpoch }}"#,
        "0001-01-01 00:00:00 +0000 UTC 1709251200",
    ),
    (
        r#"{{ (toDate "2006-01-02" "2024-02-29").Month }} {{ (toDate "2006-01-02" "2024-02-29").AddDate 1 0 0 }}"#,
        "February 2025-03-01 00:00:00 +0000 UTC",
    ),
    // Regular expressions, versions, paths, URLs.
    (
        r#"{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W" }} {{ regexReplaceAll "a(x*)b" "-ab-axxb-" "$1W" }} {{ regexReplaceAllLiteral "a(x*)b" "-ab-axxb-" "${1}" }}"#,
        "-W-xxW- --- -${1}-${1}-",
    ),
    (
        r#"{{ regexFindAll "[2,4,6,8]" "123456789" -1 }} {{ regexFind "[a-z]" "1b" }} {{ regexSplit "z+" "pizza" -1 }} {{ regexMatch "(" "x" }} {{ regexQuoteMeta "1.2" }}"#,
        r"[2 4 6 8] b [pi a] false 1\.2",
    ),
    (
        r#"{{ semver "v1.2" }} {{ (semver "1.2.3").Major }} {{ (semver "1.2.3") | (semver "1.3.0").Compare }} {{ semverCompare ">=1.19" "1.20.0" }} {{ (semver "1.2.3").IncMinor }}"#,
        "1.2.0 1 1 true 1.3.0",
    ),
    (
        r#"{{ semverCompare ">=1.19" "v1.33.4-gke.1" }} {{ semverCompare ">=1.19-0" "v1.33.4-gke.1" }}"#,
        "false true",
    ),
    (
        r#"{{ base "" }} {{ base "a/b.c" }} {{ dir "a/b/c" }} {{ clean "a/../b" }} {{ ext "x.tar.gz" }} {{ isAbs "/a" }} {{ osBase "/" }}"#,
        ". b.c a/b b .gz true /",
    ),
    (
        r#"{{ urlJoin (dict "scheme" "http" "host" "h" "path" "/p" "userinfo" "u:p" "query" "q=1") }} {{ (urlParse "http://u:p@h:8/x?y#z").hostname }}"#,
        "http://u:p@h/p?q=1 h",
    ),
    // Passwords.
    (
        r#"{{ derivePassword 1 "long" "password" "user" "example.com" }} {{ derivePassword 1 "pin" "password" "user" "example.com" }} {{ derivePassword 1 "bad" "p" "u" "s" }}"#,
        "ZedaFaxcZaso9* 6685 cannot find password template bad",
    ),
    (
        r#"{{ htpasswd "a:b" "p" }} {{ genPrivateKey "x" }} {{ encryptAES "key" "text" | decryptAES "key" }}"#,
        "invalid username: a:b Unknown type x text",
    ),
    // YAML, JSON, TOML.
    (
        r#"{{ dict "_x" 1 "1" 1 "2" 1 "10" 1 "A" 1 "a-b" 1 "a.b" 1 "a2" 1 "a10" 1 "aB" 1 "z" 1 | toYaml }}"#,
        "_x: 1\n\"1\": 1\n\"2\": 1\n\"10\": 1\nA: 1\na-b: 1\na.b: 1\na2: 1\na10: 1\naB: 1\nz: 1",
    ),
    (
        r#"{{ dict "k" (list "a" (list 1) (dict "x" 1 "y" 2)) "e" (dict) "l" (list) "n" nil | toYaml }}"#,
        "e: {}\nk:\n- a\n- - 1\n- x: 1\n  \"y\": 2\nl: []\n\"n\": null",
    ),
    (
        r#"{{ list 1234567.0 1e20 1e-6 1.5 true "yes" "a: b" "" "x\ny" | toYaml }}"#,
        "- 1234567\n- 1e+20\n- 1e-06\n- 1.5\n- true\n- \"yes\"\n- 'a: b'\n- \"\"\n- |-\n  x\n  y",
    ),
    (
        r#"{{ dict "l" (list 1) "f" 1e6 "n" "y" | toYamlPretty }}"#,
        "f: 1e+06\nl:\n  - 1\n\"n\": \"y\"",
    ),
    (
        r#"{{ fromYaml "a: yes\nb: 1\n1: x" }} {{ (fromYaml "a: [1").Error }}"#,
        "map[1:x a:true b:1] error converting YAML to JSON: yaml: line 1: did not find expected ',' or ']'",
    ),
    (
        r#"{{ (fromYaml "[1]").Error }}"#,
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
    ),
    (
        r#"{{ fromYamlArray "- 1\n- a" }} {{ fromYamlArray "a: 1" }}"#,
        "[1 a] [error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go value of type []interface {}]",
    ),
    (
        r#"{{ dict "b" "<&>" "a" 1e21 "c" 1e-7 "d" 1000000.0 | toJson }}"#,
        "{\"a\":1e+21,\"b\":\"\\u003c\\u0026\\u003e\",\"c\":1e-7,\"d\":1000000}",
    ),
    (
        r#"{{ dict "a" (list 1 "<") | toPrettyJson }}{{ toRawJson "<a>" }}"#,
        "{\n  \"a\": [\n    1,\n    \"\\u003c\"\n  ]\n}\"<a>\"",
    ),
    (
        r#"{{ (fromJson "[1]").Error }}|{{ fromJsonArray "[1, null]" }}|{{ (fromJson "{x").Error }}"#,
        "json: cannot unmarshal array into Go value of type map[string]interface {}|[1 <nil>]|invalid character 'x' looking for beginning of object key string",
    ),
    (
        r#"{{ dict "b" 1.0 "a" (dict "x" "y" "z" (dict)) "c" (list 1 2) "d" (list (dict "e" 1e7)) | toToml }}"#,
        "b = 1.0\nc = [1, 2]\n\n[a]\n  x = \"y\"\n  [a.z]\n\n[[d]]\n  e = 1e+07\n",
    ),
    (
        r#"{{ fromToml "a = 1\n[t]\nb = 1.5\n" }}|{{ (fromToml "a = ").Error }}"#,
        "map[a:1 t:map[b:1.5]]|toml: line 1 (last key \"a\"): unexpected EOF; expected value",
    ),
    (r#"{{ getHostByName "example.com" }}|"#, "|"),
];

/// Templates with the end of their error.
const ERRORS: &[(&str, &str)] = &[
    (
        r#"{{ substr 5 3 "hello world" }}"#,
        "runtime error: slice bounds out of range [5:3]",
    ),
    (r#"{{ div 1 0 }}"#, "runtime error: integer divide by zero"),
    (r#"{{ first "x" }}"#, "Cannot find first on type string"),
    (
        r#"{{ first nil }}"#,
        "runtime error: invalid memory address or nil pointer dereference",
    ),
    (
        r#"{{ slice (list 1 2) 5 }}"#,
        "reflect.Value.Slice: slice index out of bounds",
    ),
    (
        r#"{{ dig "a" "b" 1 (dict "a" 5) }}"#,
        "interface conversion: interface {} is int, not map[string]interface {}",
    ),
    (r#"{{ dig 1 (dict) }}"#, "dig needs at least three arguments"),
    (r#"{{ fail "no" }}"#, "no"),
    (
        r#"{{ urlParse "::bad" }}"#,
        "unable to parse url: parse \"::bad\": missing protocol scheme",
    ),
    (r#"{{ semver "x" }}"#, "invalid semantic version"),
    (
        r#"{{ semverCompare "bad!" "1.0.0" }}"#,
        "improper constraint: \"bad!\"",
    ),
    (
        r#"{{ regexFindAll "(" "x" 1 }}"#,
        "regexp: Compile(`(`): error parsing regexp: missing closing ): `(`",
    ),
    (
        r#"{{ mustRegexFind "(?=" "x" }}"#,
        "error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
    ),
    (
        r#"{{ mustToDate "2006-01-02" "x" }}"#,
        "parsing time \"x\" as \"2006-01-02\": cannot parse \"x\" as \"2006\"",
    ),
    (r#"{{ randInt 5 5 }}"#, "invalid argument to Intn"),
    (r#"{{ repeat -1 "x" }}"#, "strings: negative Repeat count"),
];

#[test]
fn probes_answer_as_written_down() {
    let mut oracle = Oracle::start();
    for (template, expected) in PROBES {
        let values = json!({});
        let ours = render(
            Functions::Helm,
            Arc::new(Fixed::default()),
            template.as_bytes(),
            &values,
        );
        let ours = ours.unwrap_or_else(|error| panic!("{template}: {error}"));
        assert_eq!(String::from_utf8_lossy(&ours), **expected, "{template}");
        // The reference looks names of hosts up.
        let Some(oracle) = oracle.as_mut().filter(|_| !template.contains("HostByName")) else {
            continue;
        };
        match reference(oracle, Functions::Helm, template.as_bytes(), &values) {
            Answer::Output(output) => assert_eq!(
                String::from_utf8_lossy(&bytes_of(&output)),
                **expected,
                "{template}"
            ),
            other => panic!("{template}: {other:?}"),
        }
    }
}

#[test]
fn wrong_calls_fail_with_the_texts_of_go() {
    let mut oracle = Oracle::start();
    for (template, expected) in ERRORS {
        let values = json!({});
        let ours = render(
            Functions::Sprig,
            Arc::new(Fixed::default()),
            template.as_bytes(),
            &values,
        );
        let error = ours.unwrap_err();
        assert!(error.ends_with(&format!(": {expected}")), "{template}: {error}");
        let Some(oracle) = &mut oracle else { continue };
        assert_eq!(
            reference(oracle, Functions::Sprig, template.as_bytes(), &values),
            Answer::Error(error),
            "{template}"
        );
    }
}

#[test]
fn randomness_has_its_form() {
    let out = |template: &str| {
        let out = render(
            Functions::Sprig,
            Arc::new(Fixed::default()),
            template.as_bytes(),
            &json!({}),
        );
        String::from_utf8(out.unwrap()).unwrap()
    };
    let all = |text: &str, is_wanted: fn(&char) -> bool| text.chars().all(|c| is_wanted(&c));
    assert!(all(&out("{{ randAlpha 200 }}"), char::is_ascii_alphabetic));
    assert!(all(&out("{{ randNumeric 200 }}"), char::is_ascii_digit));
    assert!(all(&out("{{ randAlphaNum 200 }}"), char::is_ascii_alphanumeric));
    assert!(all(&out("{{ randAscii 200 }}"), |c| (' '..='~').contains(c)));
    assert_eq!(
        out("{{ randAlphaNum 12 | len }} {{ randAlpha -1 | len }} {{ randBytes 3 | len }}"),
        "12 0 4"
    );
    let uuid = out("{{ uuidv4 }}");
    let marks: Vec<_> = [8, 13, 14, 18, 23]
        .iter()
        .map(|at| uuid.chars().nth(*at).unwrap())
        .collect();
    assert_eq!((uuid.len(), marks), (36, vec!['-', '-', '4', '-', '-']));
    assert_eq!(
        out("{{ shuffle \"abc\" | len }} {{ env \"HOME\" }} {{ expandenv \"$HOME/${HOME}x\" }}"),
        "3 /users/me /users/me//users/mex"
    );
    assert!(out("{{ bcrypt \"secret\" }}").starts_with("$2a$10$"));
    assert!(out("{{ htpasswd \"u\" \"p\" }}").starts_with("u:$2a$10$"));
    assert!(out("{{ genPrivateKey \"ecdsa\" }}").starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
}
