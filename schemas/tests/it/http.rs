//! The HTTP client against a server of a few lines in front of the embedded registry.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use weir_schemas::registry::http::{Credentials, MISSING_FOR};
use weir_schemas::registry::{EmbeddedRegistry, HttpRegistry, PromptRegistry, SubjectVersion};
use weir_schemas::{Decoder, ReaderSchema, RegistryError, RejectReason, SchemaId, SchemaRegistry, wire};

const AMOUNT: &str =
    r#"{"type":"record","name":"Amount","namespace":"shop","fields":[{"name":"cents","type":"long"}]}"#;
const ORDER: &str =
    r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"amount","type":"Amount"}]}"#;

/// `admin:s3cret`
const AUTHORIZATION: &str = "authorization: basic ywrtaw46cznjcmv0";

#[derive(Default)]
struct Server {
    registry: EmbeddedRegistry,
    n_requests: AtomicUsize,
    /// Answered instead of the registry's answer, unless 0.
    status: AtomicU16,
}

impl Server {
    /// Serves under `/apis/ccompat/v7` until the process ends; gives the URL.
    fn start(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let url = format!("http://{}/apis/ccompat/v7/", listener.local_addr().expect("it is bound"));
        let server = Arc::clone(self);
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| server.serve(stream)));
        url
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(0 < reader.read_line(&mut head).expect("the client sends a head"));
        }
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
        reader.read_exact(&mut body).expect("the client sends the body");
        let mut words = head.split(' ');
        let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
        self.n_requests.fetch_add(1, Ordering::SeqCst);
        let (status, answer) = match self.status.load(Ordering::SeqCst) {
            _ if !head.to_lowercase().contains(AUTHORIZATION) => (401, format!("you sent {head}")),
            0 => match path.strip_prefix("/apis/ccompat/v7") {
                Some(path) => {
                    let (status, json) = self.registry.handle(method, path, &body);
                    (status, json.to_string())
                }
                None => (404, "<html>not a registry</html>".into()),
            },
            status => (status, "<html>busy</html>".into()),
        };
        let head =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
        reader.get_mut().write_all([head, answer].concat().as_bytes()).expect("the client reads");
    }

    fn n_requests(&self) -> usize {
        self.n_requests.load(Ordering::SeqCst)
    }
}

fn credentials(password: &str) -> Credentials {
    Credentials { username: "admin".into(), password: password.into() }
}

fn start() -> (Arc<Server>, HttpRegistry) {
    let server = Arc::new(Server::default());
    let client = HttpRegistry::new(&server.start(), Some(&credentials("s3cret"))).expect("the url is fine");
    (server, client)
}

#[test]
fn schemas_are_found_with_references_and_asked_for_once() {
    let (server, client) = start();
    assert_eq!(client.register("amount/shared", AMOUNT), Ok(SchemaId(1)));
    let references = json!([{"name": "shop.Amount", "subject": "amount/shared", "version": 1}]);
    let body = json!({"schema": ORDER, "references": references}).to_string();
    assert_eq!(server.registry.handle("POST", "/subjects/orders-value/versions", body.as_bytes()).0, 200);

    let before = server.n_requests();
    for _ in 0..3 {
        let schema = client.by_id(SchemaId(2)).expect("it is registered");
        assert_eq!((schema.text.as_str(), schema.references.as_slice()), (ORDER, &[AMOUNT.to_owned()][..]));
    }
    assert_eq!(server.n_requests(), before + 2, "the schema and its reference");
    ReaderSchema::new((*client.by_id(SchemaId(2)).expect("cached")).clone()).expect("it is complete");

    let latest = client.latest("orders-value").expect("it is registered");
    assert_eq!((latest.id, latest.version), (SchemaId(2), 1));
    assert_eq!(client.version("orders-value", 1), Ok(latest));
    let places = client.subjects_of(SchemaId(2)).expect("it is registered");
    assert_eq!(places, [SubjectVersion { subject: "orders-value".into(), version: 1 }]);
}

