//! What an S3 storage answers.

use ferro_http::Response;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use roxmltree::{Document, Node};

use crate::MAX_ERROR_BODY;
use crate::types::{Listed, Page, unquoted};
use crate::{Error, Result};

/// The child element of that name, whatever its namespace.
pub(crate) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.tag_name().name() == name)
}

/// The text of the child element of that name; empty if there is none.
pub(crate) fn text<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    child(node, name)
        .and_then(|child| child.text())
        .unwrap_or_default()
}

/// Parses an answer. Documents that define entities are refused.
pub(crate) fn parse<'i>(xml: &'i str, root: &str) -> Result<Document<'i>> {
    let document = Document::parse(xml).map_err(|error| Error::malformed(error.to_string()))?;
    let found = document.root_element().tag_name().name();
    if found != root {
        return Err(Error::malformed(format!("expected {root}")));
    }
    Ok(document)
}

/// The body as text.
pub(crate) fn utf8(body: &[u8]) -> Result<&str> {
    std::str::from_utf8(body).map_err(|_| Error::malformed("it is not UTF-8"))
}

/// Reads a page of a listing. Version one of the protocol has the next one begin after the last key.
pub(super) fn page(xml: &str, is_version_one: bool) -> Result<Page> {
    let document = parse(xml, "ListBucketResult")?;
    let root = document.root_element();
    let is_encoded = text(root, "EncodingType") == "url";
    let decoded = |text: &str| {
        if is_encoded {
            decode(text)
        } else {
            Ok(text.to_owned())
        }
    };
    let contents = root
        .children()
        .filter(|node| node.tag_name().name() == "Contents");
    let objects = contents
        .map(|node| {
            Ok(Listed {
                key: decoded(text(node, "Key"))?,
                etag: unquoted(text(node, "ETag")).to_owned(),
                size: text(node, "Size").parse().unwrap_or_default(),
                version: None,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let is_truncated = text(root, "IsTruncated") == "true";
    let next = match (is_truncated, is_version_one) {
        (false, _) => None,
        (true, false) => Some(text(root, "NextContinuationToken").to_owned()),
        (true, true) => match text(root, "NextMarker") {
            "" => objects.last().map(|last| last.key.clone()),
            marker => Some(decoded(marker)?),
        },
    };
    if is_truncated && next.as_deref().unwrap_or_default().is_empty() {
        return Err(Error::Endless {
            reason: "a page is not the last one, and does not say which is next",
        });
    }
    Ok(Page { objects, next })
}

/// Undoes the encoding that keys get in XML, which cannot hold all of them.
fn decode(text: &str) -> Result<String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Error::malformed("a key is not UTF-8"))
}

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub error: Error,
    /// The region that the storage says the bucket to be in.
    pub region: Option<String>,
}

/// Reads an answer that is no success. What has no body, as answers to HEAD, is named as the reference's library does.
pub(super) async fn refusal(response: Response, has_key: bool) -> Refusal {
    let status = response.status();
    let header = response.headers().get("x-amz-bucket-region");
    let mut region = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.bytes(MAX_ERROR_BODY).await.unwrap_or_default();
    let document = std::str::from_utf8(&body)
        .ok()
        .and_then(|xml| parse(xml, "Error").ok());
    let Some(document) = document else {
        let error = by_status(status, has_key);
        return Refusal { error, region };
    };
    let root = document.root_element();
    if region.is_none() {
        region = Some(text(root, "Region").to_owned()).filter(|region| !region.is_empty());
    }
    let (code, message) = (text(root, "Code").to_owned(), text(root, "Message"));
    let message = if message.is_empty() {
        format!("Error response code {code}.")
    } else {
        message.to_owned()
    };
    let error = if status.is_redirection() {
        Error::Redirected { status }
    } else {
        Error::Refused {
            status,
            code,
            message,
        }
    };
    Refusal { error, region }
}

fn by_status(status: StatusCode, has_key: bool) -> Error {
    let whole = status.to_string();
    let (code, message) = match status {
        StatusCode::NOT_FOUND if has_key => ("NoSuchKey", "The specified key does not exist."),
        StatusCode::NOT_FOUND => ("NoSuchBucket", "The specified bucket does not exist."),
        StatusCode::FORBIDDEN => ("AccessDenied", "Access Denied."),
        _ if status.is_redirection() => return Error::Redirected { status },
        _ => (whole.as_str(), whole.as_str()),
    };
    Error::Refused {
        status,
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_reads_encoded_keys_and_where_to_go_on() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>
<IsTruncated>true</IsTruncated><NextContinuationToken>abc=</NextContinuationToken>
<Contents><Key>a+b%2Bc%0A.yaml</Key><ETag>&quot;0123&quot;</ETag><Size>7</Size></Contents>
<Contents><Key>dir/</Key><ETag>"9-2"</ETag><Size>x</Size></Contents></ListBucketResult>"#;
        let page = page(xml, false).unwrap();
        assert_eq!(page.next.as_deref(), Some("abc="));
        let found: Vec<_> = page
            .objects
            .iter()
            .map(|object| (object.key.as_str(), object.etag.as_str(), object.size))
            .collect();
        assert_eq!(found, [("a b+c\n.yaml", "0123", 7), ("dir/", "9-2", 0)]);
    }

    #[test]
    fn page_of_version_one_goes_on_after_the_last_key() {
        let xml = |marker: &str| {
            format!(
                "<ListBucketResult><IsTruncated>true</IsTruncated>{marker}<Contents><Key>a%20b</Key></Contents></ListBucketResult>"
            )
        };
        assert_eq!(page(&xml(""), true).unwrap().next.as_deref(), Some("a%20b"));
        let marker = "<NextMarker>z</NextMarker>";
        assert_eq!(page(&xml(marker), true).unwrap().next.as_deref(), Some("z"));
        assert!(matches!(page(&xml(""), false), Err(Error::Endless { .. })));
    }

    #[test]
    fn page_refuses_what_is_no_listing() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><ListBucketResult>&b;</ListBucketResult>"#;
        let deep = format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000));
        for xml in ["", "<html>", "<Error/>", bomb, deep.as_str()] {
            assert!(matches!(page(xml, false), Err(Error::Malformed { .. })));
        }
    }
}
