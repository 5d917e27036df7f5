//! Trust policies (`trustpolicy.json`), version 1.0 of their specification.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

const WILDCARD: &str = "*";
const SUBJECT: &str = "x509.subject";

/// A trust policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is no JSON of this form.
    #[error("error occurred while parsing trustpolicy.json: {0}")]
    Json(String),
    /// It is for another version.
    #[error("trust policy document has unsupported version {0:?}")]
    Version(String),
    /// It says nothing.
    #[error("trust policy document can not have zero trust policy statements")]
    Empty,
    /// A statement is at odds with itself or with others.
    #[error("trust policy statement {name:?} {problem}")]
    Statement {
        /// The statement.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Which signatures are believed, for which repositories.
#[derive(Debug, Clone)]
pub struct TrustPolicy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) name: String,
    scopes: Vec<String>,
    /// Nothing where nothing is verified.
    pub(super) level: Option<Level>,
    pub(super) stores: Vec<String>,
    /// The subjects of signers; nothing for any.
    pub(super) identities: Option<Vec<Name>>,
    pub(super) timestamps: Timestamps,
}

/// When the timestamp of an authority must vouch for the time of signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timestamps {
    /// Never; nobody is trusted to make them.
    Never,
    /// Once a certificate of the signer is too old.
    AfterExpiry,
    Always,
}

/// A distinguished name by its attributes.
pub(super) type Name = BTreeMap<String, String>;

/// What is enforced beside integrity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) authenticity: bool,
    pub(super) timestamp: bool,
    pub(super) expiry: bool,
    pub(super) revocation: Action,
}

/// What becomes of a check that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The signature does not count.
    Enforce,
    /// It is told.
    Log,
    /// There is no such check.
    Skip,
}

impl TrustPolicy {
    /// Reads a trust policy. Trust stores and identities of statements that skip verification are passed over, as Flux does.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn from_json(text: &[u8]) -> Result<Self, PolicyError> {
        let json: Json =
            serde_json::from_slice(text).map_err(|error| PolicyError::Json(error.to_string()))?;
        if json.version != "1.0" {
            return Err(PolicyError::Version(json.version));
        }
        if json.trust_policies.is_empty() {
            return Err(PolicyError::Empty);
        }
        let (mut names, mut scopes) = (BTreeSet::new(), BTreeSet::new());
        let mut statements = Vec::new();
        for json in json.trust_policies {
            let name = json.name.clone();
            let wrong = |problem: String| PolicyError::Statement {
                name: name.clone(),
                problem,
            };
            let statement = statement(json).map_err(wrong)?;
            if !names.insert(statement.name.clone()) {
                return Err(wrong("is there more than once".to_owned()));
            }
            for scope in &statement.scopes {
                if !scopes.insert(scope.clone()) {
                    return Err(wrong(format!("has registry scope {scope:?}, as another has")));
                }
            }
            statements.push(statement);
        }
        Ok(Self { statements })
    }

    /// The statement for a repository: that which names it, or else that for all.
    pub(super) fn statement(&self, repository: &str) -> Option<&Statement> {
        let with = |scope: &str| {
            let mut statements = self.statements.iter();
            statements.find(|it| it.scopes.iter().any(|it| it == scope))
        };
        with(repository).or_else(|| with(WILDCARD))
    }
}

