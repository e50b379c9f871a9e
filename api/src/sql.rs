//! `POST /api/v1/sql`: one query and its answer, whole as JSON or streamed as rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Problem, Row};

/// The body of `POST /api/v1/sql`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One SELECT, EXPLAIN, SHOW or DESCRIBE.
    pub query: String,
    /// A duration as people write it, such as `30s`; the server's own limit where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// A column of an answer, a snapshot or a result table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// A SQL name, such as `BIGINT` or `TIMESTAMP(3) WITH TIME ZONE`.
    #[serde(rename = "type")]
    pub sql_type: String,
    pub nullable: bool,
}

/// The answer to `POST /api/v1/sql` with `Accept: application/json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SqlResponse {
    pub columns: Vec<Column>,
    /// At most 10,000 rows.
    pub rows: Vec<Row>,
    /// The length of `rows`.
    pub row_count: u64,
    /// Whether the query had more rows than `rows` holds.
    pub truncated: bool,
    /// The committed epoch that was read, by pipeline; empty where no result table was read.
    pub epochs: BTreeMap<String, u64>,
    pub elapsed_ms: f64,
}

/// The media type of an answer that is streamed with its columns: lines of JSON. The first is a [`RowsHead`], the last a
/// [`RowsEnd`], all between are [`Row`]s. An answer without its last line is a part.
pub const CONTENT_TYPE_ROWS: &str = "application/vnd.weir.rows+ndjson";

/// The first line of an answer of [`CONTENT_TYPE_ROWS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowsHead {
    pub columns: Vec<Column>,
    /// As [`SqlResponse::epochs`].
    pub epochs: BTreeMap<String, u64>,
}

/// The last line of an answer of [`CONTENT_TYPE_ROWS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RowsEnd {
    Whole {
        row_count: u64,
        elapsed_ms: f64,
    },
    /// The query failed on the way: the rows before are a part.
    Failed {
        problem: Problem,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::round_trip;

    #[test]
    fn answer_has_the_documented_shape() {
        let answer: SqlResponse = round_trip(
            r#"{"columns":[{"name":"orders","type":"BIGINT","nullable":false},{"name":"revenue","type":"DECIMAL(18,2)","nullable":true}],"rows":[[9223372036854775807,"12.50"],[-9223372036854775808,null]],"row_count":2,"truncated":false,"epochs":{"revenue":812},"elapsed_ms":3.1}"#,
        );
        assert_eq!(answer.rows[0][0].as_i64(), Some(i64::MAX));
        assert_eq!(answer.epochs["revenue"], 812);
    }

    #[test]
    fn streamed_answer_says_whether_it_is_whole() {
        round_trip::<RowsHead>(
            r#"{"columns":[{"name":"n","type":"BIGINT","nullable":false}],"epochs":{"revenue":812}}"#,
        );
        round_trip::<RowsEnd>(r#"{"row_count":2,"elapsed_ms":3.1}"#);
        let failed: RowsEnd = round_trip(
            r#"{"problem":{"type":"urn:weir:error:E0303","title":"the query failed","status":422,"detail":"division by zero"}}"#,
        );
        assert!(matches!(failed, RowsEnd::Failed { problem } if problem.status == 422));
    }

    #[test]
    fn request_may_leave_out_the_timeout() {
        let request: SqlRequest = round_trip(r#"{"query":"SELECT 1"}"#);
        assert_eq!(request.timeout, None);
        round_trip::<SqlRequest>(r#"{"query":"SELECT 1","timeout":"30s"}"#);
    }

    #[test]
    fn request_with_an_unknown_key_is_refused() {
        let refused = serde_json::from_str::<SqlRequest>(r#"{"query":"SELECT 1","timout":"1s"}"#);
        assert!(refused.expect_err("the key is misspelt").to_string().contains("timout"));
    }
}