#[test]
fn a_json_schema_and_its_references_are_found_by_their_names() {
    let (server, client) = start();
    let register = |subject: &str, schema: &str, references: serde_json::Value| {
        let body = json!({ "schema": schema, "schemaType": "JSON", "references": references }).to_string();
        let path = format!("/subjects/{subject}/versions");
        assert_eq!(server.registry.handle("POST", &path, body.as_bytes()).0, 200, "{schema}");
    };
    register("id", r#"{"type": "integer"}"#, json!([]));
    let (who, order) = (
        r#"{"properties": {"id": {"$ref": "id.json"}}}"#,
        r#"{"properties": {"who": {"$ref": "who.json"}}}"#,
    );
    register("who", who, json!([{ "name": "id.json", "subject": "id", "version": 1 }]));
    register("orders-value", order, json!([{ "name": "who.json", "subject": "who", "version": 1 }]));
    let found = client.latest("orders-value").expect("it is registered");
    assert_eq!(found.schema.names, ["id.json", "who.json"]);
    let reader = ReaderSchema::new((*found.schema).clone()).expect("a table");
    let shown = reader.arrow_schema().field(0).data_type().to_string();
    assert!(shown.contains("Int64"), "{shown}");
}

#[test]
fn missing_is_what_the_registry_itself_says() {
    let (server, client) = start();
    assert!(matches!(client.by_id(SchemaId(7)), Err(RegistryError::NotFound { .. })));
    let asked = server.n_requests();
    assert!(matches!(client.by_id(SchemaId(7)), Err(RegistryError::NotFound { .. })));
    assert_eq!(server.n_requests(), asked, "remembered for a while");
    assert!(matches!(client.latest("none"), Err(RegistryError::NotFound { .. })));
    let asked = server.n_requests();
    assert!(matches!(client.by_id(SchemaId(u32::MAX)), Err(RegistryError::NotFound { .. })));
    assert_eq!(server.n_requests(), asked, "no registry has such an id");

    let wrong_path = client.url().replace("ccompat", "elsewhere");
    let client = HttpRegistry::new(&wrong_path, Some(&credentials("s3cret"))).expect("it looks fine");
    let error = client.by_id(SchemaId(7)).expect_err("that is no registry");
    assert!(matches!(&error, RegistryError::Unavailable { detail } if detail.contains("404")), "{error}");
}

#[test]
fn a_flood_of_unknown_ids_is_no_flood_of_questions() {
    let (server, client) = start();
    let registry = Arc::new(PromptRegistry::new(Arc::new(client)));
    let reader = Arc::new(ReaderSchema::parse(AMOUNT).expect("a schema"));
    let mut decoder = Decoder::new(reader, vec![0], registry).expect("a column of it");
    let mut reasons = |n_records: u32, n_ids: u32| {
        let values: Vec<_> =
            (0..n_records).map(|n| [&wire::header(SchemaId(1 + n % n_ids))[..], &[2]].concat()).collect();
        let decoded = decoder.decode(values.iter().map(|value| Some(value.as_slice())), 0).expect("small");
        assert_eq!(decoded.records.len() + decoded.rejected.len(), values.len());
        decoded.rejected.into_iter().map(|rejected| rejected.reason).collect::<Vec<_>>()
    };
    let asked = Instant::now();
    assert_eq!(reasons(3_000, 3), [RejectReason::UnknownSchema; 3_000]);
    // However slow this machine is.
    let rounds = 1 + asked.elapsed().as_millis() / MISSING_FOR.as_millis();
    assert!(server.n_requests() <= 3 * rounds as usize, "{} requests", server.n_requests());
    // What is registered a moment later is found a moment later.
    server.registry.register("s", AMOUNT).expect("it is new");
    thread::sleep(MISSING_FOR);
    assert_eq!(reasons(3, 1), []);
    assert_eq!(reasons(3, 3), [RejectReason::UnknownSchema; 2]);
}

#[test]
fn a_flood_of_other_unknown_ids_each_is_held_and_none_is_lost() {
    let (server, client) = start();
    let known = client.register("s", AMOUNT).expect("it is new");
    let registry = Arc::new(PromptRegistry::new(Arc::new(client)));
    let reader = Arc::new(ReaderSchema::parse(AMOUNT).expect("a schema"));
    let mut decoder = Decoder::new(reader, vec![0], registry).expect("a column of it");
    let ids = (0..1_100).map(|n| SchemaId(1_000 + n)).chain([known]);
    let values: Vec<_> = ids.map(|id| [&wire::header(id)[..], &[2]].concat()).collect();
    let (begun, n_before) = (Instant::now(), server.n_requests());
    let (mut next, mut n_rows, mut n_rejected, mut n_held) = (0, 0, 0, 0);
    while next < values.len() {
        let decoded = decoder.decode(values.iter().map(|value| Some(value.as_slice())), next).expect("small");
        (next, n_rows) = (decoded.next, n_rows + decoded.records.len());
        n_rejected += decoded.rejected.iter().filter(|it| it.reason == RejectReason::UnknownSchema).count();
        if let Some(why) = decoded.blocked {
            assert!(why.contains("a flood of ids"), "{why}");
            n_held += 1;
            thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!((n_rows, n_rejected), (1, 1_100));
    // A slow machine asks as slowly as it may.
    assert!(0 < n_held || Duration::from_secs(1) <= begun.elapsed());
    // A thousand at once, one in 10 ms after that, and what is to be known of the one that there is.
    let most = 1_000 + begun.elapsed().as_millis() / 10 + 3;
    assert!((server.n_requests() - n_before) as u128 <= most, "{} requests", server.n_requests());
}

#[test]
fn failures_are_answered_from_memory_until_their_time_is_over() {
    let (server, client) = start();
    for status in [500, 503, 429, 400] {
        server.status.store(status, Ordering::SeqCst);
        let asked = server.n_requests();
        let subject = format!("s{status}");
        for _ in 0..20 {
            let error = client.latest(&subject).expect_err("it is busy");
            assert!(
                matches!(&error, RegistryError::Unavailable { detail } if detail.contains(&status.to_string())),
                "{error}"
            );
        }
        // 20 calls take a moment, in which a back-off of 0.1 s may pass, but hardly ten.
        assert!(server.n_requests() < asked + 10);
    }
    server.status.store(0, Ordering::SeqCst);
    client.register("s500", AMOUNT).expect("another question has no back-off");
    while client.latest("s500").is_err() {
        thread::yield_now();
    }
}

#[test]
fn refusals_are_told_apart() {
    let (_server, client) = start();
    client.register("s", AMOUNT).expect("it is new");
    let error = client.register("s", ORDER).expect_err("it has an unknown type");
    assert!(matches!(&error, RegistryError::Invalid { detail } if detail.contains("shop.Amount")), "{error}");
    let error = client.register("s", &AMOUNT.replace("cents", "euros")).expect_err("it is not compatible");
    assert!(
        matches!(&error, RegistryError::Invalid { detail } if detail.contains("euros: the writer lacks")),
        "{error}"
    );
}

#[test]
fn no_secret_is_shown() {
    let (server, client) = start();
    let wrong = HttpRegistry::new(client.url(), Some(&credentials("hunter2"))).expect("the url is fine");
    let error = wrong.by_id(SchemaId(1)).expect_err("the password is wrong");
    assert!(matches!(&error, RegistryError::Unavailable { detail } if detail.contains("401")), "{error}");
    let in_url = HttpRegistry::new("http://admin:hunter2@localhost:8081", None).expect_err("not in the url");
    drop(server);
    for shown in [
        format!("{wrong:?} {:?}", credentials("hunter2")),
        format!("{error} {error:?}"),
        format!("{in_url} {in_url:?}"),
    ] {
        assert!(!shown.contains("hunter2") && !shown.to_lowercase().contains("ahvudgvymg"), "{shown}");
    }
}

#[test]
fn server_that_is_not_there_is_unavailable() {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("loopback works")
        .port();
    let client = HttpRegistry::new(&format!("http://127.0.0.1:{port}"), None).expect("the url is fine");
    assert!(matches!(client.by_id(SchemaId(1)), Err(RegistryError::Unavailable { .. })));
    for url in ["localhost:8081", "ftp://localhost", "http://", "http://localhost?x"] {
        assert!(HttpRegistry::new(url, None).is_err(), "{url}");
    }
}
