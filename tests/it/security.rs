//! Brokers and registries that want TLS or a password: with the right ones all flows, with wrong ones
//! it is told what to change, and no password is told to anybody.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod, SslStream};
use serde_json::{Value, json};

use crate::producer::{Producer, To, Topics, Writer};
use crate::services::{PASSWORD, Services, USER, services};
use crate::sink_topic::SinkTopic;
use crate::weir::{Project, Weir, connection};

use apache_avro::types::Value as Avro;

const SCHEMA: &str = r#"{"type": "record", "name": "tick", "fields": [{"name": "n", "type": "long"}]}"#;
/// What somebody typed who meant [`PASSWORD`].
const TYPO: &str = "pa55-0f-w31n";

/// A topic with three records.
fn ticks(services: &Services, topic: &str) {
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create(topic, 1);
    let writer = Writer::register(&services.registry.url, &format!("{topic}-value"), SCHEMA);
    let producer = Producer::new(bootstrap);
    for n in 0..3 {
        let value = writer.encode(&[("n", Avro::Long(n))]);
        producer.send(To { topic, partition: 0, timestamp_ms: 1 + n }, None, Some(&value));
    }
    producer.flush();
}

/// Properties of a connection: SASL with a mechanism and a password.
fn sasl(protocol: &str, mechanism: &str, password: &str) -> String {
    format!(
        "  security.protocol: {protocol}\n  sasl.mechanism: {mechanism}\n  sasl.username: {USER}\n  \
         sasl.password: \"{password}\"\n"
    )
}

/// A connection to a port of the broker with properties.
fn secured(services: &Services, name: &str, port: u16, properties: &str) -> String {
    let more = if properties.is_empty() { String::new() } else { format!("properties:\n{properties}") };
    connection(name, &format!("127.0.0.1:{port}"), &services.registry.url, &more)
}

/// All that weir says to whoever asks, and to its log.
fn all_said(weir: &Weir) -> String {
    let answer = |query: &str| weir.ask(query).unwrap_or_default().to_string();
    let get = |path: &str| {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let mut answer =
            ureq::Agent::from(config).get(format!("{}{path}", weir.url())).call().expect("weir answers");
        answer.body_mut().read_to_string().expect("text")
    };
    let asked = ["pipelines", "sinks", "partitions", "operators"]
        .map(|table| answer(&format!("SELECT * FROM weir.{table}")));
    let got = ["/readyz", "/metrics", "/api/v1/pipelines"].map(get);
    [asked.concat(), got.concat(), weir.log()].concat()
}

#[test]
fn with_tls_and_passwords_records_flow_from_kafka_to_kafka() {
    let services = services();
    ticks(&services, "guarded");
    let ports = &services.kafka.secured;
    let authority = format!("  ssl.ca.location: {}\n", services.certificates.authority.display());
    let tls = |properties: String| format!("{properties}{authority}");
    let connections = [
        ("plain", ports.sasl, sasl("sasl_plaintext", "PLAIN", "${KAFKA_PASSWORD}")),
        ("scram", ports.sasl, sasl("sasl_plaintext", "SCRAM-SHA-256", "${KAFKA_PASSWORD}")),
        ("tls", ports.tls, tls("  security.protocol: ssl\n".to_owned())),
        ("both", ports.sasl_tls, tls(sasl("sasl_ssl", "SCRAM-SHA-256", "${KAFKA_PASSWORD}"))),
    ];
    let texts = connections.each_ref().map(|(name, port, text)| secured(&services, name, *port, text));
    let mut project = Project::with_connections(&texts).variable("KAFKA_PASSWORD", PASSWORD);
    for (name, ..) in &connections {
        let source = format!("from_{name}");
        let sink =
            format!("from: {name}\ntype: kafka\nconnection: {name}\ntopic: guarded_{name}\nemit: final\n");
        project = project
            .source_at(name, &source, "guarded", "")
            .pipeline(name, &format!("SELECT n FROM {source}"), "")
            .sink(&format!("to_{name}"), &sink);
    }
    let weir = project.variable("WEIR_LOG", "debug").run();
    for (name, ..) in &connections {
        weir.await_rows(&format!("SELECT n FROM {name} ORDER BY n"), &[0, 1, 2].map(|n| vec![json!(n)]));
        let topic = SinkTopic::new(&services, &format!("guarded_{name}"));
        topic.await_records();
        let rows: Vec<Value> =
            topic.read().iter().map(|record| record.value.as_ref().expect("a row")["n"].clone()).collect();
        assert_eq!(rows, [json!(0), json!(1), json!(2)], "{name}");
    }
    weir.await_ready();
    assert!(!all_said(&weir).contains(PASSWORD));
}

