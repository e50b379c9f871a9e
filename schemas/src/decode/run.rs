//! Following a program over the bytes of one record, into columns.
//!
//! Says no more than that a record can't be read: what is wrong with it, [`super::walk`] finds out.

use std::ops::Range;

use arrow::array::types::{Decimal128Type, Decimal256Type};
use arrow::datatypes::{DecimalType, i256};

use super::column::{Full, Slot, Values, push_end, push_null, push_variant};
use super::cursor::{Cursor, MAX_EMPTY};
use super::program::{Branch, NO_SLOT, Op, Program, Rare};
use super::take;
use super::texts::{self, Texts};
use super::walk::{decimal_bytes, walk};
use crate::resolve::plan::{Decimal, Plan, Symbol, Time};

/// Why a record can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its bytes are not those of its schema, or a value of it does not fit the reader's.
    Bad,
    /// A column has reached 2 GiB.
    Full,
    /// Program and columns do not belong together: a bug here.
    Shape,
}

impl From<Full> for Stop {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// What is remembered within a record.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// Of the arrays and maps that the program is inside of.
    open: Vec<Block>,
    /// Items without a byte.
    n_empty: usize,
    /// Of the texts of a stretch.
    pub(super) n_text_bytes: usize,
    pub(super) texts: Texts,
}

/// A block of items.
#[derive(Debug)]
struct Block {
    /// The current one included.
    n_left: u64,
    /// How many bytes of the record were left in front of the current item.
    at: usize,
    /// How many are left behind the block, if it says so.
    end: Option<usize>,
}

/// What a record is read by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'p> {
    pub(crate) program: &'p Program,
    /// The types that the program leaves to a walk.
    pub(crate) types: &'p [Plan],
}

