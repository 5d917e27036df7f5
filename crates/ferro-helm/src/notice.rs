//! What upstream says besides its result: lines on standard error that are no failure.

use std::fmt;

use ferro_gocompat::quote::quote;
use ferro_gocompat::unicode::is_print;

/// How serious a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Probably not what the author meant.
    Warn,
    /// Goes with a failure.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}

/// One line for the user.
///
/// It prints as Go's `slog.TextHandler` without a time, which is how the helm program shows it.
///
/// ```
/// use ferro_helm::Notice;
///
/// let notice = Notice::warn("returned non-bool value").with("path", "sub.enabled");
/// assert_eq!(notice.to_string(), r#"level=WARN msg="returned non-bool value" path=sub.enabled"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How serious it is.
    pub level: Level,
    /// What there is to say.
    pub message: String,
    /// Facts that go with it.
    pub attributes: Vec<(&'static str, String)>,
}

impl Notice {
    /// Makes a notice.
    pub fn new(level: Level, message: impl Into<String>) -> Self {
        Self {
            level,
            message: message.into(),
            attributes: Vec::new(),
        }
    }

    /// Makes one that warns.
    pub fn warn(message: impl Into<String>) -> Self {
        Self::new(Level::Warn, message)
    }

    /// Makes one that informs.
    pub fn info(message: impl Into<String>) -> Self {
        Self::new(Level::Info, message)
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((key, value.into()));
        self
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level={} msg={}", self.level, Shown(&self.message))?;
        self.attributes
            .iter()
            .try_for_each(|(key, value)| write!(f, " {key}={}", Shown(value)))
    }
}

/// A text that is quoted where `slog` quotes it.
struct Shown<'t>(&'t str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| {
            if c.is_ascii() {
                !matches!(c, '\0'..=' ' | '"' | '=')
            } else {
                c != char::REPLACEMENT_CHARACTER && !c.is_whitespace() && is_print(c)
            }
        };
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            f.write_str(self.0)
        } else {
            f.write_str(&quote(self.0))
        }
    }
}
