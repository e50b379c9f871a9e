//! The server over real sockets.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use weir_api::{CONTENT_TYPE_ROWS, Chart, Dashboard, Panel, Problem};
use weir_engine::pipeline::State as PipelineState;
use weir_schemas::SchemaRegistry as _;
use weir_schemas::registry::EmbeddedRegistry;

use super::*;
use crate::project::Project;
use crate::sql::Limits;
use crate::testing::{FakeCatalog, RevenueRow, revenue, view};

/// A source whose registry has the one schema 1.
fn origins() -> Origins {
    let registry = EmbeddedRegistry::new();
    registry.register("orders-value", r#""long""#).expect("a schema");
    let origin = Origin {
        topic: "shop.orders".to_owned(),
        bootstrap_servers: "${KAFKA}".to_owned(),
        registry: Arc::new(registry),
    };
    Origins::new([("orders".to_owned(), origin)].into())
}

/// A server that runs as long as it is kept.
struct Server {
    address: String,
    catalog: Arc<FakeCatalog>,
    hub: Arc<Hub>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

/// An answer, its body decoded from chunks.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
    /// Whether the body came to its end.
    is_whole: bool,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.head);
        let problem: Problem = serde_json::from_slice(&self.body).expect("a problem");
        assert_eq!(problem.status, self.status);
        assert!(problem.problem_type.starts_with("urn:weir:error:E0"));
        problem
    }
}

impl Server {
    async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    async fn start_with(limits: Limits) -> Self {
        Self::start_editing(limits, None).await
    }

    async fn start_editing(limits: Limits, edited: Option<Arc<Project>>) -> Self {
        let rows: Vec<RevenueRow> =
            (0..3).map(|i| (1_795_348_800_000 + i, "DE".to_owned(), i, false)).collect();
        let table = revenue(812, Some(1_795_348_800_000), true, &rows);
        let catalog = FakeCatalog::new(vec![view("revenue", Some(table))]);
        let metrics = Arc::new(Metrics::default());
        let panel = Panel {
            title: "Orders".to_owned(),
            pipeline: "revenue".to_owned(),
            chart: Chart::Stat,
            x: None,
            y: Some("orders".to_owned()),
            series: None,
            aggregate: None,
            last: None,
            unit: None,
            width: None,
            height: None,
        };
        let hub = Hub::new([("revenue".to_owned(), true)], metrics.clone());
        let app = AppState {
            catalog: catalog.clone(),
            hub: hub.clone(),
            queries: Queries::new(limits).expect("threads"),
            metrics,
            boards: Boards::new(
                vec![("shop".to_owned(), Dashboard { title: "Shop".to_owned(), panels: vec![panel] })],
                edited,
            ),
            origins: origins(),
            access: Access {
                hosts: vec!["weir.example.com".to_owned()],
                origins: vec!["https://charts.example.com".to_owned()],
            },
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            stopped.await.ok();
        };
        let task = tokio::spawn(serve(listener, Arc::new(app), shutdown));
        Self { address, catalog, hub, stop: Some(stop), task }
    }

    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.expect("listening");
        stream.write_all(request.as_bytes()).await.expect("taken");
        stream
    }

    async fn raw(&self, request: &str) -> Answer {
        let mut stream = self.send(request).await;
        let mut bytes = Vec::new();
        timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes))
            .await
            .expect("an answer in time")
            .ok();
        parse(&bytes)
    }

    async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request.push_str(&format!("host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        self.raw(&format!("{request}\r\n{body}")).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "").await
    }

    async fn sql(&self, query: &str, accept: &str) -> Answer {
        let body = serde_json::json!({ "query": query }).to_string();
        let headers = [("content-type", "application/json"), ("accept", accept)];
        self.request("POST", "/api/v1/sql", &headers, &body).await
    }

    async fn stop(mut self) {
        self.stop.take().expect("stopped once").send(()).expect("running");
        timeout(Duration::from_secs(10), self.task).await.expect("in time").expect("no panic");
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(bytes)));
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).expect("a status").parse().expect("digits");
    let mut answer = Answer { status, head, body: bytes[end + 4..].to_vec(), is_whole: true };
    if answer.header("transfer-encoding") == Some("chunked") {
        (answer.body, answer.is_whole) = unchunk(&answer.body);
    }
    answer
}

fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") {
        let Ok(len) = usize::from_str_radix(&String::from_utf8_lossy(&bytes[..end]), 16) else { break };
        if len == 0 {
            return (body, true);
        }
        let chunk = &bytes[end + 2..];
        if chunk.len() < len + 2 {
            body.extend_from_slice(&chunk[..len.min(chunk.len())]);
            break;
        }
        body.extend_from_slice(&chunk[..len]);
        bytes = &chunk[len + 2..];
    }
    (body, false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_answers_as_documented() {
    let server = Server::start().await;
    let list = server.get("/api/v1/pipelines").await;
    assert_eq!(list.status, 200);
    assert_eq!(list.header("cache-control"), Some("no-store"));
    let pipelines: weir_api::PipelinesResponse =
        serde_json::from_slice(&list.body).expect("the documented shape");
    assert_eq!((pipelines.pipelines[0].epoch, pipelines.project.as_deref()), (812, Some("shop")));
    let detail = server.get("/api/v1/pipelines/revenue").await;
    let detail: weir_api::PipelineDetail =
        serde_json::from_slice(&detail.body).expect("the documented shape");
    assert_eq!(detail.partitions[0].lag_records, Some(10));
    let nodes: Vec<(&str, Option<u32>)> =
        detail.graph.nodes.iter().map(|node| (node.id.as_str(), node.subtasks)).collect();
    assert_eq!(
        nodes,
        [("source", Some(2)), ("window", Some(1)), ("result", None), ("sink revenue_out", None)]
    );
    assert_eq!((detail.graph.edges.len(), detail.graph.edges[0].rows), (3, Some(80)));
    let to_sink = &detail.graph.edges[2];
    assert_eq!((to_sink.from.as_str(), to_sink.to.as_str()), ("window", "sink revenue_out"));
    assert_eq!((to_sink.rows, detail.sinks[0].outbox_rows), (Some(40), 7));
    assert_eq!(detail.timing.map(|timing| timing.idle_timeout_ms), Some(30_000));
    assert_eq!(detail.sinks[0].error.as_deref(), Some("no space left"));
    assert_eq!(
        server.get("/api/v1/dashboards").await.text(),
        r#"{"dashboards":[{"name":"shop","title":"Shop"}]}"#
    );
    assert_eq!(server.get("/api/v1/dashboards/shop").await.json()["panels"][0]["chart"], "stat");
    assert_eq!(
        server.get("/api/v1/sources/orders").await.text(),
        r#"{"name":"orders","topic":"shop.orders","bootstrap_servers":"${KAFKA}"}"#
    );
    assert_eq!(
        server.get("/api/v1/sources/orders/schemas/1").await.text(),
        r#"{"schema_id":1,"schema":"\"long\""}"#
    );
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 200);
    let metrics = server.get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let counted = r#"weir_http_requests_total{method="GET",path="/api/v1/pipelines/{name}",status="200"} 1"#;
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    let page = server.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|found| found.starts_with("text/html")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_answers_in_the_accepted_format() {
    let server = Server::start().await;
    let json = server.sql("SELECT max(orders) AS most FROM revenue", "*/*").await;
    assert_eq!((json.status, json.json()["rows"].to_string().as_str()), (200, "[[2]]"));
    assert_eq!(json.json()["epochs"]["revenue"], 812);
    let csv = server.sql("SELECT orders FROM revenue ORDER BY orders", "text/csv").await;
    assert_eq!((csv.text().as_str(), csv.is_whole), ("orders\n0\n1\n2\n", true));
    assert!(csv.header("content-type").is_some_and(|found| found.starts_with("text/csv")));
    let ndjson = server.sql("SELECT orders FROM revenue WHERE orders = 1", "application/x-ndjson").await;
    assert_eq!(ndjson.text(), "{\"orders\":1}\n");
    let rows = server.sql("SELECT orders FROM revenue ORDER BY orders", CONTENT_TYPE_ROWS).await.text();
    let lines: Vec<&str> = rows.lines().collect();
    assert!(lines[0].starts_with(r#"{"columns":[{"name":"orders","type":"BIGINT""#), "{rows}");
    assert!(lines[0].ends_with(r#""epochs":{"revenue":812}}"#), "{rows}");
    assert_eq!(lines[1..4], ["[0]", "[1]", "[2]"]);
    assert!(lines[4].starts_with(r#"{"row_count":3,"elapsed_ms":"#), "{rows}");
    let torn =
        server.sql("SELECT 1 / (value - 200000) FROM generate_series(1, 300000)", CONTENT_TYPE_ROWS).await;
    let last = torn.text().lines().last().unwrap_or_default().to_owned();
    assert!(torn.status == 422 || last.starts_with(r#"{"problem":{"#), "{last}");
    let arrow = server.sql("SELECT orders FROM revenue", "application/vnd.apache.arrow.stream").await;
    let batches =
        arrow::ipc::reader::StreamReader::try_new(arrow.body.as_slice(), None).expect("an Arrow stream");
    assert_eq!(batches.map(|batch| batch.expect("a batch").num_rows()).sum::<usize>(), 3);
    let many = server.sql("SELECT value FROM generate_series(1, 200000)", "text/csv").await;
    assert_eq!((many.text().lines().count(), many.is_whole), (200_001, true));
    let broken = server
        .sql("SELECT 1 / (value - 200000) FROM generate_series(1, 300000) ORDER BY 1 DESC", "text/csv")
        .await;
    assert_eq!(broken.problem().status, 422);
    let torn = server.sql("SELECT 1 / (value - 200000) FROM generate_series(1, 300000)", "text/csv").await;
    assert!(torn.status == 422 || !torn.is_whole, "a part must not look like the whole");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_is_a_problem() {
    let server = Server::start().await;
    let json = [("content-type", "application/json")];
    let query = r#"{"query":"SELECT 1"}"#;
    let large = format!(r#"{{"query":"{}"}}"#, "x".repeat(1 << 20));
    let long = format!("/api/v1/pipelines/{}", "x".repeat(9_000));
    let wide = "x".repeat(20_000);
    let post = |headers: &'static [(&'static str, &'static str)], body: &str| {
        let body = body.to_owned();
        let server = &server;
        async move { server.request("POST", "/api/v1/sql", headers, &body).await }
    };
    for (status, answer) in [
        (404, server.get("/api/v1/nothing").await),
        (404, server.get("/nothing.js").await),
        (404, server.get("/d/a/b").await),
        (404, server.get("/pipelines").await),
        (404, server.request("POST", "/api/v1/nothing", &json, "{}").await),
        (404, server.get("/.stamp").await),
        (404, server.get("/index.html.br").await),
        (404, server.get("/../Cargo.toml").await),
        (404, server.get("/%2e%2e/Cargo.toml").await),
        (404, server.get("/api/v1/pipelines/revenu").await),
        (404, server.get("/api/v1/dashboards/x").await),
        (404, server.get("/api/v1/sources/x").await),
        (404, server.get("/api/v1/sources/orders/schemas/2").await),
        (404, server.get("/api/v1/sources/orders/schemas/-1").await),
        (404, server.get("/api/v1/poll?table=nothing").await),
        (400, server.get("/api/v1/poll?table=revenue&wait=61s").await),
        (400, server.get("/api/v1/stream?table=revenue&wait=1s").await),
        (404, server.get("/api/v1/stream?table=x").await),
        (400, server.get("/api/v1/stream?tabel=x").await),
        (400, server.get("/api/v1/stream?table=revenue&last=1m&last=2m").await),
        (400, server.get("/api/v1/stream?table=revenue&last=soon").await),
        (400, server.get("/api/v1/pipelines/%ff").await),
        (405, server.request("DELETE", "/api/v1/pipelines", &[], "").await),
        (405, server.get("/api/v1/sql").await),
        (405, server.request("POST", "/", &json, "{}").await),
        (406, server.request("GET", "/api/v1/stream", &[("accept", "text/html")], "").await),
        (406, server.sql("SELECT 1", "image/png").await),
        (413, server.request("POST", "/api/v1/sql", &json, &large).await),
        (414, server.get(&long).await),
        (431, server.request("GET", "/healthz", &[("x-wide", &wide)], "").await),
        (400, post(&[], query).await),
        (400, post(&[("content-type", "text/plain")], query).await),
        (400, post(&[("content-type", "application/x-www-form-urlencoded")], query).await),
        (400, post(&[("content-type", "application/json")], "{").await),
        (400, post(&[("content-type", "application/json")], r#"["SELECT 1", "5s"]"#).await),
        (400, server.sql("SELECT $1", "*/*").await),
        (400, post(&[("content-type", "application/json")], r#"{"query":"SELECT 1","timout":"1s"}"#).await),
        (400, post(&[("content-type", "application/json")], r#"{"query":"SELECT 1","timeout":"6m"}"#).await),
        (400, post(&[("content-type", "application/json")], r#"{"query":"SELECT 1","timeout":"0s"}"#).await),
        (422, server.sql("SELECT 1 / 0", "*/*").await),
    ] {
        assert_eq!(answer.status, status, "{} {}", answer.head, answer.text());
        answer.problem();
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(
            answer
                .header("content-security-policy")
                .is_some_and(|csp| csp.contains("frame-ancestors 'none'"))
        );
    }
    let wrong = server.sql("SELECT 1,\n contry FROM revenue", "*/*").await.problem();
    assert_eq!(
        (wrong.line, wrong.column, wrong.hint.as_deref()),
        (Some(2), Some(2), Some("did you mean \"country\"?"))
    );
    let allow = server.request("PUT", "/api/v1/sql", &json, "{}").await;
    assert_eq!(allow.header("allow"), Some("POST"));
    for method in ["POST", "OPTIONS"] {
        let refused = server.request(method, "/api/v1/pipelines/revenue", &[], "").await;
        assert_eq!((refused.problem().status, refused.header("allow")), (405, Some("GET,HEAD")));
    }
    let head = server.request("HEAD", "/api/v1/pipelines/revenu", &[], "").await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert_eq!(head.header("content-type"), Some("application/problem+json"));
    let encoded = server.get("/api/v1/pipelines/%72evenue").await;
    assert_eq!((encoded.status, encoded.json()["name"].as_str()), (200, Some("revenue")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_refused_with_a_problem_too() {
    let server = Server::start().await;
    let host = format!("host: {}\r\n", server.address);
    let wide = format!("GET /healthz HTTP/1.1\r\n{host}x-wide: {}\r\n\r\n", "x".repeat(200_000));
    let many: String = (0..300).map(|n| format!("x-{n}: 1\r\n")).collect();
    for (status, request) in [
        (400, "HELO weir\r\n\r\n".to_owned()),
        (400, "GET /healthz HTTP/3.7\r\n\r\n".to_owned()),
        (400, format!("GET /healthz HTTP/1.1\r\n{host}no colon\r\n\r\n")),
        (414, format!("GET /{} HTTP/1.1\r\n{host}\r\n", "x".repeat(65_600))),
        (431, wide),
        (431, format!("GET /healthz HTTP/1.1\r\n{host}{many}\r\n")),
    ] {
        // It may close before it has read all of it.
        let answer = server.raw(&request).await;
        let start: String = request.chars().take(40).collect();
        assert_eq!(answer.status, status, "{start}: {}", answer.head);
        assert_eq!(answer.problem().status, status);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_gets_lost_reads_a_page() {
    let server = Server::start().await;
    let lost = server.request("GET", "/nothing", &[("accept", "text/html,*/*;q=0.8")], "").await;
    assert_eq!((lost.status, lost.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert!(lost.text().contains("<html"), "{}", lost.text());
    let program = server.get("/nothing").await;
    assert_eq!((program.status, program.header("content-type")), (404, Some("application/problem+json")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_hosts_and_origins_are_refused() {
    let server = Server::start().await;
    let own = format!("http://{}", server.address);
    for (status, headers) in [
        (200, vec![("host", "localhost:9")]),
        (200, vec![("host", "[::1]")]),
        (200, vec![("host", "weir.example.com")]),
        (200, vec![("origin", own.as_str())]),
        (200, vec![("origin", "https://charts.example.com")]),
        (403, vec![("host", "evil.example")]),
        (403, vec![("host", "127.0.0.1.evil.example")]),
        (403, vec![("host", "localhost"), ("host", "evil.example")]),
        (403, vec![("origin", "http://evil.example")]),
        (403, vec![("origin", "http://localhost:1")]),
        (403, vec![("origin", "null")]),
    ] {
        let answer = server.request("GET", "/api/v1/pipelines", &headers, "").await;
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 403 {
            answer.problem();
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    let bare = server.raw("GET /healthz HTTP/1.0\r\n\r\n").await;
    assert_eq!(bare.problem().status, 403);
    let preflight = [("origin", "https://charts.example.com"), ("access-control-request-method", "POST")];
    let allowed = server.request("OPTIONS", "/api/v1/sql", &preflight, "").await;
    assert_eq!(
        (allowed.status, allowed.header("access-control-allow-origin")),
        (204, Some("https://charts.example.com"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_names_what_is_not_reading() {
    let server = Server::start().await;
    {
        let mut views = server.catalog.0.lock().expect("not poisoned");
        views[0].state = PipelineState::Starting;
        views[0].error = Some("waits for topic \"shop.orders\"".to_owned());
    }
    let answer = server.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(answer.problem().detail.contains("waits for topic \"shop.orders\""), "{}", answer.text());
    {
        let mut views = server.catalog.0.lock().expect("not poisoned");
        (views[0].state, views[0].error) = (PipelineState::Running, None);
        views[0].live.unread = vec![0, 3];
    }
    let answer = server.get("/readyz").await;
    let detail = "pipeline \"revenue\": looks for where to read on in partition 0, 3";
    assert_eq!((answer.status, answer.problem().detail.as_str()), (503, detail));
    server.catalog.0.lock().expect("not poisoned")[0].live.unread.clear();
    assert_eq!(server.get("/readyz").await.status, 200);
    server.stop().await;
}

/// As most clients do: they look for an answer when all is sent.
#[tokio::test]
async fn what_is_too_large_is_refused_also_to_a_client_that_sends_all_of_it_first() {
    let server = Server::start().await;
    for _ in 0..20 {
        let head = "POST /api/v1/sql HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                    content-type: application/json\r\ncontent-length: 8388608\r\n\r\n";
        let mut stream = server.send(head).await;
        stream.write_all(&vec![b' '; 8 << 20]).await.expect("all is taken");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("the answer comes whole");
        assert_eq!(parse(&bytes).problem().status, 413);
    }
    // One that asks first need not send it.
    let head = "POST /api/v1/sql HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\nconnection: close\r\n\
                content-type: application/json\r\ncontent-length: 8388608\r\n\r\n";
    assert_eq!(server.raw(head).await.problem().status, 413);
    server.stop().await;
}

/// Reads a stream until all of `found` are in its body; head and body.
async fn read_until(stream: &mut TcpStream, found: &[&str]) -> (String, String) {
    timeout(Duration::from_secs(30), read_all_of(stream, found)).await.expect("in time")
}

async fn read_all_of(stream: &mut TcpStream, found: &[&str]) -> (String, String) {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 4_096];
    loop {
        let n =
            timeout(Duration::from_secs(20), stream.read(&mut buffer)).await.expect("in time").expect("open");
        assert_ne!(n, 0, "the stream ended: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&buffer[..n]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let body = String::from_utf8_lossy(&unchunk(&bytes[end + 4..]).0).into_owned();
        if found.iter().all(|found| body.contains(found)) {
            return (String::from_utf8_lossy(&bytes[..end]).into_owned(), body);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_sends_snapshot_and_status_and_ends_at_shutdown() {
    let server = Server::start().await;
    let request =
        format!("GET /api/v1/stream?table=revenue&last=30m HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    let mut stream = server.send(&request).await;
    let (head, text) =
        read_until(&mut stream, &["event: status\nid: ", "event: snapshot\nid: ", "]]}\n\n"]).await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(text.contains(r#""key":["window_end","country"]"#), "{text}");
    let bare = format!("GET /api/v1/stream HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    let mut statuses = server.send(&bare).await;
    let (_, text) = read_until(&mut statuses, &["\"dead_letters\":3,\"error\":null}\n\n"]).await;
    assert!(text.contains(r#"{"pipeline":"revenue","state":"running","epoch":812,"#), "{text}");
    assert!(!text.contains("event: snapshot"), "{text}");
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.contains("weir_stream_clients 2\n"), "{metrics}");
    drop(statuses);
    let gone = async { while !server.get("/metrics").await.text().contains("weir_stream_clients 1\n") {} };
    timeout(Duration::from_secs(10), gone).await.expect("a stream ends with its client");
    server.stop().await;
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.expect("in time");
    assert!(ended.is_ok_and(|_| rest.ends_with(b"0\r\n\r\n")), "the stream ends in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poll_waits_for_what_is_new_and_goes_on_behind_it() {
    let server = Server::start().await;
    let poll = async |after: &str, wait: &str| {
        let after = if after.is_empty() { String::new() } else { format!("&after={after}") };
        let answer = server.get(&format!("/api/v1/poll?table=revenue&wait={wait}{after}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        serde_json::from_slice::<weir_api::PollResponse>(&answer.body).expect("the documented shape")
    };
    let mut last = poll("", "0s").await;
    assert!(
        matches!(&last.events.last().unwrap().event, weir_api::Event::Snapshot(table) if table.epoch == 812)
    );
    // Until the statuses stay the same.
    loop {
        let next = poll(&last.id, "3s").await;
        if next.events.is_empty() {
            assert_eq!(next.id, last.id, "nothing new, same id");
            break;
        }
        last = next;
    }
    let waiting = poll(&last.id, "30s");
    let publishing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let row = (1_795_348_800_001, "DE".to_owned(), 9, true);
        crate::stream::publish_for_test(&server.hub, "revenue", 813, &[row]);
    };
    let (next, ()) = tokio::join!(waiting, publishing);
    let weir_api::Event::Delta(delta) = &next.events.last().unwrap().event else { panic!("{next:?}") };
    assert_eq!((delta.epoch, delta.upserts.len()), (813, 1));
    assert_eq!(next.events.last().unwrap().id, next.id);
    let request = format!(
        "GET /api/v1/stream?table=revenue HTTP/1.1\r\nhost: {}\r\nlast-event-id: {}\r\n\r\n",
        server.address, last.id
    );
    let mut stream = server.send(&request).await;
    let (_, text) = read_until(&mut stream, &["event: delta\nid: ", "\"epoch\":813"]).await;
    assert!(!text.contains("event: snapshot"), "a stream goes on where a poll ended: {text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn query_ends_with_its_connection() {
    let server = Server::start_with(Limits { running_max: 1, ..Limits::default() }).await;
    let body = r#"{"query":"SELECT count(*) FROM generate_series(1, 100000000000) a WHERE a.value % 7 = 3"}"#;
    let head = format!(
        "host: {}\r\ncontent-type: application/json\r\ncontent-length: {}",
        server.address,
        body.len()
    );
    let request = format!("POST /api/v1/sql HTTP/1.1\r\n{head}\r\n\r\n{body}");
    let mut endless = server.send(&request).await;
    while server.sql("SELECT 1", "*/*").await.status != 429 {
        // The question may have had the only place, and the endless query an answer: that it is refused.
        if timeout(Duration::from_millis(5), endless.readable()).await.is_ok() {
            endless = server.send(&request).await;
        }
    }
    drop(endless);
    let free = async {
        while server.sql("SELECT 1", "*/*").await.status == 429 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), free).await.expect("the place becomes free long before the query's end");
    server.stop().await;
}

/// The last epoch named in what a stream sent.
fn last_epoch(body: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(body);
    let number = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    text.rsplit("\"table\":\"revenue\",\"epoch\":").next().and_then(number).unwrap_or(0)
}

/// Reads until an event of `epoch` has begun; all bytes that came.
async fn read_to_epoch(stream: &mut TcpStream, epoch: u64) -> usize {
    let reading = async {
        let (mut tail, mut total) = (Vec::new(), 0);
        let mut buffer = vec![0; 1 << 16];
        while last_epoch(&tail) < epoch {
            let n = stream.read(&mut buffer).await.expect("open");
            assert_ne!(n, 0, "the stream ended");
            total += n;
            tail.extend_from_slice(&buffer[..n]);
            tail.drain(..tail.len().saturating_sub(1 << 17));
        }
        total
    };
    timeout(Duration::from_secs(60), reading).await.expect("in time")
}

/// 200 epochs of half a megabyte: a client that does not read gets a few of them, merged, and holds up nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_client_catches_up_and_costs_others_nothing() {
    let server = Server::start().await;
    let request = format!("GET /api/v1/stream?table=revenue HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    let mut stalled = server.send(&request).await;
    let mut reader = server.send(&request).await;
    read_to_epoch(&mut reader, 812).await;
    let mut read = 0;
    for epoch in 813..1_013 {
        let rows: Vec<RevenueRow> = (0..8).map(|i| (10_000 * i, "x".repeat(1 << 16), i, false)).collect();
        crate::stream::publish_for_test(&server.hub, "revenue", epoch, &rows);
        read += read_to_epoch(&mut reader, epoch).await;
    }
    assert!((90 << 20) < read, "the reading client gets every epoch: {read} bytes");
    let caught_up = read_to_epoch(&mut stalled, 1_012).await;
    assert!(caught_up < 16 << 20, "a few events, not all that it missed: {caught_up} bytes");
    server.stop().await;
}

/// A project whose dashboards may be written, with one that is the server's.
fn edited(dir: &std::path::Path) -> Arc<Project> {
    let files = [
        (
            "weir.yaml",
            "connections:\n  shop:\n    type: kafka\n    bootstrap_servers: localhost:9092\n    schema_registry: { url: http://localhost:8081 }\nproject: shop\n",
        ),
        ("sources/orders.yaml", "connection: shop\ntopic: shop.orders\nevent_time: ordered_at\n"),
        ("pipelines/revenue.yaml", "sql: SELECT * FROM orders\n"),
        (
            "dashboards/shop.yaml",
            "title: Shop\npanels:\n  - { title: Orders, pipeline: revenue, chart: stat, y: orders }\n",
        ),
    ];
    for (path, text) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    Arc::new(Project::load(dir, &|_| None).expect("a project"))
}

#[tokio::test]
async fn dashboards_are_written_only_where_that_was_asked_for_and_if_check_would_take_them() {
    const YAML: [(&str, &str); 1] = [("content-type", "application/yaml")];
    let refusing = Server::start().await;
    let refused = refusing.request("PUT", "/api/v1/dashboards/shop", &YAML, "title: X\npanels: []\n").await;
    assert_eq!((refused.status, refused.problem().code()), (403, Some("E0403")), "{}", refused.text());
    refusing.stop().await;

    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start_editing(Limits::default(), Some(edited(dir.path()))).await;
    assert_eq!(server.get("/api/v1/dashboards").await.json()["editable"], true);
    let read = || std::fs::read_to_string(dir.path().join("dashboards/shop.yaml")).expect("the file");
    let before = read();
    let put = async |name: &str, text: &str| {
        server.request("PUT", &format!("/api/v1/dashboards/{name}"), &YAML, text).await
    };
    let column = "title: Shop\npanels:\n  - { title: T, pipeline: revenue, chart: stat, y: ordres }\n";
    for (name, text, line) in [
        ("shop", "title: Shop\npanls: []\n", 2),
        ("shop", column, 3),
        ("shop", "title: ${HOME}\npanels: []\n", 1),
        ("Shop", "title: Shop\npanels: []\n", 1),
        ("..%2Fweir", "title: Shop\npanels: []\n", 1),
    ] {
        let refused = put(name, text).await;
        assert_eq!((refused.status, refused.problem().line), (400, Some(line)), "{name}: {}", refused.text());
    }
    let json = [("content-type", "application/json")];
    assert_eq!(server.request("PUT", "/api/v1/dashboards/shop", &json, "{}").await.status, 400);
    let foreign = [("content-type", "application/yaml"), ("origin", "https://evil.example")];
    assert_eq!(
        server.request("PUT", "/api/v1/dashboards/shop", &foreign, "title: X\npanels: []\n").await.status,
        403
    );
    assert_eq!(read(), before, "nothing was written");

    let text = "title: Shop today # as it was sent\npanels: []\n";
    let written = put("shop", text).await;
    assert_eq!((written.status, read().as_str()), (204, text), "{}", written.text());
    assert_eq!(server.get("/api/v1/dashboards/shop").await.json()["title"], "Shop today");
    assert_eq!(put("another", "title: Another\npanels: []\n").await.status, 204);
    assert_eq!(server.get("/api/v1/dashboards").await.json()["dashboards"][0]["name"], "another");

    let tag = written.header("etag").expect("of what was written").to_owned();
    assert_eq!(server.get("/api/v1/dashboards/shop").await.header("etag"), Some(tag.as_str()));
    let put_if = async |name: &str, tags: &str, text: &str| {
        let headers = [YAML[0], ("if-match", tags)];
        server.request("PUT", &format!("/api/v1/dashboards/{name}"), &headers, text).await
    };
    let theirs = "title: Theirs\npanels: []\n";
    assert_eq!(put_if("shop", &format!("\"0\", {tag}"), theirs).await.status, 204);
    for (name, tags) in [("shop", tag.as_str()), ("new", "*")] {
        let outdated = put_if(name, tags, text).await;
        assert_eq!((outdated.status, outdated.problem().code()), (412, Some("E0412")), "{}", outdated.text());
        assert_eq!(read(), theirs);
    }
    assert_eq!(put_if("shop", "*", text).await.status, 204, "who knows that it is there");

    let commented = format!("{text}# by hand\n");
    for changed in [commented.as_str(), "title: By git\npanels: []\n"] {
        std::fs::write(dir.path().join("dashboards/shop.yaml"), changed).expect("written");
        let late = put("shop", text).await;
        assert_eq!((late.status, late.problem().code()), (409, Some("E0409")), "{}", late.text());
        assert_eq!(read(), changed);
    }
    server.stop().await;
}

#[tokio::test]
async fn dead_letters_are_run_again_only_where_that_was_asked_for_and_as_one_condition_says() {
    const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
    const PATH: &str = "/api/v1/pipelines/revenue/replay";
    let refusing = Server::start().await;
    let refused = refusing.request("POST", PATH, &JSON, "{}").await;
    assert_eq!((refused.status, refused.problem().code()), (403, Some("E0403")), "{}", refused.text());
    refusing.stop().await;

    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start_editing(Limits::default(), Some(edited(dir.path()))).await;
    for (body, code) in [
        ("[]", "E0400"),
        (r#"{"reason": "nonsense"}"#, "E0400"),
        (r#"{"reason": "late_row"}"#, "E0400"),
        (r#"{"were": "true"}"#, "E0400"),
        (r#"{"where": "true) OR (true"}"#, "E0301"),
        (r#"{"where": ""}"#, "E0301"),
        (r#"{"where": "true; SELECT 1"}"#, "E0301"),
        (r#"{"where": "offst = 17"}"#, "E0301"),
    ] {
        let refused = server.request("POST", PATH, &JSON, body).await;
        assert_eq!(
            (refused.status, refused.problem().code()),
            (400, Some(code)),
            "{body}: {}",
            refused.text()
        );
    }
    let plain = [("content-type", "text/plain")];
    assert_eq!(server.request("POST", PATH, &plain, "{}").await.status, 400);
    let foreign = [("content-type", "application/json"), ("origin", "https://evil.example")];
    assert_eq!(server.request("POST", PATH, &foreign, "{}").await.status, 403);
    let missing = server.request("POST", "/api/v1/pipelines/revenu/replay", &JSON, "{}").await;
    assert_eq!(missing.problem().hint.as_deref(), Some("did you mean \"revenue\"?"));
    // The one letter there is has offset 17, and no engine runs its pipeline.
    let none = server.request("POST", PATH, &JSON, r#"{"where": "\"offset\" = 18 -- none"}"#).await;
    let nothing = serde_json::json!({"replayed": 0, "failed_again": 0, "stopped": null});
    assert_eq!((none.status, none.json()), (200, nothing));
    let one =
        server.request("POST", PATH, &JSON, r#"{"reason": "bad_framing", "where": "\"offset\" = 17"}"#).await;
    assert_eq!((one.status, one.problem().code()), (503, Some("E0503")), "{}", one.text());
    server.stop().await;
}
