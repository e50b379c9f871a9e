//! Which slots the columns of a decoder have: a column, and each column inside it, is one.
//!
//! A nested column is a slot like any other, so that a program reaches it by its index and no tree is
//! walked per value.

use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;

/// Of each slot what it holds.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) slots: Vec<Place>,
    /// The slots of the columns that were asked for, in that order.
    pub(crate) roots: Vec<usize>,
}

/// A column, at any depth.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) data_type: DataType,
    /// Whether it has nulls; a column of type null has nothing else, one of a union has them in its branches.
    pub(crate) is_nullable: bool,
    /// Whether entry `i` is of row `i`: not inside a list or a map.
    pub(crate) is_by_row: bool,
    /// The slots of a list's items, of a map's keys and values, of a struct's fields, or of a union's branches.
    pub(crate) children: Vec<usize>,
}

impl Layout {
    pub(crate) fn new(fields: &[FieldRef]) -> Result<Self, ArrowError> {
        let mut layout = Self { slots: Vec::new(), roots: Vec::new() };
        for field in fields {
            let root = layout.add(field, true)?;
            layout.roots.push(root);
        }
        Ok(layout)
    }

    fn add(&mut self, field: &Field, is_by_row: bool) -> Result<usize, ArrowError> {
        let data_type = field.data_type().clone();
        let slot = self.slots.len();
        let has_own_nulls = !matches!(data_type, DataType::Null | DataType::Union(..));
        let is_nullable = field.is_nullable() && has_own_nulls;
        self.slots.push(Place { data_type: data_type.clone(), is_nullable, is_by_row, children: Vec::new() });
        let children = match &data_type {
            DataType::List(item) => vec![self.add(item, false)?],
            DataType::Map(entries, _) => {
                let fields = map_entries(entries)?;
                vec![self.add(&fields[0], false)?, self.add(&fields[1], false)?]
            }
            DataType::Struct(fields) => {
                fields.iter().map(|field| self.add(field, is_by_row)).collect::<Result<_, _>>()?
            }
            DataType::Union(branches, _) => {
                branches.iter().map(|(_, field)| self.add(field, is_by_row)).collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        self.slots[slot].children = children;
        Ok(slot)
    }
}

/// The fields of a map's keys and values.
pub(crate) fn map_entries(entries: &FieldRef) -> Result<&Fields, ArrowError> {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => Ok(fields),
        other => Err(ArrowError::SchemaError(format!("a map of {other}"))),
    }
}
