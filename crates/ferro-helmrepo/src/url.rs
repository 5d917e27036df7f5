//! Addresses of repositories and charts, put together as upstream puts them together.

use url::Url;

/// The scheme of repositories in registries.
pub const OCI: &str = "oci";

/// Why an address of a dependency's repository cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DependencyUrlError {
    /// It is a name that only the user's Helm knows.
    #[error("aliased repository dependency is not supported: {0}")]
    Alias(String),
    /// It is none of a repository.
    #[error("invalid dependency repository URL: {0}")]
    Invalid(String),
}

/// The one form of a repository's address: a slash at the end of the path, or none for registries.
///
/// # Errors
/// When it is no URL.
pub fn normalize(text: &str) -> Result<String, url::ParseError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let mut url = Url::parse(text)?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&if url.scheme() == OCI { path } else { path + "/" });
    Ok(url.into())
}

/// Refuses what no repository can be found by.
///
/// # Errors
/// When it is none of `http`, `https` and `oci`.
pub fn check_dependency(text: &str) -> Result<(), DependencyUrlError> {
    let schemes = ["oci://", "https://", "http://"];
    if schemes.iter().any(|scheme| text.starts_with(scheme)) {
        return Ok(());
    }
    if text.starts_with('@') || text.starts_with("alias:") {
        return Err(DependencyUrlError::Alias(text.to_owned()));
    }
    Err(DependencyUrlError::Invalid(text.to_owned()))
}

/// The address of the index of a repository.
pub(crate) fn index(repository: &Url) -> Url {
    let mut url = repository.clone();
    let path = format!("{}/index.yaml", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// The address that `reference` means in the index of `repository`, whose query is kept.
///
/// # Errors
/// When it is no URL.
pub(crate) fn resolve(repository: &Url, reference: &str) -> Result<Url, url::ParseError> {
    match Url::parse(reference) {
        Ok(url) => return Ok(url),
        Err(url::ParseError::RelativeUrlWithoutBase) => {}
        Err(error) => return Err(error),
    }
    let mut base = repository.clone();
    let path = format!("{}/", base.path().trim_end_matches('/'));
    base.set_path(&path);
    let mut url = base.join(reference)?;
    url.set_query(repository.query());
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalize_puts_one_slash_or_none() {
        let cases = [
            ("", ""),
            ("http://example.com", "http://example.com/"),
            ("http://example.com/charts//", "http://example.com/charts/"),
            ("https://example.com/a?b=c/", "https://example.com/a/?b=c/"),
            ("oci://example.com/charts/", "oci://example.com/charts"),
            ("oci://example.com/", "oci://example.com"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalize(text).as_deref(), Ok(expected));
        }
        assert!(normalize("http://[").is_err());
    }

    #[test]
    fn resolve_keeps_absolute_addresses_and_the_query() {
        let base = Url::parse("https://example.com/charts?token=x").unwrap();
        let cases = [
            ("a-1.tgz", "https://example.com/charts/a-1.tgz?token=x"),
            ("/a-1.tgz", "https://example.com/a-1.tgz?token=x"),
            ("../a-1.tgz?y", "https://example.com/a-1.tgz?token=x"),
            ("http://other/a-1.tgz?y", "http://other/a-1.tgz?y"),
        ];
        for (reference, expected) in cases {
            assert_eq!(resolve(&base, reference).unwrap().as_str(), expected);
        }
        assert!(resolve(&base, "https://ex ample.com/a").is_err());
        assert_eq!(
            index(&base).as_str(),
            "https://example.com/charts/index.yaml?token=x"
        );
    }

    #[test]
    fn check_dependency_refuses_names_and_other_schemes() {
        assert_eq!(check_dependency("oci://h/charts"), Ok(()));
        let error = |text| check_dependency(text).unwrap_err().to_string();
        assert_eq!(
            error("@stable"),
            "aliased repository dependency is not supported: @stable"
        );
        assert_eq!(error("ftp://h"), "invalid dependency repository URL: ftp://h");
    }
}
