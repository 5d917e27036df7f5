//! Wrapping of one line of words, by bytes.

/// Wraps like goutils' `WrapCustom`: only a blank separates words, and those at the start of a line go.
/// Words longer than a line are cut when `cut_long` is set.
pub(crate) fn wrap(text: &[u8], width: i64, new_line: &[u8], cut_long: bool) -> Vec<u8> {
    let new_line: &[u8] = if new_line.is_empty() { b"\n" } else { new_line };
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(text.len() + text.len() / width.min(text.len().max(1)) * new_line.len());
    let mut rest = text;
    while rest.len() > width {
        if let Some(after) = rest.strip_prefix(b" ") {
            rest = after;
            continue;
        }
        let window = rest.get(..=width).unwrap_or(rest);
        let (line_end, next) = if let Some(blank) = memchr::memrchr(b' ', window) {
            (blank, blank + 1)
        } else if cut_long {
            (width, width)
        } else {
            let beyond = rest.get(width..).unwrap_or_default();
            let Some(blank) = memchr::memchr(b' ', beyond) else {
                break;
            };
            (width + blank, width + blank + 1)
        };
        out.extend_from_slice(rest.get(..line_end).unwrap_or_default());
        out.extend_from_slice(new_line);
        rest = rest.get(next..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}
