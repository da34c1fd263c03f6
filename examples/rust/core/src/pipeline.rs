//! Parse, validate, transform and re-encode a batch of order lines.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::Object;
use crate::settings::RECORD_LIMIT;
use crate::{Error, text};

/// One order line as the client sends it. Unknown fields are ignored.
#[derive(Debug, Default, Deserialize)]
pub struct Record {
    id: u64,
    name: String,
    email: String,
    amount: u64, // minor units (cents) for each
    quantity: f64,
    currency: String,
    tags: Option<Vec<String>>,
    note: Option<String>,
}

/// A [`Record`] validated and transformed.
#[derive(Debug, Serialize)]
pub struct Line {
    id: u64,
    name: String,
    slug: String,
    email: String,
    domain: String,
    quantity: f64,
    total: u64, // minor units, rounded half away from zero
    currency: String,
    tags: Vec<String>, // lower case, sorted, each once
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    fingerprint: String,
}

/// The answer to a pipeline request.
#[derive(Debug, Serialize)]
pub struct Batch {
    count: usize,
    totals: BTreeMap<String, u64>, // by currency
    records: Vec<Line>,
}

/// Parses, validates and transforms a batch `{"records": [...]}`.
///
/// # Errors
/// Names the first bad field of the first bad record, whether its type or its value is wrong.
pub fn process(body: &[u8]) -> Result<Batch, Error> {
    let records = parse(body)?;
    if !(1..=RECORD_LIMIT).contains(&records.len()) {
        return Err(Error::InvalidBatch);
    }
    let mut totals = BTreeMap::new();
    let mut lines = Vec::with_capacity(records.len());
    for (i, record) in records.into_iter().enumerate() {
        let line = transform(record).map_err(|field| Error::InvalidRecord { record: i, field })?;
        match totals.get_mut(&line.currency) {
            Some(total) => *total += line.total,
            None => {
                totals.insert(line.currency.clone(), line.total);
            }
        }
        lines.push(line);
    }
    Ok(Batch {
        count: lines.len(),
        totals,
        records: lines,
    })
}

fn parse(body: &[u8]) -> Result<Vec<Record>, Error> {
    #[derive(Deserialize)]
    struct Document {
        records: Vec<Object<Record>>,
    }
    match serde_json::from_slice::<Object<Document>>(body) {
        Ok(Object(document)) => Ok(document
            .records
            .into_iter()
            .map(|Object(record)| record)
            .collect()),
        Err(_) => diagnose(body),
    }
}

/// Reads a batch that did not fit, field by field: finds the first bad one. What only the derived
/// decoder minds (a key given twice) is accepted, as in Go. Other requests do not pay for it.
fn diagnose(body: &[u8]) -> Result<Vec<Record>, Error> {
    type Map<'a> = HashMap<String, &'a RawValue>;

    let document: &RawValue = serde_json::from_slice(body).map_err(|_| Error::BadJson)?;
    let raw: Vec<&RawValue> = serde_json::from_str::<Map>(document.get())
        .ok()
        .and_then(|object| serde_json::from_str(object.get("records")?.get()).ok())
        .filter(|raw: &Vec<_>| raw.len() <= RECORD_LIMIT)
        .ok_or(Error::InvalidBatch)?;
    let mut records = Vec::with_capacity(raw.len());
    for (i, value) in raw.into_iter().enumerate() {
        let object: Option<Map> =
            serde_json::from_str(value.get()).map_err(|_| Error::InvalidRecord {
                record: i,
                field: "",
            })?;
        let record = read(&object.unwrap_or_default())
            .map_err(|field| Error::InvalidRecord { record: i, field })?;
        records.push(record);
    }
    Ok(records)
}

