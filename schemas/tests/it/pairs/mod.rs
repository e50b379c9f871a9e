//! Random pairs of schemas and random data: this crate, a model of the specification and apache-avro agree.
//!
//! A writer schema is made up, the reader schema made of it by random steps, legal ones and others. Data is encoded by
//! apache-avro. What the decoder reads or refuses must be what the model says, always; and what apache-avro does,
//! unless the model has come by a point where that library is known to do something else.
//!
//! A failure names its seed: `WEIR_SEED=n cargo test -p weir-schemas --test it pairs` repeats it. `WEIR_SEEDS=n` runs so
//! many.

mod evolve;
mod model;
mod random;
mod ty;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use serde_json::{Value as Json, json};

use self::evolve::evolve;
use self::model::Model;
pub(crate) use self::random::Random;
use self::ty::Ty;
use crate::cases::{apache_avro, encode, ours};
use crate::support::{Fixed, decode, decoder, framed, rows};

/// Seeds of a run that names none.
const SEEDS: u64 = 3_000;

/// More than the decoder reads one by one.
const IN_A_BLOCK: usize = 8;

/// What happened in all runs: a property that is never reached proves nothing.
#[derive(Debug, Default)]
struct Reached {
    read: u64,
    refused: u64,
    /// Compared with apache-avro.
    compared: u64,
    /// Where apache-avro may do something else, and how often it did.
    differences: BTreeMap<&'static str, [u64; 2]>,
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn decoder_model_and_apache_avro_agree_on_random_pairs() {
    let first = number("WEIR_SEED");
    let n_seeds = number("WEIR_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(1);
    let mut reached = Reached::default();
    for seed in first..first + n_seeds {
        let mut random = Random::new(seed);
        let writer = random.record();
        let reader = evolve(&mut random, &writer);
        let data: Vec<_> = (0..3).map(|_| random.datum(&writer)).collect();
        let run = AssertUnwindSafe(|| {
            let read: Vec<_> =
                data.iter().filter_map(|datum| check(&writer, &reader, datum, &mut reached)).collect();
            check_together(&schema(&writer), &schema(&reader), &read);
        });
        if let Err(panic) = catch_unwind(run) {
            eprintln!("writer {}\nreader {}", schema(&writer), schema(&reader));
            eprintln!("WEIR_SEED={seed} cargo test -p weir-schemas --test it pairs");
            resume_unwind(panic);
        }
    }
    eprintln!("{n_seeds} seeds from {first}: {reached:?}");
    if first == 1 && SEEDS <= n_seeds {
        assert!(n_seeds < reached.read && n_seeds / 4 < reached.refused, "{reached:?}");
        assert!(n_seeds < reached.compared, "{reached:?}");
        for difference in model::DIFFERENCES {
            let seen = reached.differences.get(difference).is_some_and(|[_, n_others]| 0 < *n_others);
            assert!(seen, "apache-avro never differed: {difference}");
        }
    }
}

/// The types are those of the field `x`, as in the tables of cases.
fn schema(ty: &Ty) -> Json {
    json!({"type": "record", "name": "R", "namespace": "shop", "fields": [{"name": "x", "type": ty.json()}]})
}

/// A record alone; its body and what it is read as, unless it is refused.
fn check(writer: &Ty, reader: &Ty, datum: &Json, reached: &mut Reached) -> Option<(Vec<u8>, Json)> {
    let (writer_schema, reader_schema) = (schema(writer), schema(reader));
    let body = encode(&writer_schema, datum);
    let ours = ours(&writer_schema, &reader_schema, &body);
    let mut model = Model::default();
    let expected = model.read(writer, reader, datum);
    assert_eq!(ours.as_ref().ok(), expected.as_ref(), "the model, {datum}: {ours:?}");
    match &expected {
        Some(_) => reached.read += 1,
        None => reached.refused += 1,
    }
    let theirs = apache_avro(&writer_schema, &reader_schema, &body);
    if model.differences.is_empty() {
        assert_eq!(theirs, expected, "apache-avro, {datum}: {ours:?}");
        reached.compared += 1;
    }
    for difference in model.differences {
        let seen = reached.differences.entry(difference).or_default();
        seen[usize::from(theirs != expected)] += 1;
    }
    expected.map(|expected| (body, expected))
}

/// Enough of them for a block, which takes another way through the decoder than one alone.
fn check_together(writer: &Json, reader: &Json, read: &[(Vec<u8>, Json)]) {
    if read.is_empty() {
        return;
    }
    let among: Vec<_> = read.iter().cycle().take(IN_A_BLOCK).collect();
    let values: Vec<_> = among.iter().map(|(body, _)| framed(1, body)).collect();
    let decoded = decode(&mut decoder(&reader.to_string(), Fixed::of(&[(1, &writer.to_string())])), &values);
    assert_eq!(decoded.rejected, [], "each was read alone");
    for (row, (_, expected)) in rows(&decoded.batch).iter().zip(&among) {
        assert_eq!(row["x"], *expected, "among others");
    }
}
