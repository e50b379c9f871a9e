//! `GET /api/v1/sources/{name}` and `GET /api/v1/sources/{name}/schemas/{id}`: where records came from, and what they
//! were written with.

use serde::{Deserialize, Serialize};

/// The answer to `GET /api/v1/sources/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub name: String,
    pub topic: String,
    /// As in weir.yaml; what came from an environment variable stands as `${NAME}`.
    pub bootstrap_servers: String,
}

/// The answer to `GET /api/v1/sources/{name}/schemas/{id}`: a writer schema, as the source's registry has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterSchema {
    pub schema_id: u32,
    /// Avro schema JSON.
    pub schema: String,
    /// The schemas that it refers to by name, each after those that it refers to itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::round_trip;

    #[test]
    fn shapes_are_as_documented() {
        round_trip::<Source>(r#"{"name":"orders","topic":"shop.orders","bootstrap_servers":"${KAFKA}"}"#);
        let schema: WriterSchema = round_trip(r#"{"schema_id":7,"schema":"\"long\""}"#);
        assert_eq!(schema.references, [""; 0]);
    }
}