/// Reads one record in the order in which fields are checked, checking each.
fn read(object: &HashMap<String, &RawValue>) -> Result<Record, &'static str> {
    fn field<T: DeserializeOwned + Default>(
        object: &HashMap<String, &RawValue>,
        name: &'static str,
        valid: impl FnOnce(&T) -> bool,
    ) -> Result<T, &'static str> {
        let value = match object.get(name) {
            Some(raw) => serde_json::from_str::<Option<T>>(raw.get())
                .map_err(|_| name)?
                .unwrap_or_default(),
            None => T::default(),
        };
        if valid(&value) { Ok(value) } else { Err(name) }
    }
    Ok(Record {
        id: field(object, "id", |id| valid_id(*id))?,
        name: field(object, "name", |name: &String| {
            valid_name(&text::squeeze(name))
        })?,
        email: field(object, "email", |email: &String| domain(email).is_some())?,
        amount: field(object, "amount", |amount| valid_amount(*amount))?,
        quantity: field(object, "quantity", |quantity| valid_quantity(*quantity))?,
        currency: field(object, "currency", |currency: &String| {
            valid_currency(currency)
        })?,
        tags: Some(field(object, "tags", |given: &Vec<String>| {
            tags(given).is_some()
        })?),
        note: Some(field(object, "note", |note: &String| valid_note(note))?),
    })
}

/// The line of a record, or the name of its first bad field.
fn transform(r: Record) -> Result<Line, &'static str> {
    if !valid_id(r.id) {
        return Err("id");
    }
    let name = text::squeeze(&r.name);
    if !valid_name(&name) {
        return Err("name");
    }
    let domain = domain(&r.email).ok_or("email")?.to_ascii_lowercase();
    if !valid_amount(r.amount) {
        return Err("amount");
    }
    if !valid_quantity(r.quantity) {
        return Err("quantity");
    }
    if !valid_currency(&r.currency) {
        return Err("currency");
    }
    let tags = tags(&r.tags.unwrap_or_default()).ok_or("tags")?;
    let note = r.note.unwrap_or_default();
    if !valid_note(&note) {
        return Err("note");
    }
    let mut line = Line {
        id: r.id,
        slug: text::slug(&name),
        name,
        email: r.email.to_ascii_lowercase(),
        domain,
        quantity: r.quantity,
        total: total(r.amount, r.quantity),
        currency: r.currency,
        tags,
        note,
        fingerprint: String::new(),
    };
    line.fingerprint = fingerprint(&line);
    Ok(line)
}

/// At most 10^15, by the limits of both factors: exact as a float and as an integer.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]
fn total(amount: u64, quantity: f64) -> u64 {
    (amount as f64 * quantity).round() as u64
}

fn valid_id(id: u64) -> bool {
    (1..1 << 53).contains(&id)
}

fn valid_name(squeezed: &str) -> bool {
    !squeezed.is_empty() && squeezed.chars().count() <= 100
}

fn valid_amount(amount: u64) -> bool {
    amount <= 1_000_000_000
}

fn valid_quantity(n: f64) -> bool {
    0.0 < n && n <= 1_000_000.0
}

fn valid_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|c| c.is_ascii_uppercase())
}

fn valid_note(note: &str) -> bool {
    note.chars().count() <= 500
}

/// What follows the one `@` of a plausible address: local part, `@`, a host with a dot inside.
fn domain(email: &str) -> Option<&str> {
    let (local, host) = email.split_once('@')?;
    let plausible = !local.is_empty()
        && email.len() <= 254
        && text::is_printable(email)
        && !host.contains('@')
        && host.contains('.')
        && !host.starts_with('.')
        && !host.ends_with('.');
    plausible.then_some(host)
}

/// Trims and lowers at most 16 tags, sorts them and keeps each once.
fn tags(given: &[String]) -> Option<Vec<String>> {
    if given.len() > 16 {
        return None;
    }
    let mut tags = Vec::with_capacity(given.len());
    for tag in given {
        let tag = text::squeeze(tag).to_ascii_lowercase();
        if !text::is_tag(&tag) {
            return None;
        }
        tags.push(tag);
    }
    tags.sort_unstable();
    tags.dedup();
    Some(tags)
}

