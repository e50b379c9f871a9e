//! Rows of one call as bytes that sort as the call's ORDER BY says, then by arrival: what the
//! accumulators keep that depend on the order of rows.
//!
//! Invariants:
//! 1. Two different rows have different bytes wherever arrival is part of them: their order is total, the
//!    same in every run.
//! 2. The bytes are for memory only. What is written is columns, see [`RowCodec::decode`].

use arrow::array::{ArrayRef, new_empty_array};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};

use crate::aggregate::column::{cast_to, stored_type};
use crate::aggregate::layout::ARRIVAL;
use crate::aggregate::{CallSpec, Error, Order};

/// Between the columns of a call and bytes.
pub(super) struct RowCodec {
    converter: RowConverter,
    /// In the order of comparison.
    columns: Vec<RowColumn>,
    /// The first of `columns` that is an argument of the function.
    first_value: usize,
}

/// One column of a row.
pub(super) struct RowColumn {
    /// Its position in the call's arguments.
    position: usize,
    pub(super) name: String,
    pub(super) data_type: DataType,
}

impl RowCodec {
    /// # Errors
    /// [`Error::Unsupported`] where rows of these types can't be sorted.
    pub(super) fn new(call: &CallSpec, order: &Order) -> Result<Self, Error> {
        let n_values = call.n_values();
        let keys: &[SortOptions] = match order {
            Order::Value { .. } | Order::Distinct(_) => &[],
            Order::Rows(keys) => keys,
        };
        let n_arrival = if order.by_arrival() { ARRIVAL.len() } else { 0 };
        if n_values == 0 || call.args.len() != n_values + keys.len() + n_arrival {
            return Err(call.unsupported());
        }
        let column = |position: usize, name: String| RowColumn {
            position,
            name,
            data_type: stored_type(call.args[position].field.data_type()),
        };
        let mut columns = Vec::new();
        for i in 0..keys.len() {
            columns.push(column(n_values + i, format!("order_{i}")));
        }
        for (i, (name, _)) in ARRIVAL.iter().take(n_arrival).enumerate() {
            columns.push(column(n_values + keys.len() + i, (*name).to_owned()));
        }
        let first_value = columns.len();
        for i in (0..n_values).filter(|i| *i == 0 || call.args[*i].constant.is_none()) {
            columns.push(column(i, format!("value_{i}")));
        }
        let first = if let Order::Distinct(options) = order { Some(*options) } else { None };
        let options = keys.iter().copied().chain(first).chain(std::iter::repeat(SortOptions::default()));
        let fields: Vec<_> = columns
            .iter()
            .zip(options)
            .map(|(column, options)| SortField::new_with_options(column.data_type.clone(), options))
            .collect();
        if !RowConverter::supports_fields(&fields) {
            return Err(call.unsupported());
        }
        let codec = Self { converter: RowConverter::new(fields)?, columns, first_value };
        let empty: Vec<_> = codec.columns.iter().map(|column| new_empty_array(&column.data_type)).collect();
        let encoded = codec.encode_columns(&empty)?;
        let there_and_back = codec.decode(encoded.iter().map(|row| row.data()))?;
        let same = |(column, array): (&RowColumn, &ArrayRef)| column.data_type == *array.data_type();
        if codec.columns.iter().zip(&there_and_back).all(same) { Ok(codec) } else { Err(call.unsupported()) }
    }

    /// The columns of a row, in the order of comparison.
    pub(super) fn columns(&self) -> &[RowColumn] {
        &self.columns
    }

    /// Those of `columns`, one entry per column of a row, that are arguments of the function, with their
    /// positions.
    pub(super) fn values<'a>(
        &'a self,
        columns: &'a [ArrayRef],
    ) -> impl Iterator<Item = (usize, &'a ArrayRef)> {
        let positions = self.columns[self.first_value..].iter().map(|column| column.position);
        positions.zip(&columns[self.first_value..])
    }

    /// The column of a row that holds its event time, where rows are ordered by arrival; it is never null.
    pub(super) fn arrival(&self) -> usize {
        self.first_value.saturating_sub(ARRIVAL.len())
    }

    /// Rows of a call's arguments.
    pub(super) fn encode(&self, args: &[ArrayRef]) -> Result<Rows, Error> {
        let columns = self.columns.iter().map(|column| cast_to(&args[column.position], &column.data_type));
        Ok(self.converter.convert_columns(&columns.collect::<Result<Vec<_>, _>>()?)?)
    }

    /// The inverse of [`Self::decode`].
    pub(super) fn encode_columns(&self, columns: &[ArrayRef]) -> Result<Rows, Error> {
        Ok(self.converter.convert_columns(columns)?)
    }

    /// Bytes that [`Self::encode`] made, as [`Self::columns`].
    pub(super) fn decode<'a>(
        &self,
        rows: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<ArrayRef>, Error> {
        let parser = self.converter.parser();
        // A row borrows from the parser as well as from its bytes.
        let rows: Vec<&[u8]> = rows.into_iter().collect();
        Ok(self.converter.convert_rows(rows.iter().map(|row| parser.parse(row)))?)
    }
}
