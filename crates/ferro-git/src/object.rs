//! Commits and tags, kept byte for byte so that their signatures can be verified.

use gix_hash::{Kind, ObjectId};

/// Who did something, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// Seconds since the epoch.
    pub seconds: i64,
    /// Offset from UTC in minutes.
    pub offset_minutes: i32,
}

impl Person {
    fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let (name, rest) = text.split_once('<').unwrap_or((&text, ""));
        let (email, time) = rest.rsplit_once('>').unwrap_or((rest, ""));
        let mut time = time.split_whitespace();
        let seconds = time.next().and_then(|text| text.parse().ok()).unwrap_or_default();
        let offset = time
            .next()
            .and_then(|text| text.parse::<i32>().ok())
            .unwrap_or_default();
        let (name, email) = (name.trim().to_owned(), email.trim().to_owned());
        Self {
            name,
            email,
            seconds,
            offset_minutes: offset / 100 * 60 + offset % 100,
        }
    }
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its hash.
    pub id: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// Who wrote the change.
    pub author: Person,
    /// Who made the commit.
    pub committer: Person,
    /// The whole message.
    pub message: String,
    /// The signature, PGP or SSH, if it is signed: the one over this form of the object, where there is another for the other hash function.
    pub signature: Option<Vec<u8>>,
    /// The object without its signatures: what was signed.
    pub payload: Vec<u8>,
}

/// How many characters of a subject go into an event.
const SUBJECT_LENGTH: usize = 50;

impl Commit {
    pub(crate) fn parse(id: ObjectId, data: &[u8]) -> Option<Self> {
        let object = Headers::parse(data);
        let tree = ObjectId::from_hex(object.get(b"tree")?).ok()?;
        Some(Self {
            id,
            tree,
            author: Person::parse(object.get(b"author")?),
            committer: Person::parse(object.get(b"committer")?),
            message: String::from_utf8_lossy(object.body).into_owned(),
            signature: object.signature(id.kind()),
            payload: object.payload(),
        })
    }

    /// The subject as events show it: the first line, cut to fifty characters.
    pub fn short_message(&self) -> String {
        let subject = self.message.split('\n').next().unwrap_or_default();
        match subject.char_indices().nth(SUBJECT_LENGTH) {
            Some((end, _)) => format!("{}...", subject.get(..end).unwrap_or(subject)),
            None => subject.to_owned(),
        }
    }
}

/// An annotated tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its hash.
    pub id: ObjectId,
    /// Its name.
    pub name: String,
    /// The object it points to.
    pub target: ObjectId,
    /// The type of that object.
    pub target_kind: String,
    /// Who made it.
    pub tagger: Person,
    /// The message without the signature.
    pub message: String,
    /// The signature at the end of the message, if it is signed.
    pub signature: Option<Vec<u8>>,
    /// The object without its signatures: what was signed.
    pub payload: Vec<u8>,
}

/// How the signature at the end of a tag may begin.
const SIGNATURE_STARTS: [&[u8]; 4] = [
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SSH SIGNATURE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
];

impl Tag {
    pub(crate) fn parse(id: ObjectId, data: &[u8]) -> Option<Self> {
        let object = Headers::parse(data);
        // A tag's signature stands at the end of its message, from the start of a line.
        let is_start = |line: &[u8]| SIGNATURE_STARTS.iter().any(|start| line.starts_with(start));
        let mut offset = data.len() - object.body.len();
        let mut signed_at = None;
        for line in object.body.split_inclusive(|byte| *byte == b'\n') {
            if is_start(line) {
                signed_at = Some(offset);
            }
            offset += line.len();
        }
        let (payload, signature) = match signed_at {
            Some(at) => (data.get(..at)?, Some(data.get(at..)?.to_vec())),
            None => (data, None),
        };
        let body_at = data.len() - object.body.len();
        Some(Self {
            id,
            name: String::from_utf8_lossy(object.get(b"tag")?).into_owned(),
            target: ObjectId::from_hex(object.get(b"object")?).ok()?,
            target_kind: String::from_utf8_lossy(object.get(b"type")?).into_owned(),
            tagger: object.get(b"tagger").map(Person::parse).unwrap_or_default(),
            message: String::from_utf8_lossy(payload.get(body_at..)?).into_owned(),
            signature,
            // A signature over the object's form with another hash function is a header.
            payload: Headers::parse(payload).payload(),
        })
    }
}

/// The header with the signature over the form of an object that is hashed with SHA-1.
const SIGNATURE: &[u8] = b"gpgsig";
/// The same for SHA-256.
const SIGNATURE_SHA256: &[u8] = b"gpgsig-sha256";

/// The header lines of an object, each with its continuation lines, and what follows the blank line.
struct Headers<'a> {
    fields: Vec<&'a [u8]>,
    body: &'a [u8],
    /// Whether there is a blank line at all.
    has_body: bool,
}

