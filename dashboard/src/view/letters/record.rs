//! One dead letter: where it comes from, what is wrong with it, what is in it, and how to get it again.

use serde_json::Value;
use weir_api::{Source, SqlResponse, WriterSchema};

use super::avro::{self, Decoded, End, Schema};
use super::reasons;
use super::{Place, bytes, quoted};
use crate::protocol::time;
use crate::view::number::grouped;
use crate::view::zone::Zone;

/// Asks for what [`Letter::read`] reads.
pub fn query(place: &Place) -> String {
    let condition = match place {
        Place::Record { pipeline, topic, partition, offset } => format!(
            "pipeline = {} AND topic = {} AND partition = {partition} AND \"offset\" = {offset}",
            quoted(pipeline),
            quoted(topic)
        ),
        Place::Group { pipeline, epoch, key } => format!(
            "pipeline = {} AND epoch = {epoch} AND partition IS NULL AND payload = X{}",
            quoted(pipeline),
            quoted(key)
        ),
    };
    format!(
        "SELECT pipeline, source, topic, partition, \"offset\", record_time, schema_id, reason, detail, key, payload, epoch, \
         headers, operator, replays \
         FROM weir.dead_letters WHERE {condition} LIMIT 1"
    )
}

/// A row of `weir.dead_letters`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Letter {
    pub pipeline: String,
    pub source: String,
    pub topic: String,
    pub partition: Option<i64>,
    pub offset: Option<i64>,
    /// Microseconds since 1970.
    pub record_time: Option<i64>,
    pub schema_id: Option<u32>,
    pub reason: String,
    pub detail: String,
    pub key: Option<Vec<u8>>,
    pub payload: Vec<u8>,
    pub epoch: u64,
    /// Names, and values as text or hex; one that has none is empty.
    pub headers: Vec<(String, String)>,
    pub operator: Option<String>,
    /// How often it was run again, and failed.
    pub replays: u64,
}

impl Letter {
    /// The one row of an answer to [`query`].
    pub fn read(answer: &SqlResponse) -> Option<Self> {
        let row = answer.rows.first()?;
        let text = |at: usize| row.get(at).and_then(Value::as_str);
        let number = |at: usize| row.get(at).and_then(Value::as_i64);
        let payload = text(10).and_then(bytes::from_base64).unwrap_or_default();
        Some(Self {
            pipeline: text(0)?.to_owned(),
            source: text(1)?.to_owned(),
            topic: text(2)?.to_owned(),
            partition: number(3),
            offset: number(4),
            record_time: text(5).and_then(time::parse_instant),
            // The header names it where the server did not come to read it.
            schema_id: number(6).and_then(|id| u32::try_from(id).ok()).or_else(|| avro::schema_id(&payload)),
            reason: text(7)?.to_owned(),
            detail: text(8)?.to_owned(),
            key: text(9).and_then(bytes::from_base64),
            payload,
            epoch: row.get(11).and_then(Value::as_u64)?,
            headers: row.get(12).and_then(Value::as_object).map(headers).unwrap_or_default(),
            operator: text(13).map(str::to_owned),
            replays: row.get(14).and_then(Value::as_u64).unwrap_or(0),
        })
    }

    /// Whether it is a group's row, which is no record.
    pub fn is_group(&self) -> bool {
        self.partition.is_none()
    }

    /// Where the schema of its writer is to be had; `None`: it names none.
    pub fn schema_path(&self) -> Option<String> {
        let id = self.schema_id.filter(|_| !self.is_group())?;
        Some(format!("/api/v1/sources/{}/schemas/{id}", crate::protocol::percent_encode(&self.source)))
    }

    /// `Late row of revenue`.
    pub fn title(&self) -> String {
        let what = if self.is_group() { "Group" } else { "Record" };
        format!("{}: {} of {}", reasons::title(&self.reason), what.to_lowercase(), self.pipeline)
    }

    /// Names and values of where it comes from.
    pub fn origin(&self, zone: &Zone) -> Vec<(&'static str, String)> {
        let mut origin = vec![("Pipeline", self.pipeline.clone()), ("Source", self.source.clone())];
        let mut add = |name, value: Option<String>| origin.extend(value.map(|value| (name, value)));
        if !self.is_group() {
            add("Topic", Some(self.topic.clone()));
        }
        add("Partition", self.partition.map(|partition| partition.to_string()));
        add("Offset", self.offset.map(|offset| grouped(&offset.to_string())));
        let instant =
            |instant: i64| format!("{} {} {}", zone.date(instant), zone.short_clock(instant), zone.label);
        add("Record time", self.record_time.map(instant));
        add("Schema id", self.schema_id.filter(|_| !self.is_group()).map(|id| id.to_string()));
        add("Key", self.key.as_ref().map(|key| bytes::as_text(key).unwrap_or_else(|| bytes::hex(key))));
        let header = |(name, value): &(String, String)| format!("{name}: {value}");
        let headers: Vec<String> = self.headers.iter().map(header).collect();
        add("Headers", Some(headers.join(", ")).filter(|headers| !headers.is_empty()));
        add("Size", Some(format!("{} bytes", grouped(&self.payload.len().to_string()))));
        add("Epoch", Some(grouped(&self.epoch.to_string())));
        add("Operator", self.operator.clone());
        let replays = Some(self.replays).filter(|n| *n != 0);
        add(
            "Run again",
            replays
                .map(|n| format!("{}, in vain", if n == 1 { "once".into() } else { format!("{n} times") })),
        );
        origin
    }
}

