//! The page `/dead-letters` in a real Chromium: which there are, and one of them decoded beside its bytes.

use apache_avro::types::Value as Avro;
use serde_json::{Value, json};

use crate::looker::Looker;
use crate::producer::{Producer, To, Topics, Writer};
use crate::services::services;
use crate::till::now_ms;
use crate::weir::Project;

const TOPIC: &str = "letters";
const SCHEMA: &str = r#"{"type": "record", "name": "reading", "fields": [
    {"name": "device", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "value", "type": "double"}]}"#;

fn id(name: &str) -> String {
    format!("[data-testid=\"{name}\"]")
}

#[test]
fn a_record_is_decoded_as_far_as_it_goes() {
    let services = services();
    let (bootstrap, registry) = (&services.kafka.bootstrap, &services.registry.url);
    Topics::new(bootstrap).create(TOPIC, 1);
    let writer = Writer::register(registry, &format!("{TOPIC}-value"), SCHEMA);
    let now_ms = now_ms();
    let good = writer.encode(&[
        ("device", Avro::String("pump 7".to_owned())),
        ("at", Avro::TimestampMillis(now_ms)),
        ("value", Avro::Double(1.5)),
    ]);
    let cut = &good[..good.len() - 3];
    let text = br#"{"device": "pump 8"}"#;
    let producer = Producer::new(bootstrap);
    for value in [good.as_slice(), cut, text] {
        producer.send(To { topic: TOPIC, partition: 0, timestamp_ms: now_ms }, Some(b"k"), Some(value));
    }
    producer.flush();
    let sql =
        "SELECT window_start, count(*) AS n FROM TUMBLE(TABLE letters, DESCRIPTOR(at), INTERVAL '10' SECOND)
GROUP BY window_start";
    let project = Project::new(&services).source(TOPIC, "event_time: at\n").pipeline("counts", sql, "");
    let weir = project.run_with(&["--edit"]);
    weir.await_rows("SELECT count(*) FROM weir.dead_letters", &[vec![json!(2)]]);

    let mut looker = Looker::start("walk.mjs", &[weir.url()]);
    let mut ask = |deed: &str, of: &str| looker.ask(deed, of);
    ask("visit", "/dead-letters");
    ask("text", &id("letter-line"));
    assert_eq!(ask("count", &id("letter-line")), 2);
    ask("click", &id("letters-reason-bad_payload"));
    weir.eventually("the reason narrows the list", || (ask("count", &id("letter-line")) == 1).then_some(()));
    assert_eq!(ask("path", ""), "/dead-letters?reason=bad_payload");
    ask("click", &id("letter-line"));
    let of = |value: Value| value.as_str().unwrap_or_default().to_owned();
    weir.eventually("the fields are there", || {
        of(ask("text", &id("letter-fields"))).contains("pump 7").then_some(())
    });
    assert_eq!(
        ask("path", ""),
        "/dead-letters?reason=bad_payload&record=counts/letters/0/1",
        "a link to the record"
    );

    let origin = of(ask("text", &id("letter-origin")));
    for part in ["letters", "counts", "Offset\n1", "Schema id", "Key\nk"] {
        assert!(origin.contains(part), "no \"{part}\" in {origin}");
    }
    let end = of(ask("text", &id("letter-end")));
    let n_bytes = cut.len();
    let expected = format!(
        "Decoding stops at value, byte {} of {n_bytes}: 8 bytes are needed and 5 are left.",
        n_bytes - 5
    );
    assert_eq!(end, expected);
    let bytes = of(ask("text", &id("letter-bytes")));
    let hex: Vec<String> = cut.iter().map(|byte| format!("{byte:02x}")).collect();
    // Beside the fields there is room for eight bytes in a line.
    for line in hex.chunks(8) {
        assert!(bytes.contains(&line.join(" ")), "{bytes}");
    }
    let end_of_line = n_bytes.min(((n_bytes - 5) / 8 + 1) * 8);
    let marked = &hex[n_bytes - 5..end_of_line];
    assert_eq!(ask("texts", &format!("{} mark", id("letter-bytes")))[0], marked.join(" "));

    let command = format!("kcat -C -b {bootstrap} -t letters -p 0 -o 1 -c 1 -e -q -D '' | xxd");
    assert_eq!(of(ask("text", &id("letter-kcat"))), command);
    ask("click", &id("letter-copy-kcat"));
    assert_eq!(ask("clipboard", ""), command.as_str());
    ask("click", &id("letter-copy-hex"));
    assert_eq!(ask("clipboard", ""), hex.join(" "));

    // The way back leads to the list, and a reload to the record.
    ask("back", "");
    assert_eq!(ask("path", ""), "/dead-letters?reason=bad_payload");
    ask("visit", "/dead-letters?record=counts/letters/0/2");
    weir.eventually("a record that is no Avro is text", || {
        of(ask("text", &id("letter-fields"))).contains("\"device\": \"pump 8\"").then_some(())
    });
    assert!(of(ask("text", &id("letter-reason"))).contains("Confluent's wire format"));

    // Nothing was mended: both fail again, which the page says.
    let offer = of(ask("text", &id("letters-offer")));
    assert!(offer.starts_with("2 dead letters of counts, late rows apart."), "{offer}");
    ask("click", &id("letters-replay"));
    weir.eventually("the outcome is said", || {
        let outcome = of(ask("text", &id("letters-outcome")));
        (outcome == "counts: 0 were counted, 2 are dead letters still.").then_some(())
    });
    weir.await_rows("SELECT sum(replays) FROM weir.dead_letters", &[vec![json!(2)]]);
}