fn statement(json: StatementJson) -> Result<Statement, String> {
    if json.name.is_empty() {
        return Err("has no name".to_owned());
    }
    let is_for_all = json.registry_scopes.iter().any(|scope| scope == WILDCARD);
    if json.registry_scopes.is_empty() || is_for_all && json.registry_scopes.len() > 1 {
        return Err("must have registry scopes, or '*' alone".to_owned());
    }
    let level = level(&json.signature_verification)?;
    let mut statement = Statement {
        name: json.name,
        scopes: json.registry_scopes,
        level,
        stores: Vec::new(),
        identities: None,
        timestamps: Timestamps::Never,
    };
    if level.is_none() {
        return Ok(statement);
    }
    if json.trust_stores.is_empty() || json.trusted_identities.is_empty() {
        return Err(
            "is either missing trust stores or trusted identities, both must be specified".to_owned(),
        );
    }
    for store in &json.trust_stores {
        let (kind, _) = store
            .split_once(':')
            .ok_or_else(|| format!("has malformed trust store value {store:?}"))?;
        if !matches!(kind, "ca" | "signingAuthority" | "tsa") {
            return Err(format!("uses an unsupported trust store type {kind:?}"));
        }
        statement.stores.push(kind.to_owned());
    }
    let timestamps = match json.signature_verification.verify_timestamp.as_str() {
        "" | "always" => Timestamps::Always,
        "afterCertExpiry" => Timestamps::AfterExpiry,
        other => {
            return Err(format!(
                "has invalid signatureVerification: verifyTimestamp must be \"always\" or \"afterCertExpiry\", but got {other:?}"
            ));
        }
    };
    if statement.stores.iter().any(|kind| kind == "tsa") {
        statement.timestamps = timestamps;
    }
    statement.identities = identities(&json.trusted_identities)?;
    Ok(statement)
}

fn level(json: &VerificationJson) -> Result<Option<Level>, String> {
    let all = |is_enforced| Level {
        authenticity: is_enforced,
        timestamp: is_enforced,
        expiry: is_enforced,
        revocation: if is_enforced { Action::Enforce } else { Action::Log },
    };
    let mut level = match json.level.as_str() {
        "strict" => all(true),
        "permissive" => Level {
            authenticity: true,
            ..all(false)
        },
        "audit" => all(false),
        "skip" if json.r#override.is_empty() => return Ok(None),
        other => return Err(format!("has invalid signature verification level {other:?}")),
    };
    for (kind, action) in &json.r#override {
        let action = match (action.as_str(), kind.as_str()) {
            ("enforce", _) => Action::Enforce,
            ("log", _) => Action::Log,
            ("skip", "revocation") => Action::Skip,
            _ => return Err(format!("has unsupported action {action:?} for {kind:?}")),
        };
        let is_enforced = action == Action::Enforce;
        match kind.as_str() {
            "authenticity" => level.authenticity = is_enforced,
            "authenticTimestamp" => level.timestamp = is_enforced,
            "expiry" => level.expiry = is_enforced,
            "revocation" => level.revocation = action,
            _ => return Err(format!("cannot override {kind:?}")),
        }
    }
    Ok(Some(level))
}

fn identities(texts: &[String]) -> Result<Option<Vec<Name>>, String> {
    if texts.iter().any(|text| text == WILDCARD) {
        if texts.len() > 1 {
            return Err("uses a wildcard trusted identity with others".to_owned());
        }
        return Ok(None);
    }
    let mut names = Vec::new();
    for text in texts {
        let (kind, value) = text
            .split_once(':')
            .ok_or_else(|| format!("has trusted identity {text:?} missing separator"))?;
        // Others are for plugins.
        if kind == SUBJECT {
            names.push(
                name(value)
                    .ok_or_else(|| format!("has trusted identity {text:?} with invalid identity value"))?,
            );
        }
    }
    Ok(Some(names))
}

/// Reads a distinguished name (RFC 4514), which must have C, ST and O.
fn name(text: &str) -> Option<Name> {
    let mut attributes = Vec::new();
    let mut characters = text.chars();
    let mut part = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' => part.push(escaped(&mut characters)?),
            '+' => return None,
            ',' => attributes.push(std::mem::take(&mut part)),
            _ => part.push(character),
        }
    }
    attributes.push(part);
    let attributes = attributes.iter().map(|attribute| {
        let (kind, value) = attribute.split_once('=')?;
        let is_encoded = value.starts_with('#');
        (!is_encoded).then(|| (kind.trim().to_owned(), value.trim().to_owned()))
    });
    attributes.collect::<Option<Vec<_>>>().and_then(named)
}

fn escaped(characters: &mut std::str::Chars<'_>) -> Option<char> {
    let first = characters.next()?;
    let Some(high) = first.to_digit(16) else {
        return Some(first);
    };
    let low = characters.next()?.to_digit(16)?;
    // What is no ASCII may be written as it is.
    char::from_u32(high * 16 + low).filter(char::is_ascii)
}

