//! Asking a running server.

use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use weir_api::Problem;

use super::Failure;
use super::args::DEFAULT_LISTEN;

/// Larger answers of errors are not ours.
const PROBLEM_BYTES_MAX: u64 = 1 << 20;

/// What a server answers.
pub(super) type Response = ureq::http::Response<ureq::Body>;

/// The server to ask: the one that is given, or where one listens unless told otherwise.
///
/// # Errors
/// [`Failure::Usage`] where that is no URL.
pub(super) fn address(given: Option<&str>) -> Result<String, Failure> {
    let Some(server) = given else { return Ok(format!("http://{DEFAULT_LISTEN}")) };
    if ["http://", "https://"].iter().any(|scheme| server.starts_with(scheme)) {
        return Ok(server.to_owned());
    }
    let hint = match server.contains("://") {
        true => format!("http://{DEFAULT_LISTEN}"),
        false => format!("http://{server}"),
    };
    Err(Failure::Usage(format!(
        "--server \"{server}\" is no address of a server: it begins with http:// or https://, as in {hint}"
    )))
}

/// Sends JSON to a path of `server`, such as `http://127.0.0.1:8080`.
///
/// # Errors
/// It can't be reached, or it refused.
pub(super) fn post(
    server: &str,
    path: &str,
    accept: &str,
    body: &impl serde::Serialize,
) -> Result<Response, Failure> {
    let url = format!("{}{path}", server.trim_end_matches('/'));
    // A proxy in front of a server may speak TLS.
    let tls =
        TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build();
    let agent = ureq::Agent::config_builder().http_status_as_error(false).tls_config(tls).build().new_agent();
    let sent = agent.post(&url).header("accept", accept).send_json(body);
    let mut answer = sent.map_err(|error| {
        Failure::Failed(format!("could not ask {url}: {error} (is weir running? --server names another one)"))
    })?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let body = answer.body_mut().with_config().limit(PROBLEM_BYTES_MAX).read_to_string().unwrap_or_default();
    Err(match serde_json::from_str::<Problem>(&body) {
        Ok(problem) => refused(&problem),
        Err(_) => Failure::Failed(format!("{url} answered {}", answer.status())),
    })
}

/// What a server has against a request.
pub(super) fn refused(problem: &Problem) -> Failure {
    let at = match (problem.line, problem.column) {
        (Some(line), Some(column)) => format!("{line}:{column}: "),
        _ => String::new(),
    };
    let code = problem.problem_type.rsplit(':').next().unwrap_or_default();
    let hint = problem.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    Failure::Failed(format!("{at}{} [{code}]{hint}", problem.detail))
}
