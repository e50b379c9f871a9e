//! CSV fields (RFC 4180, lines end in `\n`): null is empty, an empty string is `""`.

use arrow::datatypes::Schema;

use super::json::Cell;

/// Appends the header line.
pub fn csv_header(schema: &Schema, out: &mut Vec<u8>) {
    for (i, field) in schema.fields().iter().enumerate() {
        if i != 0 {
            out.push(b',');
        }
        escape(field.name().as_bytes(), out);
    }
    out.push(b'\n');
}

/// Appends one field. `cell` is of the plain style; `scratch` is overwritten.
pub fn csv_field(cell: &dyn Cell, row: usize, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    scratch.clear();
    if cell.write(row, scratch) {
        escape(scratch, out);
    }
}

fn escape(field: &[u8], out: &mut Vec<u8>) {
    let plain = |b: &u8| !matches!(b, b',' | b'"' | b'\n' | b'\r');
    if !field.is_empty() && field.iter().all(plain) {
        out.extend_from_slice(field);
        return;
    }
    out.push(b'"');
    for byte in field {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
