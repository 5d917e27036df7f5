//! Hostile input is refused in bounded time and memory.

use std::collections::BTreeMap;

use ferro_postbuild::{Error, MAX_DEPTH, substitute};

#[test]
fn nesting_has_a_limit() {
    let nested = |n: usize| format!("{}x{}", "${a:-".repeat(n), "}".repeat(n));
    assert_eq!(
        substitute(&nested(MAX_DEPTH), &BTreeMap::new(), true).as_deref(),
        Ok("x")
    );
    assert_eq!(
        substitute(&nested(MAX_DEPTH + 1), &BTreeMap::new(), true),
        Err(Error::TooDeep)
    );
    assert_eq!(
        substitute(&nested(100_000), &BTreeMap::new(), true),
        Err(Error::TooDeep)
    );
}

#[test]
fn output_has_a_limit() {
    let vars = BTreeMap::from([("a".to_owned(), "x".repeat(1 << 20))]);
    let many = "${a}".repeat(65);
    assert_eq!(substitute(&many, &vars, true), Err(Error::TooLarge));
    let grow = "${a//x/${a}}";
    assert_eq!(substitute(grow, &vars, true), Err(Error::TooLarge));
}

#[test]
fn matching_has_a_limit() {
    let vars = BTreeMap::from([("a".to_owned(), "x".repeat(1 << 20))]);
    assert_eq!(
        substitute("${a##*x*x*y}", &vars, true),
        Err(Error::TooSlow("a".into()))
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text in "[${}a:#%/=^,\\[\\]*?\\\\1é-]{0,24}") {
        let vars = BTreeMap::from([("a".to_owned(), "aé/1".to_owned())]);
        let first = substitute(&text, &vars, true);
        proptest::prop_assert_eq!(first, substitute(&text, &vars, true));
    }

    #[test]
    fn text_without_dollar_is_unchanged(text in "[^$]{0,64}") {
        let vars = BTreeMap::new();
        proptest::prop_assert_eq!(substitute(&text, &vars, true), Ok(text));
    }
}
