//! What hostile templates cannot do.

use std::sync::Arc;

use serde_json::json;

use crate::environment::Fixed;
use crate::render::{Functions, render};

fn outcome(template: &str) -> Result<String, String> {
    render(
        Functions::Helm,
        Arc::new(Fixed::default()),
        template.as_bytes(),
        &json!({}),
    )
    .map(|out| String::from_utf8(out).unwrap())
}

#[test]
fn huge_results_are_refused() {
    for template in [
        "{{ until 1000000000 }}",
        "{{ untilStep 0 9223372036854775807 1 }}",
        "{{ seq 1 1000000000000 }}",
        "{{ repeat 1000000000 \"abc\" }}",
        "{{ indent 1000000000 \"abc\" }}",
        "{{ randAlpha 10000000000 }}",
        "{{ replace \"\" (repeat 100000 \"x\") (repeat 100000 \"y\") }}",
    ] {
        let error = outcome(template).unwrap_err();
        assert!(error.contains("limit"), "{template}: {error}");
    }
}

/// A map that holds itself, and what functions make of it.
#[test]
fn cycles_end() {
    let cycle = "{{ $d := dict }}{{ $_ := set $d \"d\" $d }}";
    assert_eq!(
        outcome(&format!("{cycle}[{{{{ toJson $d }}}}{{{{ toYaml $d }}}}]")).unwrap(),
        "[]"
    );
    assert!(
        outcome(&format!("{cycle}{{{{ mustToJson $d }}}}"))
            .unwrap_err()
            .contains("encountered a cycle")
    );
    assert!(outcome(&format!("{cycle}{{{{ deepCopy $d }}}}")).is_err());
    assert!(outcome(&format!("{cycle}{{{{ mustToToml $d }}}}")).is_err());
    assert_eq!(
        outcome(&format!("{cycle}{{{{ deepEqual $d $d }}}}")).unwrap(),
        "true"
    );
    assert!(outcome(&format!("{cycle}{{{{ merge (dict) $d | len }}}}")).is_ok());
}

#[test]
fn deep_values_are_written_or_refused() {
    let deep = |levels: usize| {
        format!("{{{{ $d := dict }}}}{{{{ range until {levels} }}}}{{{{ $d = dict \"d\" $d }}}}{{{{ end }}}}")
    };
    let json = outcome(&format!("{}{{{{ toJson $d | len }}}}", deep(5_000))).unwrap();
    assert_eq!(json, (5_000 * 6 + 2).to_string());
    assert!(outcome(&format!("{}{{{{ toYaml $d | len }}}}", deep(500))).is_ok());
    assert_eq!(
        outcome(&format!("{}{{{{ toJson $d }}}}", deep(20_000))).unwrap(),
        ""
    );
    assert!(outcome(&format!("{}{{{{ deepEqual $d (deepCopy $d) }}}}", deep(5_000))).is_ok());
    let nested = "[".repeat(100_000);
    let error = outcome(&format!("{{{{ fromJsonArray {nested:?} }}}}")).unwrap();
    assert!(error.contains("exceeded max depth"), "{error}");
    let error = outcome(&format!("{{{{ fromToml {:?} }}}}", format!("a = {nested}"))).unwrap();
    assert!(error.contains("nested deeper"), "{error}");
}
