//! Conditional and partial requests (RFC 9110, sections 8.8, 13 and 14).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What tells one version of a file from another.
#[derive(Debug, Clone)]
pub(super) struct Validators {
    etag: String,
    modified: SystemTime,
}

impl Validators {
    /// Files are replaced by renaming, so inode, time and size change with the content.
    pub(super) fn of(metadata: &Metadata) -> Self {
        let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
        let etag = format!(
            "\"{:x}-{seconds:x}{nanoseconds:08x}-{:x}\"",
            metadata.ino(),
            metadata.size()
        );
        // HTTP knows whole seconds only.
        let modified = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        Self { etag, modified }
    }

    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let modified = httpdate::fmt_http_date(self.modified);
        for (name, value) in [(header::ETAG, &self.etag), (header::LAST_MODIFIED, &modified)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
    }

    /// The status that ends the request early, if one of its conditions says so.
    pub(super) fn precondition(&self, request: &HeaderMap) -> Option<StatusCode> {
        if let Some(wanted) = text(request, &header::IF_MATCH) {
            if !self.is_listed(wanted, false) {
                return Some(StatusCode::PRECONDITION_FAILED);
            }
        } else if date(request, &header::IF_UNMODIFIED_SINCE).is_some_and(|since| self.modified > since) {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
        let is_known = match text(request, &header::IF_NONE_MATCH) {
            // The tag is the better witness: the date does not count beside it.
            Some(known) => self.is_listed(known, true),
            None => date(request, &header::IF_MODIFIED_SINCE).is_some_and(|since| self.modified <= since),
        };
        is_known.then_some(StatusCode::NOT_MODIFIED)
    }

    /// Whether a range may be answered: `If-Range` must name this version.
    pub(super) fn allow_range(&self, request: &HeaderMap) -> bool {
        match text(request, &header::IF_RANGE) {
            None => true,
            Some(tag) if tag.contains('"') => tag == self.etag,
            Some(_) => date(request, &header::IF_RANGE) == Some(self.modified),
        }
    }

    fn is_listed(&self, list: &str, allow_weak: bool) -> bool {
        list.split(',').map(str::trim).any(|tag| {
            tag == "*" || tag == self.etag || (allow_weak && tag.strip_prefix("W/") == Some(&self.etag))
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?).ok()
}

/// The part of a file that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// All of it.
    Whole,
    /// Some bytes.
    Part { first: u64, length: u64 },
    /// Nothing that exists.
    Unsatisfiable,
}

impl ByteRange {
    /// Reads the `Range` header; several ranges, other units and malformed ones are ignored, as they may be.
    pub(super) fn requested(request: &HeaderMap, size: u64) -> Self {
        let range = text(request, &header::RANGE).and_then(|value| value.trim().strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return Self::Whole;
        };
        match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
            (Ok(first), _) if last.trim().is_empty() => Self::between(first, u64::MAX, size),
            (Ok(first), Ok(last)) if first <= last => Self::between(first, last, size),
            (Err(_), Ok(0)) if first.trim().is_empty() => Self::Unsatisfiable,
            (Err(_), Ok(count)) if first.trim().is_empty() => {
                Self::between(size.saturating_sub(count), u64::MAX, size)
            }
            _ => Self::Whole,
        }
    }

    fn between(first: u64, last: u64, size: u64) -> Self {
        if first >= size {
            return Self::Unsatisfiable;
        }
        Self::Part {
            first,
            length: last.min(size - 1) - first + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requested_ranges_are_read() {
        let part = |first, length| ByteRange::Part { first, length };
        let cases = [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-5", part(2, 4)),
            ("bytes=8-", part(8, 2)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-30", part(0, 10)),
            ("bytes=5-100", part(5, 5)),
            ("bytes=10-", ByteRange::Unsatisfiable),
            ("bytes=-0", ByteRange::Unsatisfiable),
            ("bytes=5-2", ByteRange::Whole),
            ("bytes=0-1,3-4", ByteRange::Whole),
            ("lines=0-1", ByteRange::Whole),
            ("bytes=x-", ByteRange::Whole),
            ("bytes=-", ByteRange::Whole),
            ("bytes=18446744073709551616-", ByteRange::Whole),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(value));
            assert_eq!(ByteRange::requested(&headers, 10), expected, "{value}");
        }
        assert_eq!(ByteRange::between(0, u64::MAX, 0), ByteRange::Unsatisfiable);
    }
}
