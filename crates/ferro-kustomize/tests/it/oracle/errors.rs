//! Whether our error says what theirs says.

/// What begins the text of a failure that is a panic.
pub(super) const PANIC: &str = "panic";

/// Tells whether upstream did not report an error but crashed.
pub(super) fn is_crash(theirs: &str) -> bool {
    theirs.starts_with(PANIC) || theirs == "it ended" || theirs.contains("number of previous names")
}

/// Tells whether upstream refuses what nobody sees: a null that a label was put below.
pub(super) fn is_invisible(theirs: &str) -> bool {
    theirs.contains("nodes unequal") && theirs.contains(":null")
}

/// Tells whether our text has all of theirs in it, addresses in memory aside.
pub(super) fn contains(ours: &str, theirs: &str) -> bool {
    let (ours, theirs) = (normalized(ours), normalized(theirs));
    // Comments above a node are shown with it.
    let theirs: String = match theirs.find("node contents:") {
        Some(_) => {
            let lines = theirs.lines().filter(|line| !line.starts_with('#'));
            let bare = lines.map(|line| line.split(" #").next().unwrap_or_default());
            bare.collect::<Vec<_>>().join("\n")
        }
        None => theirs,
    };
    // Comments count among the lines of a text that upstream writes on the way.
    let theirs = match theirs.find("yaml: unmarshal errors:\n  line ") {
        Some(place) => theirs[..place].to_owned(),
        None => theirs,
    };
    // What follows is a dump of memory.
    let theirs = match theirs.find("}}: json: ") {
        Some(dump) if theirs.starts_with("map[string]interface {}{") => theirs[dump + 4..].to_owned(),
        _ => theirs,
    };
    let theirs = theirs
        .split("\n\n--\n&resource")
        .next()
        .unwrap()
        .split("\\n\\n--\\n&resource")
        .next()
        .unwrap();
    // The parser of YAML has words of its own for what is no YAML.
    let theirs = match theirs.find("yaml: line") {
        Some(syntax) => &theirs[..syntax],
        None => theirs.trim_end(),
    };
    ours.contains(theirs)
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