impl Reader<'_> {
    /// Reads a whole record body; each column has one entry more afterwards.
    ///
    /// # Errors
    /// [`Stop`]; columns may then have entries too many, for the caller to cut.
    pub(crate) fn read(&self, body: &[u8], machine: &mut Machine, slots: &mut [Slot]) -> Result<(), Stop> {
        machine.clear();
        let rest = self.run(0..self.program.ops.len(), body, machine, slots)?;
        if rest.is_empty() && self.are_texts(slots) { Ok(()) } else { Err(Stop::Bad) }
    }

    /// Whether what was read as texts is UTF-8.
    pub(super) fn are_texts(&self, slots: &mut [Slot]) -> bool {
        self.program.texts.iter().all(|slot| {
            match slots.get_mut(*slot as usize).map(|slot| &mut slot.values) {
                Some(Values::Text(texts)) => texts.see(),
                _ => false,
            }
        })
    }

    /// The operations in `range`, which go on at its end; gives what is left. Texts are not looked at.
    #[inline(never)]
    pub(crate) fn run<'a>(
        &self,
        range: Range<usize>,
        mut rest: &'a [u8],
        machine: &mut Machine,
        slots: &mut [Slot],
    ) -> Result<&'a [u8], Stop> {
        let all = self.program.ops.get(..range.end).ok_or(Stop::Shape)?;
        let from = |at: usize| all.get(at..).map(<[Op]>::iter).ok_or(Stop::Shape);
        let mut ops = from(range.start)?;
        while let Some(op) = ops.next() {
            match *op {
                Op::Long { slot } => match values(slots, slot)? {
                    Values::Long(values) => values.push_next(&mut rest).ok_or(Stop::Bad)?,
                    _ => return Err(Stop::Shape),
                },
                Op::Text { slot } => match values(slots, slot)? {
                    Values::Text(values) => values.push_next(&mut rest)?,
                    _ => return Err(Stop::Shape),
                },
                Op::Int { slot } => match values(slots, slot)? {
                    Values::Int(values) => values.push(take::int(&mut rest).ok_or(Stop::Bad)?),
                    _ => return Err(Stop::Shape),
                },
                Op::Double { slot } => match values(slots, slot)? {
                    Values::Double(values) => {
                        values.push(f64::from_le_bytes(take::array(&mut rest).ok_or(Stop::Bad)?));
                    }
                    _ => return Err(Stop::Shape),
                },
                Op::SkipLongs { n } => {
                    for _ in 0..n {
                        take::skip_long(&mut rest).ok_or(Stop::Bad)?;
                    }
                }
                Op::SkipTexts { n } => texts::skip(&mut rest, n).ok_or(Stop::Bad)?,
                Op::SkipFixed { n } => rest = rest.get(n as usize..).ok_or(Stop::Bad)?,
                Op::Nullable { slot, null, to } => {
                    if take::index(&mut rest, 2).ok_or(Stop::Bad)? == usize::from(null) {
                        if slot != NO_SLOT {
                            push_null(slots, slot as usize);
                        }
                        ops = from(to as usize)?;
                    }
                }
                Op::Branch(branch) => {
                    let to;
                    (to, rest) = self.branch(branch, rest, machine, slots)?;
                    if let Some(to) = to {
                        ops = from(to as usize)?;
                    }
                }
                Op::Rare(rare) => rest = self.rare(rare, rest, machine, slots)?,
            }
        }
        Ok(rest)
    }

    /// Where the program goes on, if not behind the operation, and what is left.
    #[inline(always)]
    fn branch<'a>(
        &self,
        op: Branch,
        mut rest: &'a [u8],
        machine: &mut Machine,
        slots: &mut [Slot],
    ) -> Result<(Option<u32>, &'a [u8]), Stop> {
        let to = match op {
            Branch::Jump { to } => Some(to),
            Branch::Union { first, n } => {
                let branch = take::index(&mut rest, n as usize).ok_or(Stop::Bad)?;
                let target = self.program.targets.get(first as usize + branch);
                Some(*target.ok_or(Stop::Shape)?)
            }
            Branch::Items { slot, to } => {
                let has_items = machine.begin(&mut rest)?;
                if !has_items {
                    end_items(slots, slot)?;
                }
                (!has_items).then_some(to)
            }
            Branch::NextItem { slot, begin } => {
                let has_items = machine.next_item(&mut rest)?;
                if !has_items {
                    end_items(slots, slot)?;
                }
                has_items.then_some(begin)
            }
        };
        Ok((to, rest))
    }

    /// As [`Self::run`], for one operation; gives what is left.
    #[inline(never)]
    pub(crate) fn rare<'a>(
        &self,
        op: Rare,
        mut rest: &'a [u8],
        machine: &mut Machine,
        slots: &mut [Slot],
    ) -> Result<&'a [u8], Stop> {
        let Self { program, types } = *self;
        match op {
            Rare::Null { slot } => push_null(slots, slot as usize),
            Rare::Variant { slot, branch } => push_variant(slots, slot as usize, branch as usize),
            Rare::Default { index } => {
                let default = program.defaults.get(index as usize).ok_or(Stop::Shape)?;
                let reader = Reader { program: &default.program, types: &[] };
                reader.read(&default.bytes, &mut Machine::default(), slots)?;
            }
            Rare::Walk { index } => {
                let walked = program.walks.get(index as usize).ok_or(Stop::Shape)?;
                let mut cursor = Cursor::resume(rest, machine.n_empty, walked.nesting);
                walk(types, &Plan::Type(walked.index), &mut cursor).map_err(|_| Stop::Bad)?;
                (rest, machine.n_empty) = cursor.pause();
            }
            Rare::Refuse => return Err(Stop::Bad),
            Rare::Shape => return Err(Stop::Shape),
            Rare::SkipInt => drop(take::int(&mut rest).ok_or(Stop::Bad)?),
            Rare::SkipBytes => drop(take::bytes(&mut rest).ok_or(Stop::Bad)?),
            Rare::SkipBoolean => drop(take::boolean(&mut rest).ok_or(Stop::Bad)?),
            Rare::SkipDecimal { decimal } => {
                decimal256(decimal_of(program, decimal)?, &mut rest).ok_or(Stop::Bad)?;
            }
            Rare::SkipTime { of } => drop(time(of, &mut rest).ok_or(Stop::Bad)?),
            Rare::SkipEnum { symbols } => drop(symbol(program, symbols, &mut rest)?),
            read => read_value(read, program, &mut rest, slots)?,
        }
        Ok(rest)
    }
}