/// The headers of a record, as JSON has them: values in base64.
fn headers(members: &serde_json::Map<String, Value>) -> Vec<(String, String)> {
    let value = |value: &Value| {
        let bytes = value.as_str().and_then(bytes::from_base64).unwrap_or_default();
        bytes::as_text(&bytes).unwrap_or_else(|| bytes::hex(&bytes))
    };
    members.iter().map(|(name, text)| (name.clone(), value(text))).collect()
}

/// The command that prints the record's value, for a POSIX shell. A `${NAME}` in the address is the shell's, too.
/// `None`: it is no record.
pub fn kcat(letter: &Letter, source: &Source) -> Option<String> {
    let (partition, offset) = (letter.partition?, letter.offset?);
    Some(format!(
        "kcat -C -b {} -t {} -p {partition} -o {offset} -c 1 -e -q -D '' | xxd",
        shell_word(&source.bootstrap_servers, true),
        shell_word(&letter.topic, false)
    ))
}

/// A word for a shell; with `has_variables`, `${NAME}` keeps its meaning.
fn shell_word(text: &str, has_variables: bool) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:,/".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    if has_variables && text.contains("${") {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('`', "\\`");
        return format!("\"{}\"", escaped.replace("$(", "\\$("));
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What the payload comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Fields, and a sentence where not all is well; empty otherwise.
    Fields { decoded: Decoded, sentence: String },
    /// It is text; why it is not shown as fields.
    Text { text: String, sentence: String },
    /// Only its bytes can be shown; why.
    Bytes { sentence: String },
}

/// The payload as far as it can be understood. `schema`: of its id, or why there is none; `None` while it is looked up,
/// or where the record names none.
pub fn content(letter: &Letter, schema: Option<Result<&WriterSchema, &str>>) -> Content {
    let otherwise = |sentence: String| match bytes::as_text(&letter.payload) {
        Some(text) => Content::Text { text, sentence },
        None => Content::Bytes { sentence },
    };
    if letter.payload.is_empty() {
        return Content::Bytes { sentence: "There are no bytes.".to_owned() };
    }
    if letter.is_group() {
        return otherwise("The key of the group whose row could not be made.".to_owned());
    }
    match schema {
        _ if avro::schema_id(&letter.payload).is_none() => {
            otherwise("It does not begin with a schema's id, so it can't be decoded.".to_owned())
        }
        None => Content::Bytes { sentence: "Asking the registry for its schema.".to_owned() },
        Some(Err(reason)) => otherwise(format!("It can't be decoded: {reason}.")),
        Some(Ok(schema)) => match Schema::parse(&schema.schema, &schema.references) {
            Ok(parsed) => {
                let decoded = avro::decode(&letter.payload, &parsed);
                let sentence = decoded.end.sentence(letter.payload.len());
                Content::Fields { decoded, sentence }
            }
            Err(reason) => otherwise(format!("Schema {} can't be read: {reason}.", schema.schema_id)),
        },
    }
}

/// Lines of a schema are not further in than this: whoever nests deeper reads it elsewhere.
const INDENT_MAX: usize = 32;

/// A writer schema for reading: a line for each member, in the order in which it was written.
pub fn schema_text(schema: &str) -> String {
    let mut text = String::with_capacity(schema.len() * 2);
    let (mut depth, mut in_text, mut is_escaped, mut is_open) = (0_usize, false, false, false);
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth.min(INDENT_MAX)));
    };
    for letter in schema.trim().chars() {
        if in_text {
            in_text = is_escaped || letter != '"';
            is_escaped = !is_escaped && letter == '\\';
            text.push(letter);
            continue;
        }
        if letter.is_whitespace() {
            continue;
        }
        if matches!(letter, '}' | ']') {
            depth = depth.saturating_sub(1);
            if !is_open {
                line(&mut text, depth);
            }
        } else if is_open {
            line(&mut text, depth);
        }
        is_open = matches!(letter, '{' | '[');
        in_text = letter == '"';
        text.push(letter);
        match letter {
            '{' | '[' => depth += 1,
            ',' => line(&mut text, depth),
            ':' => text.push(' '),
            _ => {}
        }
    }
    text
}

/// The bytes that stand out while nothing is chosen: those that are to blame.
pub fn blamed(content: &Content, n_bytes: usize) -> std::ops::Range<usize> {
    match content {
        Content::Fields {
            decoded: Decoded { end: end @ (End::Broken { .. } | End::Trailing { .. }), .. },
            ..
        } => end.bytes(n_bytes).unwrap_or(0..0),
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn letter(payload: &str) -> Letter {
        let answer = json!({"columns": [], "row_count": 1, "truncated": false, "epochs": {}, "elapsed_ms": 1.0, "rows": [
            ["revenue", "orders", "shop.orders", 3, 1_024, "2026-11-24T12:01:02.500Z", null, "bad_payload", "cut", "aw==", payload, 812, {"trace": "YWJj", "bits": "AP8="}, "orders", 2],
        ]});
        Letter::read(&serde_json::from_value(answer).expect("an answer")).expect("a row")
    }

    fn source(servers: &str) -> Source {
        Source { name: "orders".into(), topic: "shop.orders".into(), bootstrap_servers: servers.into() }
    }

    #[test]
    fn origin_is_whole() {
        let letter = letter("AAAAAAcE");
        assert_eq!((letter.schema_id, letter.key.as_deref()), (Some(7), Some(&b"k"[..])));
        let origin: Vec<String> =
            letter.origin(&Zone::default()).iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(
            origin,
            [
                "Pipeline revenue",
                "Source orders",
                "Topic shop.orders",
                "Partition 3",
                "Offset 1,024",
                "Record time 24 Nov 2026 12:01:02.500 UTC",
                "Schema id 7",
                "Key k",
                "Headers bits: 00 ff, trace: abc",
                "Size 6 bytes",
                "Epoch 812",
                "Operator orders",
                "Run again 2 times, in vain",
            ]
        );
        assert_eq!(letter.schema_path().as_deref(), Some("/api/v1/sources/orders/schemas/7"));
    }

    #[test]
    fn schemas_are_spread_over_lines() {
        let schema = r#"{"type":"record", "name":"a\":,{}","fields":[{"name":"x","type":["null","long"]}],"aliases":[]}"#;
        let expected = r#"{
  "type": "record",
  "name": "a\":,{}",
  "fields": [
    {
      "name": "x",
      "type": [
        "null",
        "long"
      ]
    }
  ],
  "aliases": []
}"#;
        assert_eq!(schema_text(schema), expected);
        let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(read(&schema_text(expected)), read(schema), "it is the same schema");
        assert_eq!((&*schema_text("]}"), &*schema_text("\"long\"")), ("\n]\n}", "\"long\""));
    }

    #[test]
    fn commands_are_safe_in_a_shell() {
        let letter = letter("AAAAAAcE");
        let command = |servers: &str| kcat(&letter, &source(servers)).expect("it is a record");
        assert_eq!(
            command("localhost:9092,b:9093"),
            "kcat -C -b localhost:9092,b:9093 -t shop.orders -p 3 -o 1024 -c 1 -e -q -D '' | xxd"
        );
        assert!(command("${KAFKA}:9092").contains("-b \"${KAFKA}:9092\" -t"));
        assert!(command("a; rm -rf ~").contains("-b 'a; rm -rf ~' -t"));
        assert!(command("${K}$(x)`y`\"").contains("-b \"${K}\\$(x)\\`y\\`\\\"\" -t"));
        assert_eq!(kcat(&Letter::default(), &source("x")), None);
    }

    #[test]
    fn payload_is_understood_as_far_as_it_goes() {
        let schema = WriterSchema { schema_id: 7, schema: "\"long\"".into(), references: Vec::new() };
        let long = letter("AAAAAAcE");
        match content(&long, Some(Ok(&schema))) {
            Content::Fields { decoded, sentence } => {
                assert_eq!((&*decoded.fields[0].text, &*sentence), ("2", ""));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(content(&long, None), Content::Bytes { .. }));
        let unknown = content(&long, Some(Err("the registry has no schema of id 7")));
        assert!(matches!(unknown, Content::Bytes { sentence } if sentence.contains("no schema of id 7")));
        let json = letter("eyJ2YWx1ZSI6IDV9");
        assert!(matches!(content(&json, None), Content::Text { text, .. } if text == "{\n  \"value\": 5\n}"));
        let trailing = letter("AAAAAAcEAQE=");
        let content = content(&trailing, Some(Ok(&schema)));
        assert_eq!(blamed(&content, 8), 6..8);
    }

    #[test]
    fn places_are_conditions() {
        let record = Place::Record { pipeline: "a'b".into(), topic: "t".into(), partition: 1, offset: 2 };
        assert!(
            query(&record).contains("pipeline = 'a''b' AND topic = 't' AND partition = 1 AND \"offset\" = 2")
        );
        let group = Place::Group { pipeline: "a".into(), epoch: 3, key: "00ff".into() };
        assert!(query(&group).contains("epoch = 3 AND partition IS NULL AND payload = X'00ff'"));
    }
}
