//! JSON Schema as the Avro schema of a table: what `weir` makes of a subject of type `JSON`, or of a `.json` file.
//!
//! | JSON Schema | Avro |
//! | --- | --- |
//! | `integer`, `number`, `boolean` | `long`, `double`, `boolean` |
//! | `string`; `enum` and `const` of strings | `string` |
//! | … with `format` `date-time`, `date`, `uuid` | `timestamp-micros`, `date`, `uuid` |
//! | … with `contentEncoding: base64` | `bytes` |
//! | `array` of `items` | `array` |
//! | `object` with `properties`; with a schema of `additionalProperties` alone | `record`; `map` |
//! | several types, `oneOf`, `anyOf` | a union |
//! | `$ref` within the document, or to one of its references | what it refers to |
//!
//! A property that is not `required` may be null. Constraints (`minimum`, `pattern`, …) are the producer's: they don't
//! change a column's type, and records are not held against them. JSON Schema draft 4 to 2020-12, as far as this goes.

use serde_json::{Map, Value, json};

use super::{Document, JsonSchema, Place, short};
use crate::error::SchemaError;
use crate::registry::SchemaText;

/// Nesting that is refused, `$ref`s included: a type within itself is no column.
const MAX_DEPTH: usize = 32;

/// Types in all that a document may become: `$ref`s multiply.
const MAX_TYPES: usize = 20_000;

/// Whether a schema's text is JSON Schema of an object, not Avro.
pub(crate) fn is_json_schema(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|json| {
        json.get("fields").is_none()
            && ["properties", "$ref", "$schema"].iter().any(|key| json.get(key).is_some())
    })
}

/// The text of the Avro schema.
///
/// # Errors
/// [`SchemaError`] where it is no JSON Schema of an object, or says what is no column.
pub(crate) fn to_avro(text: &SchemaText) -> Result<String, SchemaError> {
    let schema = JsonSchema::read(&text.text, text.named_references())?;
    let mut mapper = Mapper { schema: &schema, n_types: 0, depth: 0 };
    let object = mapper.follow(schema.top())?;
    if object.get("properties").is_none_or(|properties| !properties.is_object()) {
        return Err(SchemaError::new("a table's JSON Schema must be of an object with \"properties\""));
    }
    Ok(mapper.record(object)?.to_string())
}

struct Mapper<'a> {
    schema: &'a JsonSchema,
    /// So that every record has a name of its own.
    n_types: usize,
    depth: usize,
}

/// An object of keywords, and the document that its `$ref`s are within.
#[derive(Clone, Copy)]
struct Object<'a> {
    keywords: &'a Map<String, Value>,
    document: &'a Document,
}

impl<'a> Object<'a> {
    fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.keywords.get(keyword)
    }

    /// A schema within it.
    fn inner(&self, schema: &'a Value) -> Place<'a> {
        Place { schema, document: self.document }
    }
}

