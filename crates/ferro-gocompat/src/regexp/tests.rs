use super::*;

#[test]
fn longest_patterns_that_wait_can_be_compiled_for_all_texts() {
    for piece in ["[^a]", "[^a]+", "(?:[^k]*)", ".", "-", r"\W?", "(?i:[^k])"] {
        let (mut pattern, mut waiting) = (String::new(), None);
        loop {
            pattern.push_str(piece);
            match Regex::go(&pattern) {
                Ok(regex) if regex.ascii.is_some() => waiting = Some(regex),
                _ => break,
            }
        }
        let waiting = waiting.unwrap();
        assert!(waiting.translated.len() > MAX_LAZY_LEN - 40, "{piece}");
        assert_eq!(waiting.is_match(&"é".repeat(1000)), piece != "-", "{piece}");
    }
}