#[inline(always)]
fn values(slots: &mut [Slot], slot: u32) -> Result<&mut Values, Stop> {
    slots.get_mut(slot as usize).map(|slot| &mut slot.values).ok_or(Stop::Shape)
}

fn end_items(slots: &mut [Slot], slot: u32) -> Result<(), Stop> {
    if slot != NO_SLOT {
        push_end(slots, slot as usize)?;
    }
    Ok(())
}

impl Machine {
    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.n_empty = 0;
    }

    pub(crate) fn n_empty(&self) -> usize {
        self.n_empty
    }

    /// Goes into an array or a map, unless it has no items.
    fn begin(&mut self, rest: &mut &[u8]) -> Result<bool, Stop> {
        let block = Block::read(rest)?;
        let has_items = 0 < block.n_left;
        if has_items {
            self.open.push(block);
        }
        Ok(has_items)
    }

    /// Ends an item: whether there is another one.
    #[inline(always)]
    fn next_item(&mut self, rest: &mut &[u8]) -> Result<bool, Stop> {
        let block = self.open.last_mut().ok_or(Stop::Shape)?;
        if block.at == rest.len() {
            self.n_empty += 1;
            if self.n_empty > MAX_EMPTY {
                return Err(Stop::Bad);
            }
        }
        block.n_left -= 1;
        if 0 < block.n_left {
            block.at = rest.len();
            return Ok(true);
        }
        if block.end.is_some_and(|end| end != rest.len()) {
            return Err(Stop::Bad);
        }
        *block = Block::read(rest)?;
        let has_items = 0 < block.n_left;
        if !has_items {
            self.open.pop();
        }
        Ok(has_items)
    }
}

impl Block {
    /// The head of a block; one without items is the last.
    #[inline(always)]
    fn read(rest: &mut &[u8]) -> Result<Self, Stop> {
        let raw = take::small_raw(rest).ok_or(Stop::Bad)?;
        let count = take::zigzag(raw);
        let mut end = None;
        if count < 0 {
            let size = take::long(rest).ok_or(Stop::Bad)?;
            let left = usize::try_from(size).ok().and_then(|size| rest.len().checked_sub(size));
            end = Some(left.filter(|_| count != i64::MIN).ok_or(Stop::Bad)?);
        }
        Ok(Self { n_left: count.unsigned_abs(), at: rest.len(), end })
    }
}

