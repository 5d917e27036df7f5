//! Logins for the Git servers of clouds: AWS CodeCommit and Azure DevOps.
//!
//! CodeCommit knows no token: the password is a signature over a request that is never sent, and is good for a quarter of an hour.

use std::time::{Duration, SystemTime};

use ferro_http::{SafeUrl, Secret};
use jiff::Timestamp;

use crate::sigv4::{self, Scope};
use crate::{AwsCredentials, Error, Expiring, Login, Result};

/// How long CodeCommit takes a password.
const VALIDITY: Duration = Duration::from_secs(15 * 60);

/// A repository of AWS CodeCommit.
#[derive(Clone, Debug)]
pub struct CodeCommit {
    host: String,
    path: String,
    region: String,
}

impl CodeCommit {
    /// The repository at an address.
    ///
    /// # Errors
    /// With the text of the reference, when it is none of CodeCommit's.
    pub fn parse(url: &SafeUrl) -> Result<Self> {
        let url = url.expose();
        if url.scheme() != "https" {
            return Err(Error::credential(
                "AWS CodeCommit authentication requires an HTTPS Git URL",
            ));
        }
        let name = url.host_str().unwrap_or_default();
        let host = url
            .port()
            .map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let labels: Vec<&str> = name.split('.').collect();
        let region = match labels.as_slice() {
            [
                "git-codecommit" | "git-codecommit-fips",
                region,
                ..,
                "amazonaws",
                "com",
            ]
            | [
                "git-codecommit" | "git-codecommit-fips",
                region,
                ..,
                "amazonaws",
                "com",
                "cn",
            ] => *region,
            _ => {
                return Err(Error::Credential(format!(
                    "invalid AWS CodeCommit Git URL: {host}"
                )));
            }
        };
        Ok(Self {
            region: region.to_owned(),
            path: url.path().to_owned(),
            host,
        })
    }

    /// The region of the repository.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// A login, which is valid no longer than the credentials.
    #[must_use]
    pub fn login(&self, credentials: &Expiring<AwsCredentials>) -> Expiring<Login> {
        let now = Timestamp::now();
        let until = SystemTime::from(now) + VALIDITY;
        Expiring {
            value: self.sign(&credentials.value, now),
            until: until.min(credentials.until),
        }
    }

    fn sign(&self, credentials: &AwsCredentials, at: Timestamp) -> Login {
        let scope = Scope {
            region: &self.region,
            service: "codecommit",
            at,
        };
        // No query, one header, no digest of a body, and a time without its zone: what CodeCommit makes of it.
        let canonical = format!("GIT\n{}\n\nhost:{}\n\nhost\n", self.path, self.host);
        let date = at.strftime("%Y%m%dT%H%M%S").to_string();
        let signature = sigv4::signature(&canonical, &date, credentials, &scope);
        let token = credentials.session_token.as_ref();
        let token = token
            .map(|token| format!("%{}", token.expose()))
            .unwrap_or_default();
        Login {
            username: format!("{}{token}", credentials.access_key),
            password: Secret::new(format!("{date}Z{signature}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<CodeCommit, String> {
        CodeCommit::parse(&SafeUrl::parse(url).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn parse_takes_addresses_of_codecommit_only() {
        for (url, region) in [
            (
                "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/app",
                "eu-west-1",
            ),
            (
                "https://git-codecommit-fips.us-gov-west-1.amazonaws.com/v1/repos/app",
                "us-gov-west-1",
            ),
            (
                "https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/app",
                "cn-north-1",
            ),
        ] {
            assert_eq!(parse(url).unwrap().region(), region, "{url}");
        }
        for url in [
            "https://git-codecommit.evil.com/v1/repos/app",
            "https://git-codecommit.eu-west-1.amazonaws.com.evil.com/app",
            "https://x.git-codecommit.eu-west-1.amazonaws.com/app",
            "https://git-codecommit.amazonaws.com/app",
        ] {
            let error = parse(url).unwrap_err();
            assert!(
                error.starts_with("invalid AWS CodeCommit Git URL: "),
                "{url}: {error}"
            );
        }
        assert_eq!(
            parse("http://git-codecommit.eu-west-1.amazonaws.com/app").unwrap_err(),
            "AWS CodeCommit authentication requires an HTTPS Git URL"
        );
    }

    /// As AWS's own helper for Git signs: computed with its algorithm by another program.
    #[test]
    fn sign_makes_the_password_that_codecommit_wants() {
        let repository = parse("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/app").unwrap();
        let mut credentials = AwsCredentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        };
        let at: Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
        let login = repository.sign(&credentials, at);
        assert_eq!(login.username, "AKIDEXAMPLE");
        assert_eq!(
            login.password.expose(),
            "20150830T123600Z33e07419bf0e2cfbfa518e1e3f6843bf6c7e33a3cdffe75916fd00cdfe98f544"
        );
        credentials.session_token = Some("token".into());
        assert_eq!(repository.sign(&credentials, at).username, "AKIDEXAMPLE%token");
        let kept = Expiring::for_seconds(credentials, 60);
        let login = repository.login(&kept);
        assert_eq!(login.until, kept.until);
        assert!(!format!("{login:?}").contains(login.value.password.expose().as_str()));
    }
}
