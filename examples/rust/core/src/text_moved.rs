//! The text rules of the contract, as in `text.rs`, with code moved about for Duet's self-test (`--features moved`):
//! a function that nobody asks for, a long text, and every definition in another place. A test of the self-test
//! holds the two files together.

/// Code that no request runs, with a text longer than any other of the crate. It calls nothing, so that no inlining
/// decision elsewhere depends on it: one more caller of `slug` made a request of the pipeline 1.9 % dearer.
#[inline(never)]
fn kept(n: usize) -> u64 {
    const FILLER: &[u8] = b"Nothing reads this line. It is here to be long, so that what the linker puts behind it \
        comes to lie elsewhere: read-only data moves by the length of this text, code by the length of this function, \
        and a request does exactly what it did before. A difference that somebody sees is a matter of layout.";
    let mut sum = 0_u64;
    let mut i = 0;
    while i < n && i < FILLER.len() {
        let c = u64::from(FILLER[i]);
        match FILLER[i] {
            b' ' | b',' | b'.' => sum = sum.rotate_left(7),
            b'A'..=b'Z' => sum ^= c << 40,
            _ if i % 4 == 0 => sum ^= c << (i & 31),
            _ if i % 4 == 1 => sum = (sum << 5) ^ c,
            _ => sum = !sum ^ c,
        }
        i += 1;
    }
    sum
}

/// The linker cannot leave [`kept`] out.
#[used]
static KEPT: fn(usize) -> u64 = kept;

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

/// Whether `s` is all ASCII without white space or control characters.
pub fn is_printable(s: &str) -> bool {
    s.bytes().all(|c| c.is_ascii_graphic())
}

/// Whether `s` is 1 to 32 letters, digits, `-` or `_`.
pub fn is_tag(s: &str) -> bool {
    (1..=32).contains(&s.len())
        && s.bytes()
            .all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
}

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
