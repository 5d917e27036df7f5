//! The string type of the tree.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;

use ecow::EcoString;

/// An immutable string of 16 bytes: up to 15 bytes are held inline, longer text is shared by reference
/// count, so a clone never copies.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(EcoString);

impl Text {
    /// Returns the empty text.
    pub const fn new() -> Self {
        Self(EcoString::new())
    }

    /// Returns the text as a string slice.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.0.as_str()
    }
}

// `Hash` and `Ord` of the inner string are those of `str`, which `Borrow` demands.
impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(EcoString::from(text))
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self(EcoString::from(text.as_str()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(EcoString::from(text))
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Self {
        Self(EcoString::from(text))
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        Self::from(text.as_str())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