/// FNV-1a (64 bits) over what makes a line the same line: id, email, total, currency, tags.
fn fingerprint(line: &Line) -> String {
    let mut text = String::with_capacity(128);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{}\n{}\n{}\n{}",
        line.id, line.email, line.total, line.currency
    );
    let mut hash = fnv(FNV_OFFSET, &text);
    for tag in &line.tags {
        hash = fnv(fnv(hash, "\n"), tag);
    }
    format!("{hash:016x}")
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01b3;

fn fnv(hash: u64, s: &str) -> u64 {
    s.bytes().fold(hash, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"id":7,"name":" Ada\t Lovelace ","email":"Ada@Example.org","amount":1250,"quantity":1.5,"currency":"EUR","tags":["b","A","b"]}"#;

    fn refused(body: &str) -> Error {
        process(body.as_bytes()).expect_err(body)
    }

    #[test]
    fn a_good_record() {
        let batch = process(format!(r#"{{"records":[{GOOD}]}}"#).as_bytes()).unwrap();
        let line = &batch.records[0];
        assert_eq!(line.name, "Ada Lovelace");
        assert_eq!(line.slug, "ada-lovelace");
        assert_eq!(line.domain, "example.org");
        assert_eq!(line.total, 1875);
        assert_eq!(line.tags, ["a", "b"]);
        assert_eq!(batch.totals["EUR"], 1875);
    }

    #[test]
    fn totals_round_half_away_from_zero() {
        assert_eq!(total(1, 0.5), 1);
        assert_eq!(total(3, 0.5), 2);
        assert_eq!(total(1_000_000_000, 1_000_000.0), 1_000_000_000_000_000);
    }

    #[test]
    fn the_first_bad_field_is_named() {
        let at = |record, field| Error::InvalidRecord { record, field };
        for (bad, field) in [
            (r#""id":0"#, "id"),
            (r#""id":1.0"#, "id"),
            (r#""id":null"#, "id"),
            (r#""name":5"#, "name"),
            (r#""email":"nobody""#, "email"),
            (r#""amount":-1"#, "amount"),
            (r#""quantity":1e400"#, "quantity"),
            (r#""currency":"eur""#, "currency"),
            (r#""tags":[null]"#, "tags"),
            (r#""note":[]"#, "note"),
        ] {
            // The later of two equal keys counts.
            let record = GOOD.replacen('}', &format!(",{bad}}}"), 1);
            assert_eq!(
                refused(&format!(r#"{{"records":[{GOOD},{record}]}}"#)),
                at(1, field),
                "{bad}"
            );
        }
        assert_eq!(refused(r#"{"records":[{}]}"#), at(0, "id"));
        assert_eq!(refused(r#"{"records":[null]}"#), at(0, "id"));
        assert_eq!(refused(r#"{"records":["x"]}"#), at(0, ""));
        let array = r#"[7,"Ada","a@b.c",1,1,"EUR",[],null]"#;
        assert_eq!(refused(&format!(r#"{{"records":[{array}]}}"#)), at(0, ""));
    }

    #[test]
    fn not_a_batch() {
        for body in [
            "null",
            "[]",
            "{}",
            r#"{"records":null}"#,
            r#"{"records":[]}"#,
            r#"{"records":5}"#,
            "[[{}]]",
        ] {
            assert_eq!(refused(body), Error::InvalidBatch, "{body}");
        }
        for body in ["", "{", r#"{"records":[5,}"#, "{} {}"] {
            assert_eq!(refused(body), Error::BadJson, "{body}");
        }
        assert_eq!(process(b"{\"a\":\"\xff\"}").unwrap_err(), Error::BadJson);
        let many = vec![GOOD; RECORD_LIMIT + 1].join(",");
        assert_eq!(
            refused(&format!(r#"{{"records":[{many}]}}"#)),
            Error::InvalidBatch
        );
    }

    #[test]
    fn null_is_absent_for_optional_fields() {
        let record = GOOD.replacen('}', r#","note":null}"#, 1);
        assert!(process(format!(r#"{{"records":[{record}]}}"#).as_bytes()).is_ok());
    }
}
