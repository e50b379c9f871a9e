//! Following a program over many records at once: each step for all of them before the next one.
//!
//! One record is a chain in which the place of a value depends on the one before; here the processor works
//! at many such chains side by side, and what a step needs is looked up once. For records that are good; a
//! block with a bad one is given up, to be read record by record.

use std::ops::Range;

use super::column::{Longs, Slot, Values};
use super::cursor::MAX_EMPTY;
use super::program::{Branch, Op, Program};
use super::run::{Machine, Reader};
use super::take;
use super::texts;

/// Records that are read at once. More gain little, and each bad one costs the others of its block.
pub(crate) const BLOCK: usize = 32;

impl Program {
    /// The parts of the program that are followed by each record in the same way: single operations, and
    /// all that can be chosen or repeated as one.
    pub(crate) fn steps(&self) -> Vec<Range<usize>> {
        let mut steps = Vec::new();
        let mut begin = 0;
        while begin < self.ops.len() {
            let (mut at, mut end) = (begin, begin + 1);
            while at < end {
                let furthest = match self.ops.get(at) {
                    Some(
                        Op::Nullable { to, .. } | Op::Branch(Branch::Jump { to } | Branch::Items { to, .. }),
                    ) => *to as usize,
                    Some(Op::Branch(Branch::Union { first, n })) => {
                        let targets = self.targets.iter().skip(*first as usize).take(*n as usize);
                        targets.map(|target| *target as usize + 1).max().unwrap_or(0)
                    }
                    _ => 0,
                };
                end = end.max(furthest);
                at += 1;
            }
            steps.push(begin..end);
            begin = end;
        }
        steps
    }
}

impl Reader<'_> {
    /// Reads the record bodies `rests`; each column has one entry more for each. `false`: one of them can't
    /// be read; columns may then have any number of entries too many, for the caller to cut.
    pub(crate) fn read_block<'a>(
        &self,
        bodies: &[&'a [u8]],
        rests: &mut [&'a [u8]],
        machine: &mut Machine,
        slots: &mut [Slot],
    ) -> bool {
        machine.clear();
        for step in &self.program.steps {
            let done = match self.program.ops.get(step.start) {
                Some(op) if step.len() == 1 => self.step(*op, bodies, rests, machine, slots),
                Some(Op::Nullable { .. }) if step.len() == 2 => self.nullable(step, rests, machine, slots),
                _ => self.each(step, rests, machine, slots),
            };
            if !done {
                return false;
            }
        }
        // Of all records together: more than one may have must be looked at one by one.
        machine.n_empty() <= MAX_EMPTY && rests.iter().all(|rest| rest.is_empty())
    }

    fn step<'a>(
        &self,
        op: Op,
        bodies: &[&'a [u8]],
        rests: &mut [&'a [u8]],
        machine: &mut Machine,
        slots: &mut [Slot],
    ) -> bool {
        let values = op.slot().and_then(|slot| slots.get_mut(slot as usize)).map(|slot| &mut slot.values);
        match (op, values) {
            (Op::Long { .. }, Some(Values::Long(values))) => longs(values, rests),
            (Op::Text { .. }, Some(Values::Text(values))) => {
                values.push_block(bodies, rests, &mut machine.texts)
            }
            (Op::Int { .. }, Some(Values::Int(values))) => numbers(values, rests, take::int),
            (Op::Double { .. }, Some(Values::Double(values))) => {
                numbers(values, rests, |rest| take::array(rest).map(f64::from_le_bytes))
            }
            (Op::SkipLongs { n }, _) => {
                rests.iter_mut().all(|rest| (0..n).all(|_| take::skip_long(rest).is_some()))
            }
            (Op::SkipTexts { n }, _) => (0..n).all(|_| texts::skip(bodies, rests)),
            (Op::SkipFixed { n }, _) => rests.iter_mut().all(|rest| take::take(rest, n as usize).is_some()),
            (Op::Rare(op), _) => advance(rests, |rest| self.rare(op, rest, machine, slots)),
            _ => false,
        }
    }

    /// A union of null and what one operation reads.
    fn nullable(
        &self,
        step: &Range<usize>,
        rests: &mut [&[u8]],
        machine: &mut Machine,
        slots: &mut [Slot],
    ) -> bool {
        let (Some(Op::Nullable { null, .. }), Some(op)) =
            (self.program.ops.get(step.start), self.program.ops.get(step.start + 1))
        else {
            return false;
        };
        let null = usize::from(*null);
        match (op, op.slot().and_then(|slot| slots.get_mut(slot as usize))) {
            (Op::Long { .. }, Some(slot)) => maybe(slot, null, rests, |values, rest| match values {
                Values::Long(values) => values.push_next(rest),
                _ => None,
            }),
            (Op::Double { .. }, Some(slot)) => maybe(slot, null, rests, |values, rest| match values {
                Values::Double(values) => {
                    values.push(f64::from_le_bytes(take::array(rest)?));
                    Some(())
                }
                _ => None,
            }),
            (Op::Text { .. }, Some(slot)) => maybe(slot, null, rests, |values, rest| match values {
                Values::Text(values) => values.push_next(rest).ok(),
                _ => None,
            }),
            _ => self.each(step, rests, machine, slots),
        }
    }

    /// A step record by record.
    fn each(
        &self,
        step: &Range<usize>,
        rests: &mut [&[u8]],
        machine: &mut Machine,
        slots: &mut [Slot],
    ) -> bool {
        advance(rests, |rest| self.run(step.clone(), rest, machine, slots))
    }
}

/// Goes on with each record behind what `read` takes of it; `false` where one of them can't be read.
fn advance<'a, E>(rests: &mut [&'a [u8]], mut read: impl FnMut(&'a [u8]) -> Result<&'a [u8], E>) -> bool {
    rests.iter_mut().all(|rest| match read(rest) {
        Ok(behind) => {
            *rest = behind;
            true
        }
        Err(_) => false,
    })
}

fn maybe(
    slot: &mut Slot,
    null: usize,
    rests: &mut [&[u8]],
    mut push: impl FnMut(&mut Values, &mut &[u8]) -> Option<()>,
) -> bool {
    rests.iter_mut().all(|rest| match take::index(rest, 2) {
        Some(branch) if branch == null => {
            slot.push_null();
            true
        }
        Some(_) => push(&mut slot.values, rest).is_some(),
        None => false,
    })
}

fn longs(values: &mut Longs, rests: &mut [&[u8]]) -> bool {
    let mut is_good = true;
    let Longs { words, late } = values;
    let first = words.len();
    words.extend(rests.iter_mut().enumerate().map(|(i, rest)| match take::word(rest) {
        Some(word) => word.cast_signed(),
        None => take::any_word(rest, |long| late.push((first + i, long))).unwrap_or_else(|| {
            is_good = false;
            0
        }),
    }));
    is_good
}

fn numbers<T: Default>(
    values: &mut Vec<T>,
    rests: &mut [&[u8]],
    mut read: impl FnMut(&mut &[u8]) -> Option<T>,
) -> bool {
    let mut is_good = true;
    values.extend(rests.iter_mut().map(|rest| {
        read(rest).unwrap_or_else(|| {
            is_good = false;
            T::default()
        })
    }));
    is_good
}
