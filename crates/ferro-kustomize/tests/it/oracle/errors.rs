//! Whether our error says what theirs says.

/// What begins the text of a failure that is a panic.
pub(super) const PANIC: &str = "panic";

/// Tells whether upstream did not report an error but crashed.
pub(super) fn is_crash(theirs: &str) -> bool {
    theirs.starts_with(PANIC) || theirs == "it ended" || theirs.contains("number of previous names")
}

/// Tells whether upstream asked a server, which no test does.
pub(super) fn is_of_the_network(theirs: &str) -> bool {
    theirs.contains("dial tcp")
}

/// Tells whether our text has all of theirs in it, addresses in memory aside.
pub(super) fn contains(ours: &str, theirs: &str) -> bool {
    let (ours, theirs) = (normalized(ours), normalized(theirs));
    let theirs = without_comments(&theirs);
    // Comments count among the lines of a text that upstream writes on the way.
    let theirs = match theirs.find("unmarshal errors:") {
        Some(place) => theirs[..place].to_owned(),
        None => theirs,
    };
    // What follows are objects with all that they hold, secrets too, which ours does not show, or a dump of memory.
    let theirs = theirs
        .split("--- possible referral")
        .next()
        .unwrap()
        .split("\n\n--\n&resource")
        .next()
        .unwrap()
        .split("\\n\\n--\\n&resource")
        .next()
        .unwrap();
    let theirs = theirs.trim_end();
    let bare = without_comments(&ours);
    [&ours, &bare, &in_memory(&bare)]
        .into_iter()
        .any(|ours| ours.contains(theirs))
}

/// Comments are kept only for replacements, so a node is shown without those that stand above and behind it.
fn without_comments(theirs: &str) -> String {
    let Some(place) = theirs.find("node contents:") else {
        return theirs.to_owned();
    };
    let (front, contents) = theirs.split_at(place);
    let line_break = if contents.starts_with("node contents:\\n") {
        "\\n"
    } else {
        "\n"
    };
    let lines = contents.split(line_break).filter(|line| !line.starts_with('#'));
    let bare = lines.map(|line| match line.split_once(" #") {
        Some((content, _)) => content,
        None => line,
    });
    format!("{front}{}", bare.collect::<Vec<_>>().join(line_break))
}

/// The oracle's tree in memory has a shorter text for files that are not there than one on a disk, which ours follows.
fn in_memory(ours: &str) -> String {
    let mut parts = ours.split("evalsymlink failure on ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = ": no such file or directory";
        match (part.split_once(" : lstat "), part.split_once(end)) {
            (Some((path, _)), Some((_, rest))) => text.push_str(&format!("{path} doesn't exist{rest}")),
            _ => text.push_str(part),
        }
    }
    text
}

/// Go prints pointers into some messages, and sorts field specs of one kind in no particular order.
fn normalized(text: &str) -> String {
    let text = text.replace("initContainers", "containers");
    let mut parts = text.split("0x");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str("0x");
        kept.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    kept.replace(" &{0x 0x}", "").replace(" &{0x <nil>}", "")
}

/// What a difference is about: which side fails, and in which words, names and numbers aside.
pub(super) fn sort(theirs: &Result<String, String>, ours: &Result<String, String>) -> [Option<String>; 2] {
    [theirs, ours].map(|outcome| outcome.as_ref().err().map(|error| words(error)))
}

fn words(error: &str) -> String {
    let last = error.trim().lines().next().unwrap_or_default();
    let cause = last.rsplit(": ").next().unwrap_or_default();
    let is_plain = |word: &&str| word.chars().all(|c| c.is_ascii_alphabetic());
    cause.split(' ').filter(is_plain).collect::<Vec<_>>().join(" ")
}
