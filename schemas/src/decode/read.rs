//! Following a plan over the bytes of one record: into columns, or only over them.
//!
//! Invariant: [`read`] and [`walk`] accept the same bytes. What a record is worth must not depend
//! on which of its columns somebody wanted.

use arrow::datatypes::{Decimal128Type, Decimal256Type, DecimalType, i256};

use super::column::{Bytes, Column, Full, Values, push_offset};
use super::cursor::{Cursor, FaultKind, Outcome, in_field};
use crate::resolve::plan::{Decimal, Plan, RecordPlan, Symbol};

/// Reads a whole record body into `columns`; each has one entry more afterwards.
///
/// # Errors
/// What is wrong; columns may then have entries too many, for the caller to cut.
pub(crate) fn read_body(types: &[Plan], root: &Plan, body: &[u8], columns: &mut [Column]) -> Outcome {
    let mut cursor = Cursor::new(body);
    let record = match root {
        Plan::Union(branches) => &branches[cursor.branch(branches.len())?],
        record => record,
    };
    match record {
        Plan::Record(record) => read_record(types, record, &mut cursor, columns)?,
        Plan::Mismatch(issue) => return Err(cursor.fault(FaultKind::Mismatch(*issue))),
        _ => return Err(cursor.fault(FaultKind::Shape)),
    }
    cursor.end()
}

fn read_record(
    types: &[Plan],
    plan: &RecordPlan,
    cursor: &mut Cursor<'_>,
    columns: &mut [Column],
) -> Outcome {
    for field in &plan.fields {
        let column = match field.column {
            None => None,
            Some(index) => match columns.get_mut(index) {
                Some(column) => Some(column),
                None => return Err(cursor.fault(FaultKind::Shape)),
            },
        };
        // The commonest fields are dealt with here: what calls itself can't be inlined.
        let done = match (&field.plan, column) {
            (Plan::Long, None) => cursor.long().map(drop),
            (Plan::Text, None) => cursor.text().map(drop),
            (Plan::Long, Some(Column { values: Values::Long(values), .. })) => {
                cursor.long().map(|value| values.push(value))
            }
            (plan, None) => walk(types, plan, cursor),
            (plan, Some(column)) => read(types, plan, cursor, column),
        };
        done.map_err(in_field(&field.name))?;
    }
    for default in &plan.defaults {
        let Some(column) = columns.get_mut(default.column) else {
            return Err(cursor.fault(FaultKind::Shape));
        };
        read(&[], &default.plan, &mut Cursor::new(&default.bytes), column)?;
    }
    Ok(())
}

fn read(types: &[Plan], mut plan: &Plan, cursor: &mut Cursor<'_>, column: &mut Column) -> Outcome {
    // Without a call for each: every nullable field is a union of null and its value.
    loop {
        plan = match plan {
            Plan::Union(branches) => &branches[cursor.branch(branches.len())?],
            Plan::Nullable(value) => {
                column.push_valid();
                value
            }
            _ => break,
        };
    }
    match plan {
        Plan::SetNull => {
            column.push_null();
            Ok(())
        }
        Plan::Mismatch(issue) => Err(cursor.fault(FaultKind::Mismatch(*issue))),
        Plan::Record(record) => match &mut column.values {
            Values::Struct { n_entries, columns } => {
                read_record(types, record, cursor, columns)?;
                *n_entries += 1;
                Ok(())
            }
            _ => Err(cursor.fault(FaultKind::Shape)),
        },
        Plan::Array(plan) => match &mut column.values {
            Values::List { offsets, item } => {
                let n_items = cursor.blocks(|cursor| read(types, plan, cursor, item))?;
                push_offset(offsets, n_items).map_err(|Full| cursor.fault(FaultKind::ColumnFull))
            }
            _ => Err(cursor.fault(FaultKind::Shape)),
        },
        Plan::Map(plan) => match &mut column.values {
            Values::Map { offsets, keys, values } => {
                let n_items = cursor.blocks(|cursor| {
                    let key = cursor.text()?;
                    push(keys, key, cursor)?;
                    read(types, plan, cursor, values)
                })?;
                push_offset(offsets, n_items).map_err(|Full| cursor.fault(FaultKind::ColumnFull))
            }
            _ => Err(cursor.fault(FaultKind::Shape)),
        },
        scalar => read_scalar(scalar, cursor, &mut column.values),
    }
}