impl<'a> Headers<'a> {
    fn parse(data: &'a [u8]) -> Self {
        let (mut fields, mut start, mut offset) = (Vec::new(), 0, 0);
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            let is_continuation = line.starts_with(b" ");
            if !is_continuation && offset > start {
                fields.push(data.get(start..offset).unwrap_or_default());
                start = offset;
            }
            offset += line.len();
            if line == b"\n" {
                return Self {
                    fields,
                    body: data.get(offset..).unwrap_or_default(),
                    has_body: true,
                };
            }
        }
        fields.push(data.get(start..).unwrap_or_default());
        Self {
            fields,
            body: &[],
            has_body: false,
        }
    }

    /// The first line of a field.
    fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        let field = self.fields.iter().find_map(|field| value(field, name))?;
        field.split(|byte| *byte == b'\n').next()
    }

    fn signature(&self, kind: Kind) -> Option<Vec<u8>> {
        let name = match kind {
            Kind::Sha256 => SIGNATURE_SHA256,
            _ => SIGNATURE,
        };
        let field = self.fields.iter().find_map(|field| value(field, name))?;
        // Continuation lines are indented by one space.
        let lines: Vec<&[u8]> = field
            .split_inclusive(|byte| *byte == b'\n')
            .enumerate()
            .map(|(index, line)| {
                if index == 0 {
                    line
                } else {
                    line.strip_prefix(b" ").unwrap_or(line)
                }
            })
            .collect();
        Some(lines.concat())
    }

    fn payload(&self) -> Vec<u8> {
        let is_signature = |field: &&&[u8]| {
            [SIGNATURE, SIGNATURE_SHA256]
                .iter()
                .any(|name| value(field, name).is_some())
        };
        let mut payload: Vec<u8> = Vec::new();
        for field in self.fields.iter().filter(|field| !is_signature(field)) {
            payload.extend_from_slice(field);
        }
        if self.has_body {
            payload.push(b'\n');
            payload.extend_from_slice(self.body);
        }
        payload
    }
}

fn value<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    field.strip_prefix(name)?.strip_prefix(b" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSIGNED: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
        author A U Thor <a@example.com> 1700000000 +0130\n\
        committer C <c@example.com> 1700000001 -0800\n\nSubject line\n\nBody\n";

    fn id() -> ObjectId {
        ObjectId::null(Kind::Sha1)
    }

    #[test]
    fn commit_parts_are_found() {
        let commit = Commit::parse(id(), UNSIGNED.as_bytes()).unwrap();
        assert_eq!(
            commit.tree.to_string(),
            "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        );
        assert_eq!(commit.author.name, "A U Thor");
        assert_eq!(
            (commit.author.seconds, commit.author.offset_minutes),
            (1_700_000_000, 90)
        );
        assert_eq!(
            (commit.committer.email.as_str(), commit.committer.offset_minutes),
            ("c@example.com", -480)
        );
        assert_eq!(commit.message, "Subject line\n\nBody\n");
        assert_eq!(
            (commit.short_message().as_str(), commit.signature),
            ("Subject line", None)
        );
        assert_eq!(commit.payload, UNSIGNED.as_bytes());
    }

    #[test]
    fn commit_signature_is_taken_out_of_the_payload() {
        let signature = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n\nAAA=\n-----END SSH SIGNATURE-----\n";
        let folded = signature.trim_end().replace('\n', "\n ");
        let signed = UNSIGNED.replacen("\n\n", &format!("\ngpgsig {folded}\nx-other y\n\n"), 1);
        let commit = Commit::parse(id(), signed.as_bytes()).unwrap();
        assert_eq!(commit.signature.unwrap(), signature.as_bytes());
        assert_eq!(
            commit.payload,
            UNSIGNED.replacen("\n\n", "\nx-other y\n\n", 1).as_bytes()
        );
        assert_eq!(commit.message, "Subject line\n\nBody\n");
    }

    #[test]
    fn commit_signature_is_that_of_its_hash() {
        let signed = UNSIGNED.replacen("\n\n", "\ngpgsig one\n 1\ngpgsig-sha256 two\n 2\n\n", 1);
        let commit = |kind| Commit::parse(ObjectId::null(kind), signed.as_bytes()).unwrap();
        let (sha1, sha256) = (commit(Kind::Sha1), commit(Kind::Sha256));
        assert_eq!(sha1.signature.unwrap(), b"one\n1\n");
        assert_eq!(sha256.signature.unwrap(), b"two\n2\n");
        assert_eq!(
            (sha1.payload.as_slice(), sha256.payload.as_slice()),
            (UNSIGNED.as_bytes(), UNSIGNED.as_bytes())
        );
    }

    #[test]
    fn short_message_is_cut_by_characters() {
        let mut commit = Commit::parse(id(), UNSIGNED.as_bytes()).unwrap();
        commit.message = "ü".repeat(50);
        assert_eq!(commit.short_message(), "ü".repeat(50));
        commit.message.push('x');
        assert_eq!(commit.short_message(), format!("{}...", "ü".repeat(50)));
    }

    #[test]
    fn tag_signature_is_taken_off_the_message() {
        let head = "object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype commit\ntag v1\n\
            tagger T <t@example.com> 1700000000 +0000\n\nRelease\n";
        let signature = "-----BEGIN PGP SIGNATURE-----\nabc\n-----END PGP SIGNATURE-----\n";
        let signed = format!("{head}{signature}");
        let tag = Tag::parse(id(), signed.as_bytes()).unwrap();
        assert_eq!((tag.name.as_str(), tag.message.as_str()), ("v1", "Release\n"));
        assert_eq!(
            (tag.signature.unwrap(), tag.payload),
            (signature.into(), head.as_bytes().to_vec())
        );
        assert_eq!(tag.target_kind, "commit");
        let foreign = signed.replacen("\n\n", "\ngpgsig-sha256 two\n 2\n\n", 1);
        let tag = Tag::parse(id(), foreign.as_bytes()).unwrap();
        assert_eq!(tag.payload, head.as_bytes());
        assert!(Tag::parse(id(), head.as_bytes()).unwrap().signature.is_none());
    }

    #[test]
    fn parse_garbage_is_none() {
        for data in [&b""[..], b"\n", b"tree x\n\n", b"\xff\xff"] {
            assert!(Commit::parse(id(), data).is_none());
            assert!(Tag::parse(id(), data).is_none());
        }
    }
}
