//! The selectors of Kubernetes: `app in (a,b), !legacy, tier!=db`.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::resource::Resource;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    DoesNotExist,
    In,
    NotIn,
    GreaterThan,
    LessThan,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

/// A parsed selector, or why it is none; upstream finds out only when a resource is looked at.
#[derive(Clone, Debug)]
pub(super) struct LabelSelector(Result<Vec<Requirement>, String>);

impl LabelSelector {
    pub(super) fn parse(text: &str) -> Self {
        Self(
            Parser {
                tokens: scan(text),
                position: 0,
            }
            .parse(),
        )
    }

    pub(super) fn matches(&self, resource: &Resource, field: &str) -> Result<bool> {
        let requirements = self.0.as_ref().map_err(|problem| Error::other(problem.clone()))?;
        let map = resource.node.lookup(["metadata", field]);
        Ok(requirements.iter().all(|requirement| {
            let value = map.and_then(|map| map.get(&requirement.key));
            requirement.matches(value.map(|value| value.text().unwrap_or_default()))
        }))
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let bound = || self.values.first().and_then(|bound| bound.parse::<i64>().ok());
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::GreaterThan => {
                matches!((number(), bound()), (Some(number), Some(bound)) if number > bound)
            }
            Operator::LessThan => {
                matches!((number(), bound()), (Some(number), Some(bound)) if number < bound)
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Error(String),
    End,
    Symbol(&'static str),
    Word(String),
}

impl Token {
    fn literal(&self) -> &str {
        match self {
            Self::Error(text) | Self::Word(text) => text,
            Self::End => "",
            Self::Symbol(symbol) => symbol,
        }
    }
}

const SYMBOLS: [&str; 9] = [")", ",", "!", "==", "=", ">", "<", "!=", "("];

fn is_special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn scan(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while let Some(first) = rest.chars().next() {
        let length = if is_special(first) {
            // The longest run that is a symbol; a run that never becomes one is an error as a whole.
            let run = rest.find(|c| !is_special(c)).unwrap_or(rest.len());
            let symbols = SYMBOLS.iter().filter(|symbol| rest.starts_with(**symbol));
            match symbols.max_by_key(|symbol| symbol.len()) {
                Some(symbol) => {
                    tokens.push(Token::Symbol(symbol));
                    symbol.len()
                }
                None => {
                    let run = rest.get(..run).unwrap_or_default();
                    tokens.push(Token::Error(format!("error expected: keyword found '{run}'")));
                    run.len()
                }
            }
        } else {
            let length = rest.find(|c| is_special(c) || is_blank(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest.get(..length).unwrap_or_default().to_owned()));
            length
        };
        rest = rest
            .get(length..)
            .unwrap_or_default()
            .trim_start_matches(is_blank);
    }
    tokens.push(Token::End);
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

impl Parser {
    fn peek(&self) -> Token {
        self.tokens.get(self.position).cloned().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn parse(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::Word(_) | Token::Symbol("!") => {
                    let parsed = self.requirement();
                    requirements
                        .push(parsed.map_err(|error| format!("unable to parse requirement: {error}"))?);
                    match self.next() {
                        Token::End => return Ok(requirements),
                        Token::Symbol(",") => match self.peek() {
                            Token::Word(_) | Token::Symbol("!") => {}
                            other => {
                                return Err(format!(
                                    "found '{}', expected: identifier after ','",
                                    other.literal()
                                ));
                            }
                        },
                        other => {
                            return Err(format!(
                                "found '{}', expected: ',' or 'end of string'",
                                other.literal()
                            ));
                        }
                    }
                }
                Token::End => return Ok(requirements),
                other => {
                    return Err(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        other.literal()
                    ));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let is_negated = self.peek() == Token::Symbol("!");
        if is_negated {
            self.position += 1;
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(format!("found '{}', expected: identifier", other.literal())),
        };
        check_key(&key)?;
        if is_negated {
            return Ok(Requirement {
                key,
                operator: Operator::DoesNotExist,
                values: BTreeSet::new(),
            });
        }
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(Requirement {
                key,
                operator: Operator::Exists,
                values: BTreeSet::new(),
            });
        }
        let operator = match self.next() {
            Token::Word(word) if word == "in" => Operator::In,
            Token::Word(word) if word == "notin" => Operator::NotIn,
            Token::Symbol("=" | "==") => return self.exact(key, Operator::In),
            Token::Symbol("!=") => return self.exact(key, Operator::NotIn),
            Token::Symbol(">") => return self.bound(key, Operator::GreaterThan),
            Token::Symbol("<") => return self.bound(key, Operator::LessThan),
            other => {
                return Err(format!(
                    "found '{}', expected: '=', '!=', '==', 'in', notin'",
                    other.literal()
                ));
            }
        };
        let values = self.values()?;
        values.iter().try_for_each(|value| check_value(&key, value))?;
        Ok(Requirement {
            key,
            operator,
            values,
        })
    }

    fn exact(&mut self, key: String, operator: Operator) -> Result<Requirement, String> {
        let value = match self.peek() {
            Token::End | Token::Symbol(",") => String::new(),
            _ => match self.next() {
                Token::Word(value) => value,
                other => return Err(format!("found '{}', expected: identifier", other.literal())),
            },
        };
        check_value(&key, &value)?;
        Ok(Requirement {
            key,
            operator,
            values: BTreeSet::from([value]),
        })
    }

    fn bound(&mut self, key: String, operator: Operator) -> Result<Requirement, String> {
        let requirement = self.exact(key, operator)?;
        match requirement.values.first().map(|bound| bound.parse::<i64>()) {
            Some(Ok(_)) => Ok(requirement),
            _ => Err("for 'Gt', 'Lt' operators, the value must be an integer".to_owned()),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        match self.next() {
            Token::Symbol("(") => {}
            other => return Err(format!("found '{}' expected: '('", other.literal())),
        }
        let mut values = BTreeSet::new();
        let mut value: Option<String> = None;
        loop {
            match self.next() {
                Token::Word(word) if value.is_none() => value = Some(word),
                Token::Symbol(",") => {
                    values.insert(value.take().unwrap_or_default());
                }
                Token::Symbol(")") => {
                    values.insert(value.take().unwrap_or_default());
                    return Ok(values);
                }
                other if value.is_some() => {
                    return Err(format!("found '{}', expected: ',' or ')'", other.literal()));
                }
                other => {
                    return Err(format!(
                        "found '{}', expected: ',', or identifier",
                        other.literal()
                    ));
                }
            }
        }
    }
}

fn is_label_text(text: &str, max: usize) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= max
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            let bytes = label.as_bytes();
            let is_edge = |byte: Option<&u8>| {
                byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            };
            is_edge(bytes.first())
                && is_edge(bytes.last())
                && bytes
                    .iter()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
        })
}

fn check_key(key: &str) -> Result<(), String> {
    let is_valid = match key.split_once('/') {
        None => is_label_text(key, 63),
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_label_text(name, 63),
    };
    if is_valid {
        return Ok(());
    }
    Err(format!(
        "invalid label key {}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character",
        ferro_gocompat::quote::quote(key)
    ))
}

fn check_value(key: &str, value: &str) -> Result<(), String> {
    if value.is_empty() || is_label_text(value, 63) {
        return Ok(());
    }
    Err(format!(
        "invalid label value: {}: at key: {}: a valid label must be an empty string or consist of alphanumeric \
         characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        ferro_gocompat::quote::quote(value),
        ferro_gocompat::quote::quote(key)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_yaml::{ParseOptions, parse_one};

    fn matches(selector: &str, labels: &str) -> bool {
        let text = format!("{{kind: K, metadata: {{name: n, labels: {labels}}}}}");
        let resource = Resource::new(parse_one(text, &ParseOptions::default()).unwrap());
        LabelSelector::parse(selector)
            .matches(&resource, "labels")
            .unwrap()
    }

    #[test]
    fn requirements_are_met_all_together() {
        let labels = "{app: web, tier: '3', env: dev}";
        for (selector, expected) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("app=web,tier==3", true),
            ("app != web", false),
            ("other!=web", true),
            ("app in (db, web)", true),
            ("app notin (db,web)", false),
            ("other notin (x)", true),
            ("tier>2,tier<4", true),
            ("tier>3", false),
            ("in in (in)", false),
            ("app=", false),
        ] {
            assert_eq!(matches(selector, labels), expected, "{selector}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for selector in [
            "a b", "=x", "a in x", "a in (b", "a=b c", "a=/x", "a>b", "a,", "&",
        ] {
            assert!(LabelSelector::parse(selector).0.is_err(), "{selector}");
        }
    }
}
