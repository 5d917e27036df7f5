//! Asking for refs in one round trip.
//!
//! The second version of the protocol begins with a request for the server's capabilities. When the last
//! fetch has shown that a server speaks it, that request can be left out over HTTP, where each request
//! stands for itself: one POST brings the refs. Any surprise means that the long way is taken.

use std::str::FromStr as _;

use ::http::header::{ACCEPT, CONTENT_TYPE};
use ::http::{HeaderName, HeaderValue, Method};
use gix_hash::{Kind, ObjectId};

use super::http::HttpClient;
use crate::refs::RemoteRef;
use crate::{Error, Result};

/// The largest list of refs that is read this way.
const MAX_ANSWER: u64 = 32 << 20;
const ANSWER_TYPE: &str = "application/x-git-upload-pack-result";

/// The refs that start with one of `prefixes`; `None` if the server does not answer as expected.
pub(crate) fn list(
    client: &HttpClient,
    base_url: &str,
    kind: Kind,
    prefixes: &[String],
) -> Result<Option<Vec<RemoteRef>>> {
    let url = format!("{}/git-upload-pack", base_url.trim_end_matches('/'));
    let no_lines: [&str; 0] = [];
    let request = client
        .request(Method::POST, &url, no_lines)?
        .header(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-git-upload-pack-request"),
        )
        .header(ACCEPT, HeaderValue::from_static(ANSWER_TYPE))
        .header(
            HeaderName::from_static("git-protocol"),
            HeaderValue::from_static("version=2"),
        )
        .body(command(kind, prefixes));
    let response = match client.send(&request) {
        Ok(response) => response,
        Err(Error::UnexpectedAnswer { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    if response
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|value| value != ANSWER_TYPE)
    {
        return Ok(None);
    }
    let body = match client.read(response, MAX_ANSWER)? {
        Ok(body) => body,
        Err(ferro_http::Error::BodyTooLarge { .. }) => return Ok(None),
        Err(error) => return Err(Error::http(error)),
    };
    Ok(parse(&body))
}

fn command(kind: Kind, prefixes: &[String]) -> Vec<u8> {
    let mut body = Vec::new();
    packet(&mut body, "command=ls-refs\n");
    packet(&mut body, &format!("agent={}\n", super::agent()));
    packet(&mut body, &format!("object-format={kind}\n"));
    body.extend_from_slice(b"0001");
    packet(&mut body, "peel\n");
    for prefix in prefixes {
        packet(&mut body, &format!("ref-prefix {prefix}\n"));
    }
    body.extend_from_slice(b"0000");
    body
}

fn packet(body: &mut Vec<u8>, line: &str) {
    body.extend_from_slice(format!("{:04x}{line}", line.len() + 4).as_bytes());
}

/// Reads `<id> <name>[ <attribute>]*` lines up to the flush packet; `None` if anything is odd.
fn parse(mut body: &[u8]) -> Option<Vec<RemoteRef>> {
    let mut refs = Vec::new();
    loop {
        let length = usize::from_str_radix(str::from_utf8(body.get(..4)?).ok()?, 16).ok()?;
        if length == 0 {
            return Some(refs);
        }
        let line = body.get(4..length)?;
        body = body.get(length..)?;
        let Ok(line) = str::from_utf8(line) else { continue };
        let mut words = line.trim_end().split(' ');
        let id = ObjectId::from_str(words.next()?).ok()?;
        let name = words.next()?.to_owned();
        let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
        refs.push(match peeled {
            Some(peeled) => RemoteRef {
                name,
                target: ObjectId::from_str(peeled).ok()?,
                tag: Some(id),
            },
            None => RemoteRef {
                name,
                target: id,
                tag: None,
            },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_refs_and_refuses_the_rest() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let mut body = Vec::new();
        packet(&mut body, &format!("{one} refs/heads/main\n"));
        packet(
            &mut body,
            &format!("{one} refs/tags/v1 symref-target:x peeled:{two}\n"),
        );
        assert!(parse(&body).is_none(), "no end");
        body.extend_from_slice(b"0000");
        let refs = parse(&body).unwrap();
        assert_eq!((refs[0].name.as_str(), refs[0].tag), ("refs/heads/main", None));
        assert_eq!(
            (refs[1].target.to_string(), refs[1].tag.unwrap().to_string()),
            (two, one)
        );
        for bad in ["", "zzzz", "0002", "0005", "0009ERR x", "ffff"] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
