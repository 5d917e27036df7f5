//! What a registry is told about who asks.

use ferro_http::Secret;

/// Credentials for a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// None.
    #[default]
    Anonymous,
    /// User name and password, exchanged for a token where the registry wants one.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret<String>,
    },
    /// A token that the registry's token service exchanges for others.
    Identity(Secret<String>),
    /// A token for the registry itself.
    Token(Secret<String>),
}

impl Credentials {
    /// User name and password; nobody's if one of them is empty, as no registry could check them.
    pub fn basic(username: &str, password: &str) -> Self {
        if username.is_empty() || password.is_empty() {
            return Self::Anonymous;
        }
        Self::Basic {
            username: username.to_owned(),
            password: password.into(),
        }
    }

    /// User name and password as a header of requests.
    pub(crate) fn as_basic(&self) -> Option<ferro_http::Auth> {
        match self {
            Self::Basic { username, password } => Some(ferro_http::Auth::Basic {
                username: username.clone(),
                password: password.clone(),
            }),
            Self::Anonymous | Self::Identity(_) | Self::Token(_) => None,
        }
    }

    /// The parts that tell credentials apart.
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        match self {
            Self::Anonymous => [b"anonymous", b"", b""],
            Self::Basic { username, password } => {
                [b"basic", username.as_bytes(), password.expose().as_bytes()]
            }
            Self::Identity(token) => [b"identity", b"", token.expose().as_bytes()],
            Self::Token(token) => [b"token", b"", token.expose().as_bytes()],
        }
    }
}
