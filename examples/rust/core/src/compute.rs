//! Arithmetic that keeps cores busy.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::{Error, json, number};

/// The answer to a compute request, in hexadecimal digits.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Computed {
    parts: Vec<String>,
    total: String,
}

/// Computes the parts of `{"seed", "parts", "iterations"}` in parallel, on rayon's threads: the caller's wait.
///
/// # Errors
/// The body is no such document, or asks for too much.
///
/// # Panics
/// Never: a task answers.
pub async fn compute(body: &[u8]) -> Result<Computed, Error> {
    let task = Task::parse(body)?;
    let (sender, receiver) = oneshot::channel();
    rayon::spawn(move || {
        // The client may be gone.
        let _ = sender.send(task.run());
    });
    Ok(receiver.await.expect("a task answers"))
}

#[derive(Debug)]
struct Task {
    seed: u64,
    parts: u64,
    iterations: u64,
}

impl Task {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        #[derive(Default, Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            seed: Option<&'a RawValue>,
            #[serde(borrow)]
            parts: Option<&'a RawValue>,
            #[serde(borrow)]
            iterations: Option<&'a RawValue>,
        }
        let document: Document = json::document(body)?.unwrap_or_default();
        let field = |value, range, field| {
            number::whole(value, range)
                .map(i64::unsigned_abs)
                .ok_or(Error::InvalidCompute { field })
        };
        let task = Self {
            seed: field(document.seed, 0..=u32::MAX.into(), "seed")?,
            parts: field(document.parts, 1..=64, "parts")?,
            iterations: field(document.iterations, 1..=1_000_000, "iterations")?,
        };
        if task.parts * task.iterations > 20_000_000 {
            return Err(Error::ComputeTooLarge);
        }
        Ok(task)
    }

    fn run(&self) -> Computed {
        let parts: Vec<u64> = (0..self.parts)
            .into_par_iter()
            .map(|i| part(self.seed, i, self.iterations))
            .collect();
        let total = parts
            .iter()
            .zip(0..)
            .fold(0, |total, (part, i)| total ^ part.rotate_left(i));
        let digits = |n: &u64| format!("{n:016x}");
        Computed {
            parts: parts.iter().map(digits).collect(),
            total: digits(&total),
        }
    }
}

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Part `i`: the numbers of a splitmix64 generator, folded into one.
fn part(seed: u64, i: u64, iterations: u64) -> u64 {
    let mut state = seed.wrapping_mul(GAMMA).wrapping_add(i);
    let mut folded = 0_u64;
    for _ in 0..iterations {
        state = state.wrapping_add(GAMMA);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        folded = folded.rotate_left(5) ^ z;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    // Computed with integers of any size, apart from this code. The first is splitmix64's own first number.
    #[tokio::test]
    async fn fixed_numbers() {
        for (seed, iterations, parts, total) in [
            (0, 1, &["e220a8397b1dcdaf"][..], "e220a8397b1dcdaf"),
            (
                42,
                1000,
                &["25d464e9ee31fd40", "f2c22667f7bb114d", "77fd945bf90980ba"],
                "1fa67949e561dd32",
            ),
            (
                4_294_967_295_u64,
                10,
                &["9a26d977f2b648ed", "d86a25a957f050a6"],
                "2af292255d56e9a0",
            ),
        ] {
            let body = format!(
                r#"{{"seed":{seed},"parts":{},"iterations":{iterations}}}"#,
                parts.len()
            );
            let computed = compute(body.as_bytes()).await.unwrap();
            assert_eq!(computed.parts, parts);
            assert_eq!(computed.total, total);
        }
        let computed = compute(br#"{"seed":7,"parts":64,"iterations":20}"#)
            .await
            .unwrap();
        assert_eq!(computed.parts[63], "c60886d58908127c");
        assert_eq!(computed.total, "933b6b3f28bc2c2b");
    }

    #[tokio::test]
    async fn refusals() {
        for (body, field) in [
            ("[0,1,1]", "seed"),
            ("{}", "seed"),
            (r#"{"seed":-1,"parts":0}"#, "seed"),
            (r#"{"seed":4294967296,"parts":1,"iterations":1}"#, "seed"),
            (r#"{"seed":0,"parts":65,"iterations":0}"#, "parts"),
            (r#"{"seed":0,"parts":1.0,"iterations":1}"#, "parts"),
            (r#"{"seed":0,"parts":1,"iterations":1000001}"#, "iterations"),
        ] {
            let refused = compute(body.as_bytes()).await;
            assert_eq!(refused, Err(Error::InvalidCompute { field }), "{body}");
        }
        let large = br#"{"seed":0,"parts":64,"iterations":312501}"#;
        assert_eq!(compute(large).await, Err(Error::ComputeTooLarge));
        assert_eq!(compute(b"{").await, Err(Error::BadJson));
    }
}
