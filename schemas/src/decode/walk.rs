//! Following a plan over the bytes of one record, to say what is wrong with them and where.
//!
//! Invariant: [`walk`] accepts the bytes that [`super::run`] accepts for the program of the plan. What a
//! record is worth must not depend on which of its columns somebody wanted.

use arrow::datatypes::{Decimal256Type, DecimalType, i256};

use super::cursor::{Cursor, Fault, FaultKind, Outcome, in_field};
use crate::resolve::plan::{Decimal, Plan, Symbol};

/// What is wrong with a whole record body, if anything is.
pub(crate) fn fault(types: &[Plan], root: &Plan, body: &[u8]) -> Option<Box<Fault>> {
    let mut cursor = Cursor::new(body);
    walk(types, root, &mut cursor).and_then(|()| cursor.end()).err()
}

/// Checks the bytes of a value.
pub(crate) fn walk(types: &[Plan], plan: &Plan, cursor: &mut Cursor<'_>) -> Outcome {
    match plan {
        Plan::Null | Plan::SetNull => Ok(()),
        Plan::Boolean => cursor.boolean().map(drop),
        Plan::Int | Plan::IntToLong | Plan::IntToFloat | Plan::IntToDouble => cursor.int().map(drop),
        Plan::Long | Plan::LongToFloat | Plan::LongToDouble => cursor.long().map(drop),
        Plan::Float | Plan::FloatToDouble => cursor.take(4).map(drop),
        Plan::Double => cursor.take(8).map(drop),
        Plan::Bytes => cursor.bytes().map(drop),
        Plan::Text => cursor.text().map(drop),
        Plan::Fixed(size) => cursor.take(*size).map(drop),
        Plan::UuidText => cursor.take(16).map(drop),
        Plan::Decimal(decimal) => decimal256(*decimal, cursor),
        Plan::Time(of) => cursor.time(*of),
        Plan::Enum(symbols) => match &symbols[cursor.symbol(symbols.len())?] {
            Symbol::Text(_) => Ok(()),
            Symbol::Mismatch(issue) => Err(cursor.fault(FaultKind::Mismatch(*issue))),
        },
        Plan::Array(item) => cursor.blocks(|cursor| walk(types, item, cursor)).map(drop),
        Plan::Map(value) => {
            let entry = |cursor: &mut Cursor<'_>| {
                cursor.text()?;
                walk(types, value, cursor)
            };
            cursor.blocks(entry).map(drop)
        }
        Plan::Record(record) => {
            for field in &record.fields {
                walk(types, &field.plan, cursor).map_err(in_field(&field.name))?;
            }
            Ok(())
        }
        Plan::Union(branches) => {
            let branch = cursor.branch(branches.len())?;
            walk(types, &branches[branch], cursor)
        }
        Plan::Nullable(value) | Plan::Variant(_, value) => walk(types, value, cursor),
        Plan::Mismatch(issue) => Err(cursor.fault(FaultKind::Mismatch(*issue))),
        Plan::Type(index) => match types.get(*index) {
            Some(plan) => cursor.nested(|cursor| walk(types, plan, cursor)),
            None => Err(cursor.fault(FaultKind::Shape)),
        },
    }
}

fn decimal256(decimal: Decimal, cursor: &mut Cursor<'_>) -> Outcome {
    let bytes = match decimal.size {
        Some(size) => cursor.take(size)?,
        None => cursor.bytes()?,
    };
    let value = decimal_bytes(bytes).map(i256::from_be_bytes);
    match value.filter(|value| Decimal256Type::is_valid_decimal_precision(*value, decimal.precision)) {
        Some(_) => Ok(()),
        None => Err(cursor.fault(FaultKind::BadDecimal { precision: decimal.precision })),
    }
}

/// The number's bytes with its sign repeated to, or cut down to, `N`. No bytes are 0.
pub(crate) fn decimal_bytes<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let is_negative = bytes.first().is_some_and(|first| 0x80 <= *first);
    let sign = if is_negative { 0xff } else { 0 };
    let mut wide = [sign; N];
    if bytes.len() <= N {
        wide[N - bytes.len()..].copy_from_slice(bytes);
        return Some(wide);
    }
    let (lead, rest) = bytes.split_at(bytes.len() - N);
    wide.copy_from_slice(rest);
    (lead.iter().all(|byte| *byte == sign) && (0x80 <= wide[0]) == is_negative).then_some(wide)
}