#[test]
fn wrong_passwords_and_certificates_are_told_with_what_to_do_and_never_with_the_password() {
    let services = services();
    ticks(&services, "refused");
    let ports = &services.kafka.secured;
    let stranger = format!("  ssl.ca.location: {}\n", services.certificates.stranger.display());
    let tls = "  security.protocol: ssl\n";
    let plain_port = services.kafka.bootstrap.rsplit_once(':').expect("a port").1.parse().expect("a port");
    // Name, port, properties, and what is told.
    let wrong = [
        ("bad_plain", ports.sasl, sasl("sasl_plaintext", "PLAIN", TYPO), "\"sasl.password\""),
        ("bad_scram", ports.sasl, sasl("sasl_plaintext", "SCRAM-SHA-256", TYPO), "\"sasl.password\""),
        ("bad_mechanism", ports.sasl, sasl("sasl_plaintext", "SCRAM-SHA-512", PASSWORD), "SCRAM-SHA-256"),
        ("bad_authority", ports.tls, format!("{tls}{stranger}"), "ssl.ca.location"),
        ("no_tls", ports.tls, String::new(), "security.protocol"),
        ("no_sasl", ports.sasl, String::new(), "security.protocol"),
        ("no_need", plain_port, tls.to_owned(), "security.protocol"),
    ];
    let mut connections =
        wrong.each_ref().map(|(name, port, text, _)| secured(&services, name, *port, text)).to_vec();
    connections.push(connection("test", &services.kafka.bootstrap, &services.registry.url, ""));
    let mut project = Project::with_connections(&connections)
        .source_at("test", "from_test", "refused", "")
        .pipeline("fine", "SELECT n FROM from_test", "");
    for (name, ..) in &wrong {
        let source = format!("from_{name}");
        let sink = format!("from: fine\ntype: kafka\nconnection: {name}\ntopic: to_{name}\nemit: final\n");
        project = project
            .source_at(name, &source, "refused", "")
            .pipeline(name, &format!("SELECT n FROM {source}"), "")
            .sink(&format!("to_{name}"), &sink);
    }
    let weir = project.variable("WEIR_LOG", "debug").run();
    weir.await_rows("SELECT count(*) FROM fine", &[vec![json!(3)]]);
    for (name, _, _, told) in &wrong {
        let error = |query: &str| {
            let rows = weir.try_sql(query).ok()?;
            Some(rows.first()?[0].as_str()?.to_owned())
        };
        let said = [
            ("pipeline", format!("SELECT error FROM weir.pipelines WHERE name = '{name}'")),
            ("sink", format!("SELECT error FROM weir.sinks WHERE sink = 'to_{name}'")),
        ]
        .map(|(what, query)| {
            weir.eventually(&format!("{name}: {told} is told of the {what}"), || {
                error(&query).filter(|text| text.contains(told)).map(|text| format!("{what}: {text}"))
            })
        });
        let ready = weir.eventually(&format!("{name}: /readyz says it"), || {
            let ready = weir.not_ready()?;
            let start = ready.find(&format!("\\\"{name}\\\""))?;
            let of_it = ready[start..].split("; pipeline").next()?.to_owned();
            of_it.replace("\\\"", "\"").contains(told).then_some(of_it)
        });
        eprintln!("{name}\n  {}\n  readyz: {ready}", said.join("\n  "));
    }
    let log = weir.log();
    for (name, _, _, told) in &wrong {
        let lines = log
            .lines()
            .filter(|line| line.contains(&format!("\"{name}\"")) || line.contains(&format!("from_{name}")));
        let told = told.replace('"', "\\\"");
        assert!(lines.clone().any(|line| line.contains(&told)), "{name}: {:?}", lines.collect::<Vec<_>>());
    }
    let said = all_said(&weir);
    assert!(!said.contains(TYPO) && !said.contains(PASSWORD));
}

