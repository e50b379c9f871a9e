//! Records per CPU-second of the decoder alone, by which columns are wanted.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use weir_schemas::registry::MemoryRegistry;
use weir_schemas::{Decoder, ReaderSchema, SchemaRegistry};

use crate::bids::{Bids, SCHEMA};
use crate::machine::{describe, thread_cpu_ns};

/// As the engine's source subtasks take them.
const RECORDS_PER_BATCH: usize = 8_192;
/// 7 MB of values: more than a processor's own caches, as it is with what Kafka answers.
const BATCHES: usize = 8;

/// What is wanted of a bid.
const WANTED: [(&str, &[usize]); 5] = [
    ("none", &[]),
    ("date_time", &[5]),
    ("auction, price, date_time", &[0, 2, 5]),
    ("auction, bidder, price, date_time, extra", &[0, 1, 2, 5, 6]),
    ("all", &[0, 1, 2, 3, 4, 5, 6]),
];

/// Measures all of them and prints a table.
#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn run(seconds: u64) -> Result<()> {
    eprintln!("{}", describe());
    let registry = Arc::new(MemoryRegistry::new());
    let mut bids = Bids::new(registry.register("bid-value", SCHEMA)?.0);
    let batches: Vec<Vec<u8>> = (0..BATCHES).map(|_| batch(&mut bids)).collect();
    println!("| columns | M records/CPU-s | ns/record |");
    println!("| --- | ---: | ---: |");
    for (title, columns) in WANTED {
        let reader = Arc::new(ReaderSchema::new(SCHEMA.into())?);
        let mut decoder =
            Decoder::new(reader, columns.to_vec(), Arc::clone(&registry) as Arc<dyn SchemaRegistry>)?;
        let ns = measure(&mut decoder, &batches, Duration::from_secs(seconds))?;
        println!("| {title} | {:.1} | {ns:.1} |", 1e3 / ns);
    }
    Ok(())
}

/// Values one behind the other, each behind its length in four bytes.
fn batch(bids: &mut Bids) -> Vec<u8> {
    let (mut batch, mut value) = (Vec::new(), Vec::new());
    for _ in 0..RECORDS_PER_BATCH {
        bids.next(&mut value);
        batch.extend_from_slice(&(value.len() as u32).to_le_bytes());
        batch.extend_from_slice(&value);
    }
    batch
}

fn values(mut batch: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (length, rest) = batch.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        batch = rest;
        Some(Some(value))
    })
}

/// Nanoseconds of CPU a record.
fn measure(decoder: &mut Decoder, batches: &[Vec<u8>], time: Duration) -> Result<f64> {
    let (begun, mut n_records) = (thread_cpu_ns()?, 0);
    loop {
        for batch in batches {
            let decoded = decoder.decode(values(batch), 0)?;
            n_records += decoded.records.len();
            ensure!(decoded.rejected.is_empty(), "wrong bids: {:?}", decoded.rejected.first());
        }
        let spent = thread_cpu_ns()? - begun;
        if time.as_nanos() <= u128::from(spent) {
            return Ok(spent as f64 / n_records as f64);
        }
    }
}