/// A value with a slot.
#[inline(always)]
fn read_value(op: Rare, program: &Program, rest: &mut &[u8], slots: &mut [Slot]) -> Result<(), Stop> {
    let bad = Stop::Bad;
    match (op, op.slot().and_then(|slot| slots.get_mut(slot as usize)).map(|slot| &mut slot.values)) {
        (Rare::Bytes { .. }, Some(Values::Bytes(values))) => values.push(take::bytes(rest).ok_or(bad)?)?,
        (Rare::Enum { symbols, .. }, Some(Values::Text(values))) => {
            values.push(symbol(program, symbols, rest)?)?;
        }
        (Rare::UuidText { .. }, Some(Values::Text(values))) => {
            let text = uuid_text(&take::array(rest).ok_or(bad)?);
            values.push(std::str::from_utf8(&text).map_err(|_| Stop::Shape)?)?;
        }
        (Rare::Boolean { .. }, Some(Values::Boolean(values))) => values.push(take::boolean(rest).ok_or(bad)?),
        (Rare::Float { .. }, Some(Values::Float(values))) => values.push(float(rest)?),
        (Rare::FloatToDouble { .. }, Some(Values::Double(values))) => values.push(float(rest)?.into()),
        (Rare::IntToLong { .. }, Some(Values::Long(values))) => {
            take::int(&mut &**rest).ok_or(bad)?;
            values.push_next(rest).ok_or(bad)?;
        }
        (Rare::IntToFloat { .. }, Some(Values::Float(values))) => {
            values.push(take::int(rest).ok_or(bad)? as f32)
        }
        (Rare::IntToDouble { .. }, Some(Values::Double(values))) => {
            values.push(take::int(rest).ok_or(bad)?.into());
        }
        (Rare::LongToFloat { .. }, Some(Values::Float(values))) => {
            values.push(take::long(rest).ok_or(bad)? as f32)
        }
        (Rare::LongToDouble { .. }, Some(Values::Double(values))) => {
            values.push(take::long(rest).ok_or(bad)? as f64);
        }
        (Rare::Fixed { n, .. }, Some(Values::Fixed { n_entries, data, .. })) => {
            data.extend_from_slice(take::take(rest, n as usize).ok_or(bad)?);
            *n_entries += 1;
        }
        (Rare::Decimal { decimal, .. }, Some(Values::Decimal128(values))) => {
            values.push(decimal128(decimal_of(program, decimal)?, rest).ok_or(bad)?);
        }
        (Rare::Decimal { decimal, .. }, Some(Values::Decimal256(values))) => {
            values.push(decimal256(decimal_of(program, decimal)?, rest).ok_or(bad)?);
        }
        (Rare::Time { of, .. }, Some(Values::Int(values))) => {
            let value = time(of, rest).and_then(|value| i32::try_from(value).ok());
            values.push(value.ok_or(bad)?);
        }
        (Rare::Time { of, .. }, Some(Values::Long(values))) => {
            time(of, &mut &**rest).ok_or(bad)?;
            values.push_next(rest).ok_or(bad)?;
        }
        (Rare::Struct { .. }, Some(Values::Struct { n_entries, .. })) => *n_entries += 1,
        _ => return Err(Stop::Shape),
    }
    Ok(())
}

fn float(rest: &mut &[u8]) -> Result<f32, Stop> {
    take::array(rest).map(f32::from_le_bytes).ok_or(Stop::Bad)
}

fn symbol<'p>(program: &'p Program, symbols: u32, rest: &mut &[u8]) -> Result<&'p str, Stop> {
    let symbols = program.symbols.get(symbols as usize).ok_or(Stop::Shape)?;
    match &symbols[take::index(rest, symbols.len()).ok_or(Stop::Bad)?] {
        Symbol::Text(text) => Ok(text),
        Symbol::Mismatch(_) => Err(Stop::Bad),
    }
}

fn decimal_of(program: &Program, decimal: u32) -> Result<Decimal, Stop> {
    program.decimals.get(decimal as usize).copied().ok_or(Stop::Shape)
}

fn decimal128(decimal: Decimal, rest: &mut &[u8]) -> Option<i128> {
    let value = i128::from_be_bytes(decimal_bytes(taken(decimal, rest)?)?);
    Decimal128Type::is_valid_decimal_precision(value, decimal.precision).then_some(value)
}

fn decimal256(decimal: Decimal, rest: &mut &[u8]) -> Option<i256> {
    let value = i256::from_be_bytes(decimal_bytes(taken(decimal, rest)?)?);
    Decimal256Type::is_valid_decimal_precision(value, decimal.precision).then_some(value)
}

fn taken<'a>(decimal: Decimal, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    match decimal.size {
        Some(size) => take::take(rest, size),
        None => take::bytes(rest),
    }
}

fn time(of: Time, rest: &mut &[u8]) -> Option<i64> {
    let value = if of.is_int { i64::from(take::int(rest)?) } else { take::long(rest)? };
    of.is_within(value).then_some(value)
}