/// A name of these attributes, unless one is missing or there twice.
pub(super) fn named(attributes: Vec<(String, String)>) -> Option<Name> {
    let mut name = Name::new();
    for (kind, value) in attributes {
        let kind = if kind == "S" { "ST".to_owned() } else { kind };
        if name.insert(kind, value).is_some() {
            return None;
        }
    }
    let has = |kind: &str| name.get(kind).is_some_and(|value| !value.is_empty());
    ["C", "ST", "O"].into_iter().all(has).then_some(name)
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Json {
    version: String,
    trust_policies: Vec<StatementJson>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct StatementJson {
    name: String,
    registry_scopes: Vec<String>,
    signature_verification: VerificationJson,
    trust_stores: Vec<String>,
    trusted_identities: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct VerificationJson {
    level: String,
    r#override: BTreeMap<String, String>,
    verify_timestamp: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(level: &str, stores: &str, identities: &str) -> Result<TrustPolicy, PolicyError> {
        let text = format!(
            r#"{{"version":"1.0","trustPolicies":[{{"name":"p","registryScopes":["*"],"signatureVerification":{level},"trustStores":{stores},"trustedIdentities":{identities}}}]}}"#
        );
        TrustPolicy::from_json(text.as_bytes())
    }

    #[test]
    fn levels_can_be_overridden_where_that_makes_sense() {
        let of = |level: &str| policy(level, r#"["ca:x"]"#, r#"["*"]"#).map(|it| it.statements[0].level);
        let level = |bits: [bool; 3], revocation: Action| {
            let [authenticity, timestamp, expiry] = bits;
            Ok(Some(Level {
                authenticity,
                timestamp,
                expiry,
                revocation,
            }))
        };
        assert_eq!(of(r#"{"level":"strict"}"#), level([true; 3], Action::Enforce));
        assert_eq!(
            of(r#"{"level":"permissive"}"#),
            level([true, false, false], Action::Log)
        );
        assert_eq!(
            of(r#"{"level":"audit","override":{"expiry":"enforce"}}"#),
            level([false, false, true], Action::Log)
        );
        assert_eq!(
            of(r#"{"level":"strict","override":{"revocation":"skip"}}"#),
            level([true; 3], Action::Skip)
        );
        assert_eq!(of(r#"{"level":"skip"}"#), Ok(None));
        for bad in [
            r#"{}"#,
            r#"{"level":"lax"}"#,
            r#"{"level":"skip","override":{"expiry":"log"}}"#,
            r#"{"level":"strict","override":{"integrity":"log"}}"#,
            r#"{"level":"strict","override":{"authenticity":"skip"}}"#,
            r#"{"level":"strict","override":{"expiry":"maybe"}}"#,
            r#"{"level":"strict","verifyTimestamp":"never"}"#,
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn statements_that_say_too_little_are_refused() {
        let strict = r#"{"level":"strict"}"#;
        for (stores, identities) in [
            ("[]", r#"["*"]"#),
            (r#"["ca:x"]"#, "[]"),
            (r#"["x"]"#, r#"["*"]"#),
            (r#"["other:x"]"#, r#"["*"]"#),
            (r#"["ca:x"]"#, r#"["*","x509.subject: C=US, ST=WA, O=x"]"#),
            (r#"["ca:x"]"#, r#"["someone"]"#),
            (r#"["ca:x"]"#, r#"["x509.subject: C=US, O=x"]"#),
            (r#"["ca:x"]"#, r#"["x509.subject: C=US, ST=WA, O=x, O=y"]"#),
        ] {
            assert!(
                policy(strict, stores, identities).is_err(),
                "{stores} {identities}"
            );
        }
        for bad in [
            "{",
            "{}",
            r#"{"version":"1.0"}"#,
            r#"{"version":"2.0","trustPolicies":[{}]}"#,
        ] {
            assert!(TrustPolicy::from_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_read_with_their_escapes() {
        let found = name(r" C=US, S=WA,O=a\, b\2Bc ,CN=x y").unwrap();
        let pairs: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("C", "US"), ("CN", "x y"), ("O", "a, b+c"), ("ST", "WA")]);
        for bad in [
            "",
            "C=US,ST=WA",
            "C=US+ST=WA,O=x",
            "C=US,ST=WA,O=#04",
            "C=US,ST=WA,O=x\\",
            "x",
        ] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
