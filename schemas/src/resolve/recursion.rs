//! Records that contain themselves: no table has columns for them.
//!
//! A writer schema may have them, and one of Protobuf: what they hold is checked and passed over.

use std::vec::IntoIter;

use crate::avro::{Body, Kind, Node, Schema};
use crate::error::SchemaError;

/// Of so many fields it is told; whoever takes those out hears of the others.
const MAX_TOLD: usize = 5;

/// Of a path so many of its last steps are told.
const MAX_STEPS_TOLD: usize = 32;

/// A field, and `[]` or `{}` where the record is in an array or a map of it; and that record.
type Step = (String, usize);

/// # Errors
/// [`SchemaError`] where a record contains itself: which one, by which fields, and what to do.
pub(super) fn refuse(schema: &Schema) -> Result<(), SchemaError> {
    let (mut told, n_found) = loops(schema);
    let fields = match n_found {
        0 => return Ok(()),
        1 => "that field",
        _ => "those fields",
    };
    if told.len() < n_found {
        told.push(format!("and {} more", n_found - told.len()));
    }
    let told = told.join(", ");
    Err(SchemaError::new(format!(
        "{told}, and a table's columns can't nest without end: give the source a schema of its own without \
         {fields} (schema: {{ file: … }}, or an earlier version, schema: {{ subject: …, version: … }}); records \
         written with this one are then still read, and what they have there is passed over"
    )))
}

/// The first of the fields that lead back to a record around them, in the schema's order, for a person, each by the
/// first path to it from the root; and how many there are.
///
/// Not a recursion: types may be nested by name as deep as there are names.
fn loops(schema: &Schema) -> (Vec<String>, usize) {
    let (mut told, mut n_found) = (Vec::new(), 0);
    let Kind::Named(root) = schema.root.kind else { return (told, n_found) };
    let (mut is_open, mut is_done) =
        (vec![false; schema.definitions.len()], vec![false; schema.definitions.len()]);
    let mut path: Vec<(String, usize, IntoIter<Step>)> = vec![(String::new(), root, parts(schema, root))];
    is_open[root] = true;
    while let Some((_, index, rest)) = path.last_mut() {
        match rest.next() {
            None => {
                (is_open[*index], is_done[*index]) = (false, true);
                path.pop();
            }
            Some((step, inner)) if is_open[inner] => {
                n_found += 1;
                if told.len() < MAX_TOLD {
                    let around = path[1..].iter().map(|(step, ..)| &**step);
                    let field = shown(&around.chain([&*step]).collect::<Vec<_>>());
                    let record = &schema.definitions[inner].name;
                    told.push(format!("record \"{record}\" contains itself in field \"{field}\""));
                }
            }
            Some((_, inner)) if is_done[inner] => {}
            Some((step, inner)) => {
                is_open[inner] = true;
                path.push((step, inner, parts(schema, inner)));
            }
        }
    }
    (told, n_found)
}

fn shown(steps: &[&str]) -> String {
    match steps.len().checked_sub(MAX_STEPS_TOLD) {
        None | Some(0) => steps.join("."),
        Some(n_more) => format!("….{}", steps[n_more..].join(".")),
    }
}

/// The named types in a record.
fn parts(schema: &Schema, index: usize) -> IntoIter<Step> {
    let mut parts = Vec::new();
    if let Body::Record(fields) = &schema.definitions[index].body {
        fields.iter().for_each(|field| within(&field.node, field.name.to_string(), &mut parts));
    }
    parts.into_iter()
}

fn within(node: &Node, step: String, parts: &mut Vec<Step>) {
    match &node.kind {
        Kind::Array(item) => within(item, step + "[]", parts),
        Kind::Map(value) => within(value, step + "{}", parts),
        Kind::Union(branches) => branches.iter().for_each(|branch| within(branch, step.clone(), parts)),
        Kind::Named(index) => parts.push((step, *index)),
        _ => {}
    }
}
