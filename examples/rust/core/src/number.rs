//! Whole numbers, as the contract has them written: digits alone.

use std::ops::RangeInclusive;

use serde_json::value::RawValue;

/// A number from a path or a query: no sign, no leading zero.
pub fn plain(text: &str) -> Option<i64> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// The id of a path; ids count from 1.
pub fn id(text: &str) -> Option<i64> {
    plain(text).filter(|id| *id >= 1)
}

/// A number from a body.
pub fn whole(value: Option<&RawValue>, range: RangeInclusive<i64>) -> Option<i64> {
    serde_json::from_str(value?.get())
        .ok()
        .filter(|number| range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers() {
        assert_eq!(plain("0"), Some(0));
        assert_eq!(plain("10"), Some(10));
        assert_eq!(plain("9223372036854775807"), Some(i64::MAX));
        for text in [
            "",
            "-1",
            "+1",
            "01",
            "00",
            " 1",
            "1.0",
            "1e3",
            "x",
            "٣",
            "9223372036854775808",
        ] {
            assert_eq!(plain(text), None, "{text}");
        }
        assert_eq!((id("1"), id("0")), (Some(1), None));
    }

    #[test]
    fn numbers_of_bodies() {
        let read = |text: &str| whole(Some(&RawValue::from_string(text.into()).unwrap()), 0..=9);
        assert_eq!((read("0"), read("9")), (Some(0), Some(9)));
        for text in [
            "10", "-1", "-0", "1.0", "1e0", "1e400", "\"1\"", "true", "null", "[1]", "{}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(whole(None, 0..=9), None);
    }
}
