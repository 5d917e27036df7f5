//! Label selectors as they are written on command lines: `a=b,c!=d,e in (f,g),h,!i,n>1`.

use std::collections::BTreeMap;

/// A conjunction of requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    GreaterThan(i64),
    LessThan(i64),
}

impl LabelSelector {
    /// Reads a selector; `None` when it is malformed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        split(text)?
            .into_iter()
            .map(Requirement::parse)
            .collect::<Option<_>>()
            .map(Self)
    }

    pub(super) fn matches(&self, labels: &BTreeMap<&str, &str>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (depth == 0).then_some(parts)
}

impl Requirement {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let new = |key: &str, test: Test| {
            let key = key.trim();
            is_key(key).then(|| Self {
                key: key.to_owned(),
                test,
            })
        };
        let one = |value: &str| {
            let value = value.trim();
            is_value(value).then(|| vec![value.to_owned()])
        };
        if let Some(key) = text.strip_prefix('!') {
            return new(key, Test::Absent);
        }
        if let Some((key, value)) = text.split_once("!=") {
            return new(key, Test::NotIn(one(value)?));
        }
        if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            return new(key, Test::In(one(value)?));
        }
        if let Some((key, value)) = text.split_once('>') {
            return new(key, Test::GreaterThan(value.trim().parse().ok()?));
        }
        if let Some((key, value)) = text.split_once('<') {
            return new(key, Test::LessThan(value.trim().parse().ok()?));
        }
        let Some((key, rest)) = text.split_once(char::is_whitespace) else {
            return new(text, Test::Exists);
        };
        let (negated, list) = match rest.trim_start() {
            rest if rest.starts_with("notin") => (true, rest.get(5..)?),
            rest if rest.starts_with("in") => (false, rest.get(2..)?),
            _ => return None,
        };
        let values = list.trim().strip_prefix('(')?.strip_suffix(')')?;
        let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        if !values.iter().all(|value| is_value(value)) {
            return None;
        }
        new(
            key,
            if negated {
                Test::NotIn(values)
            } else {
                Test::In(values)
            },
        )
    }

    fn matches(&self, labels: &BTreeMap<&str, &str>) -> bool {
        let value = labels.get(self.key.as_str()).copied();
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Test::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Test::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

fn is_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_key(text: &str) -> bool {
    let (prefix, name) = text
        .split_once('/')
        .map_or((None, text), |(prefix, name)| (Some(prefix), name));
    is_name(name) && name.len() <= 63 && prefix.is_none_or(|prefix| is_name(prefix) && prefix.len() <= 253)
}

/// Annotations may be compared with longer values than labels can have.
fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_as_kubectl_reads_them() {
        let labels = BTreeMap::from([
            ("app", "web"),
            ("example.com/tier", "back"),
            ("n", "5"),
            ("empty", ""),
        ]);
        for (selector, expected) in [
            ("app", true),
            ("!app", false),
            ("missing", false),
            ("!missing", true),
            ("app=web", true),
            ("app==web", true),
            ("app = web , n", true),
            ("app!=web", false),
            ("missing!=web", true),
            ("app in (web, db)", true),
            ("app in (db)", false),
            ("app notin (db),example.com/tier=back", true),
            ("missing notin (db)", true),
            ("n>4,n<6", true),
            ("n>5", false),
            ("app>1", false),
            ("empty=", true),
            ("app=", false),
        ] {
            assert_eq!(
                LabelSelector::parse(selector).unwrap().matches(&labels),
                expected,
                "{selector}"
            );
        }
        for malformed in [
            "a,,b",
            "a in b",
            "a in (b",
            "a b",
            "=b",
            "a=b c",
            "a in (b))",
            "n>x",
            "-a",
            "a/b/c",
            ",",
        ] {
            assert_eq!(LabelSelector::parse(malformed), None, "{malformed}");
        }
    }
}
