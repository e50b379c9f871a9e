//! What the fuzzer has found worth keeping is replayed, see `fuzz/README.md`; and changed at random, which finds less than
//! the fuzzer does, but needs no nightly compiler.
//!
//! `WEIR_SEEDS=n` tries so many changes of each target's inputs, from `WEIR_SEED` on.

#[expect(unreachable_pub, reason = "it is the library of another crate, too")]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use crate::pairs::{Random, number};

/// Changes of a target's inputs that are tried where nobody says how many.
const SEEDS: u64 = 2_000;

fn inputs(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

fn check(name: &str, target: fn(&[u8])) {
    let inputs = inputs(name);
    inputs.iter().for_each(|input| run(target, input, &format!("of {name}'s corpus")));
    let (first, n_seeds) = (number("WEIR_SEED").unwrap_or(1), number("WEIR_SEEDS").unwrap_or(SEEDS));
    for seed in first..first + n_seeds {
        let mut random = Random::new(seed);
        let mut input = inputs[random.below(inputs.len())].clone();
        let other = &inputs[random.below(inputs.len())];
        for _ in 0..=random.below(4) {
            change(&mut random, &mut input, other);
        }
        run(
            target,
            &input,
            &format!("WEIR_SEED={seed} WEIR_SEEDS=1 cargo test -p weir-schemas --test it {name}"),
        );
    }
    eprintln!("{name}: {} inputs, {n_seeds} changes from {first}", inputs.len());
}

fn run(target: fn(&[u8]), input: &[u8], how: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        eprintln!("{how}\n{}", String::from_utf8_lossy(input));
        resume_unwind(panic);
    }
}

fn change(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(input.len() + 1);
    let end = (at + 1 + random.below(8)).min(input.len());
    match random.below(6) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..end)),
        2 => {
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        3 => {
            let from = random.below(other.len() + 1);
            input.splice(at..end, other[from..].iter().copied().take(16));
        }
        4 => input.insert(at, u8::try_from(random.below(256)).expect("a byte")),
        _ => {
            let bit = 1 << random.below(8);
            input[at..end].iter_mut().take(1).for_each(|byte| *byte ^= bit);
        }
    }
}

#[test]
fn framing_holds_for_the_corpus_and_its_changes() {
    check("framing", targets::framing);
}

#[test]
fn schema_holds_for_the_corpus_and_its_changes() {
    check("schema", targets::schema);
}

#[test]
fn resolve_holds_for_the_corpus_and_its_changes() {
    check("resolve", targets::resolve);
}

#[test]
fn decode_holds_for_the_corpus_and_its_changes() {
    check("decode", targets::decode);
}

#[test]
fn values_hold_for_the_corpus_and_its_changes() {
    check("values", targets::values);
}

#[test]
fn requests_hold_for_the_corpus_and_its_changes() {
    check("requests", targets::requests);
}