/// `6ba7b810-9dad-11d1-80b4-00c04fd430c8`
fn uuid_text(bytes: &[u8; 16]) -> [u8; 36] {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (i, byte) in bytes.iter().enumerate() {
        at += usize::from(matches!(i, 4 | 6 | 8 | 10));
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::column::{Columns, len};
    use super::super::layout::Layout;
    use super::super::walk::fault;
    use super::*;
    use crate::ReaderSchema;
    use crate::avro::Schema;
    use crate::resolve::compile::compile;

    const FIELDS: [&str; 18] = [
        r#""string""#,
        r#""string""#,
        r#""long""#,
        r#""int""#,
        r#""string""#,
        r#""boolean""#,
        r#"["null","string"]"#,
        r#"["long","null"]"#,
        r#"["int","string","null"]"#,
        r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
        r#"{"type":"fixed","name":"F","size":3}"#,
        r#"{"type":"array","items":"null"}"#,
        r#"{"type":"array","items":{"type":"map","values":["null","long"]}}"#,
        r#"{"type":"bytes","logicalType":"decimal","precision":3,"scale":1}"#,
        r#"{"type":"record","name":"N","fields":[{"name":"a","type":"string"},{"name":"b","type":"double"}]}"#,
        r#"["null",{"type":"record","name":"S","fields":[{"name":"a","type":["null","int"]},{"name":"n","type":"null"}]}]"#,
        r#"["null",{"type":"record","name":"T","fields":[{"name":"t","type":{"type":"array","items":["null","T"]}}]}]"#,
        r#"{"type":"record","name":"Z","fields":[{"name":"n","type":"null"}]}"#,
    ];

    fn schema(fields: &[(usize, &str)]) -> String {
        let fields: Vec<_> =
            fields.iter().map(|(i, field)| format!(r#"{{"name":"f{i}","type":{field}}}"#)).collect();
        format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, fields.join(","))
    }

    proptest! {
        /// A program reads what the walk over its plan has nothing against, whatever columns are wanted.
        #[test]
        fn programs_accept_what_walks_accept(
            fields in prop::sample::subsequence((0..FIELDS.len()).collect::<Vec<_>>(), 1..6),
            wanted in prop::collection::vec(any::<bool>(), 6),
            bodies in prop::collection::vec(
                prop::collection::vec(prop_oneof![4 => 0u8..6, 1 => any::<u8>()], 0..40), 1..40),
        ) {
            let fields: Vec<_> = fields.iter().map(|i| (*i, FIELDS[*i])).collect();
            let kept: Vec<_> = fields.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(f, _)| *f).collect();
            let Ok(reader) = ReaderSchema::parse(&schema(&kept)) else {
                return Ok(());
            };
            let writer = Schema::parse(&schema(&fields), &[]).expect("valid");
            let compiled = compile(&writer, reader.schema());
            let layout = Layout::new(reader.arrow_schema().fields()).expect("columns");
            let program = Program::new(&compiled.root, &compiled.types, &layout);
            let mut columns = Columns::new(Arc::new(layout)).expect("columns");
            let mut machine = Machine::default();
            for (n_rows, body) in bodies.iter().enumerate() {
                let reader = Reader { program: &program, types: &compiled.types };
                let read = reader.read(body, &mut machine, &mut columns.slots);
                let fault = fault(&compiled.types, &compiled.root, body);
                prop_assert_eq!(read.is_ok(), fault.is_none(), "{:?} {:?} {:?}", program.ops, body, fault);
                columns.truncate(0);
                let read = reader.read_block(&[&body[..]], &mut [&body[..]], &mut machine, &mut columns.slots);
                prop_assert_eq!(read, fault.is_none(), "{:?} {:?} {:?}", program.steps, body, fault);
                columns.truncate(0);
                prop_assert!((0..columns.slots.len()).all(|slot| len(&columns.slots, slot) == 0), "{}", n_rows);
            }
        }
    }

    #[test]
    fn uuids_are_written_as_everybody_writes_them() {
        let bytes = *b"\x6b\xa7\xb8\x10\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8";
        assert_eq!(&uuid_text(&bytes), b"6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    }
}
