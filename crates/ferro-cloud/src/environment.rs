//! Where the process is told about credentials: variables, and the files that they name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ferro_http::Secret;

use crate::{Error, Result};

/// The largest file that holds a token or a key.
const MAX_FILE: u64 = 1 << 20;

/// Variables that say where credentials are.
#[derive(Clone, Debug)]
pub enum Environment {
    /// Those of the process.
    Process,
    /// These only.
    Of(Arc<BTreeMap<String, String>>),
}

impl Environment {
    /// One with these variables only.
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::Of(Arc::new(variables.collect()))
    }

    /// A variable that is set to something.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match self {
            Self::Process => std::env::var(name).ok(),
            Self::Of(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }
}

/// Reads a file that the environment names.
pub(crate) async fn read_file(path: &str) -> Result<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let failed = |error: std::io::Error| {
        Error::credential(format!("failed to read '{}': {error}", Path::new(path).display()))
    };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut content = Vec::new();
    file.take(MAX_FILE)
        .read_to_end(&mut content)
        .await
        .map_err(failed)?;
    Ok(content)
}

pub(crate) async fn read_token(path: &str) -> Result<Secret<String>> {
    let content = String::from_utf8_lossy(&read_file(path).await?).trim().to_owned();
    Ok(Secret::new(content))
}