/// A registry behind TLS that wants [`USER`] and [`PASSWORD`]. Listens until the process ends.
fn guarded_registry(services: &Services) -> String {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("a TLS server");
    let server = &services.certificates.server;
    acceptor.set_private_key_file(server, SslFiletype::PEM).expect("a key");
    acceptor.set_certificate_chain_file(server).expect("a certificate");
    let acceptor = Arc::new(acceptor.build());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    let url = services.registry.url.strip_prefix("http://").expect("an http address");
    let (authority, path) = url.split_once('/').expect("a path");
    let (target, path) = (authority.to_owned(), path.to_owned());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (acceptor, target) = (Arc::clone(&acceptor), target.clone());
            thread::spawn(move || {
                // One that does not trust us goes away.
                if let Ok(client) = acceptor.accept(client) {
                    answer(client, &target);
                }
            });
        }
    });
    format!("https://127.0.0.1:{port}/{path}")
}

/// Answers one request, as the registry at `target` does if it has the password.
fn answer(mut client: SslStream<TcpStream>, target: &str) -> Option<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    let head_end = loop {
        let n = client.read(&mut buffer).ok().filter(|n| 0 < *n)?;
        request.extend_from_slice(&buffer[..n]);
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&request[..head_end]).to_ascii_lowercase();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        Some(line[name.len() + 1..].trim().to_owned())
    };
    let length: usize = header("content-length").map_or(0, |text| text.parse().expect("a length"));
    while request.len() < head_end + length {
        let n = client.read(&mut buffer).ok().filter(|n| 0 < *n)?;
        request.extend_from_slice(&buffer[..n]);
    }
    let wanted =
        format!("basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")).to_ascii_lowercase());
    if header("authorization") == Some(wanted) {
        let mut server = TcpStream::connect(target).ok()?;
        let first = head.find("\r\n").expect("a line") + 2;
        server.write_all(&request[..first]).ok()?;
        server.write_all(b"connection: close\r\n").ok()?;
        server.write_all(&request[first..]).ok()?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).ok()?;
        client.write_all(&answer).ok()?;
    } else {
        let refusal = b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        client.write_all(refusal).ok()?;
    }
    client.shutdown().ok().map(drop)
}

#[test]
fn a_registry_behind_tls_and_a_password_is_asked_with_both() {
    let services = services();
    ticks(&services, "guarded_registry");
    let url = guarded_registry(&services);
    let bootstrap = &services.kafka.bootstrap;
    let connected = |password: &str| {
        format!(
            "  test:\n    type: kafka\n    bootstrap_servers: \"{bootstrap}\"\n    schema_registry: {{ url: \"{url}\", \
             username: {USER}, password: \"{password}\" }}\n"
        )
    };
    let sink = "from: ticks\ntype: kafka\nconnection: test\ntopic: guarded_registry_out\nemit: final\n";
    let project = |password: &str, authority: &std::path::Path| {
        Project::with_connections(&[connected(password)])
            .source("guarded_registry", "")
            .pipeline("ticks", "SELECT n FROM guarded_registry", "")
            .sink("out", sink)
            .variable("SSL_CERT_FILE", &authority.display().to_string())
            .variable("WEIR_LOG", "debug")
    };
    let certificates = &services.certificates;
    for (password, authority, told) in [
        (TYPO, &certificates.authority, "does not accept our credentials"),
        (PASSWORD, &certificates.stranger, "SSL_CERT_FILE"),
    ] {
        let weir = project(password, authority).run();
        let reason =
            weir.eventually("it says why it waits", || weir.not_ready().filter(|why| why.contains(told)));
        eprintln!("{reason}");
        let rows = weir.sql("SELECT error FROM weir.pipelines");
        assert!(rows[0][0].as_str().expect("an error").contains(told), "{rows:?}");
        let said = all_said(&weir);
        assert!(weir.log().contains(told) && !said.contains(TYPO) && !said.contains(PASSWORD));
    }
    let weir = project(PASSWORD, &certificates.authority).run();
    weir.await_rows("SELECT n FROM ticks ORDER BY n", &[0, 1, 2].map(|n| vec![json!(n)]));
    let topic = SinkTopic::new(&services, "guarded_registry_out");
    topic.await_records();
    assert_eq!(topic.read().len(), 3);
    assert!(!all_said(&weir).contains(PASSWORD));
}
