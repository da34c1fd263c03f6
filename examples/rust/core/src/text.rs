//! The text rules of the contract, in one place.

/// Removes white space at both ends and turns every run of it inside into one space.
pub fn squeeze(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for word in s.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Whether `s` is 1 to 32 letters, digits, `-` or `_`.
pub fn is_tag(s: &str) -> bool {
    (1..=32).contains(&s.len())
        && s.bytes()
            .all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
}

/// Whether `s` is all ASCII without white space or control characters.
pub fn is_printable(s: &str) -> bool {
    s.bytes().all(|c| c.is_ascii_graphic())
}

/// The ASCII letters and digits of `s` in lower case, with `-` for every run of anything else.
pub fn slug(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut gap = false;
    for c in s.bytes() {
        if !c.is_ascii_alphanumeric() {
            gap = !out.is_empty();
            continue;
        }
        if gap {
            out.push('-');
            gap = false;
        }
        out.push(char::from(c.to_ascii_lowercase()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squeeze_knows_unicode_white_space() {
        assert_eq!(squeeze("  Ada\t\u{a0}\u{2003}Lovelace\n"), "Ada Lovelace");
        assert_eq!(squeeze(" \u{3000} "), "");
        assert_eq!(squeeze("a\u{200b}b"), "a\u{200b}b");
    }

    #[test]
    fn slug_keeps_ascii_only() {
        assert_eq!(slug("Ada Lovelace, Jr."), "ada-lovelace-jr");
        assert_eq!(slug("Zoë O'Hara"), "zo-o-hara");
        assert_eq!(slug("山田"), "");
    }

    #[test]
    fn tags() {
        assert!(is_tag("a-b_9"));
        assert!(!is_tag(""));
        assert!(!is_tag("a b"));
        assert!(!is_tag("é"));
        assert!(!is_tag(&"x".repeat(33)));
    }
}
