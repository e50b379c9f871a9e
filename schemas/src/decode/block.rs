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
use super::stretch::Stretch;
use super::take;
use super::texts;

/// Records that are read at once. Each step costs something of its own, however many there are; and each bad record costs
/// the others of its block.
pub(crate) const BLOCK: usize = 64;

/// A part of a program that each record follows in the same way.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Single operations, from one that skips texts to the last one that does, if there is more than one text.
    Stretch(Stretch),
    /// A single operation, or all that can be chosen or repeated.
    Ops(Range<usize>),
}

impl Program {
    /// The parts of the program, one behind the other.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut begin = 0;
        while begin < self.ops.len() {
            if let Some(stretch) = Stretch::of(&self.ops[begin..]) {
                begin += stretch.n_ops();
                steps.push(Step::Stretch(stretch));
                continue;
            }
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
            steps.push(Step::Ops(begin..end));
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
            let done = match step {
                Step::Stretch(stretch) => self.stretch(stretch, bodies, rests, machine, slots),
                Step::Ops(ops) => self.ops(ops, bodies, rests, machine, slots),
            };
            if !done {
                return false;
            }
        }
        // Of all records together: more than one may have must be looked at one by one.
        machine.n_empty() <= MAX_EMPTY
            && rests.iter().fold(0, |any, rest| any | rest.len()) == 0
            && self.are_texts(slots)
    }

    fn ops<'a>(
        &self,
        ops: &Range<usize>,
        bodies: &[&'a [u8]],
        rests: &mut [&'a [u8]],
        machine: &mut Machine,
        slots: &mut [Slot],
    ) -> bool {
        match self.program.ops.get(ops.start) {
            Some(op) if ops.len() == 1 => self.step(*op, bodies, rests, machine, slots),
            Some(Op::Nullable { .. }) if ops.len() == 2 => self.nullable(ops, rests, machine, slots),
            _ => self.each(ops, rests, machine, slots),
        }
    }

    /// A single operation.
    pub(super) fn step<'a>(
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
                let n_bytes = values.push_block(bodies, rests, &mut machine.texts);
                machine.n_text_bytes += n_bytes.unwrap_or(0);
                n_bytes.is_some()
            }
            (Op::Int { .. }, Some(Values::Int(values))) => numbers(values, rests, take::int),
            (Op::Double { .. }, Some(Values::Double(values))) => {
                numbers(values, rests, |rest| take::array(rest).map(f64::from_le_bytes))
            }
            (Op::SkipLongs { n }, _) => {
                rests.iter_mut().all(|rest| (0..n).all(|_| take::skip_long(rest).is_some()))
            }
            // One alone; see [`Step::Stretch`].
            (Op::SkipTexts { n }, _) => rests.iter_mut().all(|rest| texts::skip(rest, n).is_some()),
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
        let (Some(Op::Nullable { slot, null, .. }), Some(op)) =
            (self.program.ops.get(step.start), self.program.ops.get(step.start + 1))
        else {
            return false;
        };
        let null = usize::from(*null);
        // Not what is inside a record that may be null: the null is the record's.
        let own = op.slot().filter(|own| own == slot);
        match (op, own.and_then(|slot| slots.get_mut(slot as usize))) {
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

#[inline(never)]
fn longs(values: &mut Longs, rests: &mut [&[u8]]) -> bool {
    let Longs { words, late } = values;
    let first = words.len();
    words.resize(first + rests.len(), 0);
    for (i, (rest, to)) in rests.iter_mut().zip(&mut words[first..]).enumerate() {
        *to = match take::word(rest) {
            Some(word) => word.cast_signed(),
            None => match take::any_word(rest, late, first + i) {
                Some(word) => word,
                None => return false,
            },
        };
    }
    true
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