#[inline]
fn read_scalar(plan: &Plan, cursor: &mut Cursor<'_>, values: &mut Values) -> Outcome {
    match (plan, values) {
        (Plan::Long, Values::Long(values)) => values.push(cursor.long()?),
        (Plan::Int, Values::Int(values)) => values.push(cursor.int()?),
        (Plan::Double, Values::Double(values)) => values.push(cursor.double()?),
        (Plan::Float, Values::Float(values)) => values.push(cursor.float()?),
        (Plan::Text, Values::Bytes(values)) => {
            let text = cursor.text()?;
            push(values, text, cursor)?;
        }
        (Plan::Bytes, Values::Bytes(values)) => {
            let bytes = cursor.bytes()?;
            push(values, bytes, cursor)?;
        }
        (Plan::Enum(symbols), Values::Bytes(values)) => match &symbols[cursor.symbol(symbols.len())?] {
            Symbol::Text(text) => push(values, text.as_bytes(), cursor)?,
            Symbol::Mismatch(issue) => return Err(cursor.fault(FaultKind::Mismatch(*issue))),
        },
        (Plan::Boolean, Values::Boolean(values)) => values.append(cursor.boolean()?),
        (Plan::Null, Values::Null(n_entries)) => *n_entries += 1,
        (Plan::IntToLong, Values::Long(values)) => values.push(i64::from(cursor.int()?)),
        (Plan::IntToFloat, Values::Float(values)) => values.push(cursor.int()? as f32),
        (Plan::IntToDouble, Values::Double(values)) => values.push(f64::from(cursor.int()?)),
        (Plan::LongToFloat, Values::Float(values)) => values.push(cursor.long()? as f32),
        (Plan::LongToDouble, Values::Double(values)) => values.push(cursor.long()? as f64),
        (Plan::FloatToDouble, Values::Double(values)) => values.push(f64::from(cursor.float()?)),
        (Plan::Fixed(size), Values::Fixed { n_entries, data, .. }) => {
            data.extend_from_slice(cursor.take(*size)?);
            *n_entries += 1;
        }
        (Plan::UuidText, Values::Bytes(values)) => {
            let text = uuid_text(cursor.take(16)?);
            push(values, text.as_bytes(), cursor)?;
        }
        (Plan::Decimal(decimal), Values::Decimal128(values)) => values.push(decimal128(*decimal, cursor)?),
        (Plan::Decimal(decimal), Values::Decimal256(values)) => values.push(decimal256(*decimal, cursor)?),
        _ => return Err(cursor.fault(FaultKind::Shape)),
    }
    Ok(())
}

#[inline]
fn push(values: &mut Bytes, entry: &[u8], cursor: &Cursor<'_>) -> Outcome {
    values.push(entry).map_err(|Full| cursor.fault(FaultKind::ColumnFull))
}

/// Checks the bytes of a value that nobody wants.
fn walk(types: &[Plan], plan: &Plan, cursor: &mut Cursor<'_>) -> Outcome {
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
        Plan::Decimal(decimal) => decimal256(*decimal, cursor).map(drop),
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
        Plan::Nullable(value) => walk(types, value, cursor),
        Plan::Mismatch(issue) => Err(cursor.fault(FaultKind::Mismatch(*issue))),
        Plan::Type(index) => match types.get(*index) {
            Some(plan) => cursor.nested(|cursor| walk(types, plan, cursor)),
            None => Err(cursor.fault(FaultKind::Shape)),
        },
    }
}

fn decimal128(decimal: Decimal, cursor: &mut Cursor<'_>) -> Outcome<i128> {
    let bytes = decimal_bytes::<16>(decimal, cursor)?;
    let value = i128::from_be_bytes(bytes);
    match Decimal128Type::validate_decimal_precision(value, decimal.precision, decimal.scale) {
        Ok(()) => Ok(value),
        Err(_) => Err(cursor.fault(FaultKind::BadDecimal { precision: decimal.precision })),
    }
}

fn decimal256(decimal: Decimal, cursor: &mut Cursor<'_>) -> Outcome<i256> {
    let bytes = decimal_bytes::<32>(decimal, cursor)?;
    let value = i256::from_be_bytes(bytes);
    match Decimal256Type::validate_decimal_precision(value, decimal.precision, decimal.scale) {
        Ok(()) => Ok(value),
        Err(_) => Err(cursor.fault(FaultKind::BadDecimal { precision: decimal.precision })),
    }
}

/// The number's bytes with its sign repeated to, or cut down to, `N`. No bytes are 0.
fn decimal_bytes<const N: usize>(decimal: Decimal, cursor: &mut Cursor<'_>) -> Outcome<[u8; N]> {
    let bytes = match decimal.size {
        Some(size) => cursor.take(size)?,
        None => cursor.bytes()?,
    };
    let is_negative = bytes.first().is_some_and(|first| 0x80 <= *first);
    let sign = if is_negative { 0xff } else { 0 };
    let mut wide = [sign; N];
    if bytes.len() <= N {
        wide[N - bytes.len()..].copy_from_slice(bytes);
        return Ok(wide);
    }
    let (lead, rest) = bytes.split_at(bytes.len() - N);
    wide.copy_from_slice(rest);
    if lead.iter().all(|byte| *byte == sign) && (0x80 <= wide[0]) == is_negative {
        return Ok(wide);
    }
    Err(cursor.fault(FaultKind::BadDecimal { precision: decimal.precision }))
}

/// `6ba7b810-9dad-11d1-80b4-00c04fd430c8`
fn uuid_text(bytes: &[u8]) -> String {
    use std::fmt::Write;

    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("writing to a string can't fail");
    }
    text
}
