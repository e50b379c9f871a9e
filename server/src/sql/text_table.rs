//! Answers for a terminal: aligned columns, numbers to the right.

use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;

use crate::encode::{Style, cell};

/// Longest cell shown, in characters; longer ones end in `…`.
const WIDTH_MAX: usize = 200;

/// Appends the rows with a header, a rule and a last line that counts them.
pub(crate) fn write(schema: &Schema, batches: &[RecordBatch], truncated: bool, out: &mut Vec<u8>) {
    let header: Vec<String> = schema.fields().iter().map(|field| shown(field.name())).collect();
    let right: Vec<bool> = schema.fields().iter().map(|field| is_number(field.data_type())).collect();
    let mut rows = Vec::new();
    for batch in batches {
        let cells: Vec<_> = batch.columns().iter().map(|column| cell(column, Style::Plain)).collect();
        let mut text = Vec::new();
        for row in 0..batch.num_rows() {
            let mut line = Vec::with_capacity(cells.len());
            for cell in &cells {
                text.clear();
                let is_null = !cell.write(row, &mut text);
                line.push(if is_null { "NULL".to_owned() } else { shown(&String::from_utf8_lossy(&text)) });
            }
            rows.push(line);
        }
    }
    render(&header, &right, &rows, out);
    let count = rows.len();
    let plural = if count == 1 { "" } else { "s" };
    let more = if truncated { ", more were left out" } else { "" };
    out.extend_from_slice(format!("({count} row{plural}{more})\n").as_bytes());
}

fn render(header: &[String], right: &[bool], rows: &[Vec<String>], out: &mut Vec<u8>) {
    let mut widths: Vec<usize> = header.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    line(header, &widths, right, out);
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    out.extend_from_slice(rule.join("+").as_bytes());
    out.push(b'\n');
    for row in rows {
        line(row, &widths, right, out);
    }
}

fn line(texts: &[String], widths: &[usize], right: &[bool], out: &mut Vec<u8>) {
    let mut line = String::new();
    for (i, ((text, &width), &right)) in texts.iter().zip(widths).zip(right).enumerate() {
        line.push_str(if i == 0 { " " } else { "| " });
        line.push_str(&if right { format!("{text:>width$} ") } else { format!("{text:<width$} ") });
    }
    out.extend_from_slice(line.trim_end().as_bytes());
    out.push(b'\n');
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// One line without control characters, cut to [`WIDTH_MAX`].
fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().take(WIDTH_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(WIDTH_MAX).is_some() {
        shown.push('…');
    }
    shown
}