impl<'a> Mapper<'a> {
    /// What a schema says, behind its `$ref`s.
    fn follow(&self, place: Place<'a>) -> Result<Object<'a>, SchemaError> {
        let Place { schema, document } = self.schema.follow(place)?;
        let keywords = schema.as_object();
        let keywords =
            keywords.ok_or_else(|| SchemaError::new(format!("{} is not a type", short(schema))))?;
        Ok(Object { keywords, document })
    }

    fn record(&mut self, object: Object<'a>) -> Result<Value, SchemaError> {
        let properties = object.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = object
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let name = format!("record_{}", self.n_types);
        let mut fields = Vec::new();
        for (property, schema) in properties.into_iter().flatten() {
            let branches = self
                .branches(object.inner(schema))
                .map_err(|error| error.at(&format!("property {property:?}")))?;
            let is_optional = !required.contains(&property.as_str());
            fields.push(json!({"name": property, "type": union(branches, is_optional)}));
        }
        Ok(json!({"type": "record", "name": name, "fields": fields}))
    }

    /// The types that a schema allows.
    fn branches(&mut self, place: Place<'a>) -> Result<Vec<Value>, SchemaError> {
        self.n_types += 1;
        if MAX_DEPTH <= self.depth || MAX_TYPES <= self.n_types {
            return Err(SchemaError::new(
                "it is within itself, or nested too deeply, so it can't be a column",
            ));
        }
        self.depth += 1;
        let branches = self.follow(place).and_then(|object| self.of_object(object));
        self.depth -= 1;
        branches
    }

    fn of_object(&mut self, object: Object<'a>) -> Result<Vec<Value>, SchemaError> {
        let mut branches = Vec::new();
        let choices = ["oneOf", "anyOf"].iter().find_map(|key| object.get(key)).and_then(Value::as_array);
        match (object.get("type"), choices) {
            (Some(Value::Array(words)), _) => {
                for word in words {
                    branches.push(self.of_word(word.as_str().unwrap_or_default(), object)?);
                }
            }
            (Some(Value::String(word)), _) => branches.push(self.of_word(word, object)?),
            (_, Some(choices)) => {
                for choice in choices {
                    branches.append(&mut self.branches(object.inner(choice))?);
                }
            }
            _ => branches.push(self.of_word(implied(object.keywords), object)?),
        }
        if object.get("nullable") == Some(&Value::Bool(true)) {
            branches.push(json!("null"));
        }
        Ok(branches)
    }

    fn of_word(&mut self, word: &str, object: Object<'a>) -> Result<Value, SchemaError> {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        Ok(match word {
            "null" | "boolean" => json!(word),
            "integer" => json!("long"),
            "number" => json!("double"),
            "string" => match (text("format"), text("contentEncoding")) {
                (Some("date-time"), _) => json!({"type": "long", "logicalType": "timestamp-micros"}),
                (Some("date"), _) => json!({"type": "int", "logicalType": "date"}),
                (Some("uuid"), _) => json!({"type": "string", "logicalType": "uuid"}),
                (_, Some("base64")) => json!("bytes"),
                _ => json!("string"),
            },
            "array" => {
                let items =
                    object.get("items").ok_or_else(|| SchemaError::new("an array without \"items\""))?;
                json!({"type": "array", "items": union(self.branches(object.inner(items))?, false)})
            }
            "object" if object.get("properties").is_some() => self.record(object)?,
            "object" => {
                let values = object
                    .get("additionalProperties")
                    .filter(|values| values.is_object())
                    .ok_or_else(|| {
                        SchemaError::new(
                            "an object without \"properties\" or a schema of \"additionalProperties\"",
                        )
                    })?;
                json!({"type": "map", "values": union(self.branches(object.inner(values))?, false)})
            }
            _ => {
                let reason = "it has no \"type\" that a column can have; a schema file may leave it out";
                return Err(SchemaError::new(reason));
            }
        })
    }
}

/// The type of a schema that does not name it.
fn implied(object: &Map<String, Value>) -> &'static str {
    let constant = object.get("const").into_iter();
    let mut values =
        constant.chain(object.get("enum").and_then(Value::as_array).into_iter().flatten()).peekable();
    if values.peek().is_some() && values.all(Value::is_string) {
        "string"
    } else if object.contains_key("properties") {
        "object"
    } else {
        ""
    }
}

/// One type of several; null first, and each once.
fn union(branches: Vec<Value>, is_nullable: bool) -> Value {
    let null = json!("null");
    let mut distinct: Vec<Value> = Vec::new();
    if is_nullable || branches.contains(&null) {
        distinct.push(null);
    }
    for branch in branches {
        if !distinct.contains(&branch) {
            distinct.push(branch);
        }
    }
    match <[Value; 1]>::try_from(distinct) {
        Ok([only]) => only,
        Err(several) => Value::Array(several),
    }
}
