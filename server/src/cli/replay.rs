//! `replay`: dead letters of a running pipeline are run again, after a fix.
//!
//! Invariant: nothing is run again that was not said before.

use weir_api::{ReplayRequest, ReplayResponse, SqlResponse};
use weir_connectors::chain;

use super::args::ReplayArgs;
use super::client::{address, post};
use super::reset::agreed;
use super::{Failure, failed, talk};

/// Runs letters again, once the person has agreed.
///
/// # Errors
/// [`Failure::Failed`] where the server can't be asked or refuses, the person did not agree, or some were left.
pub(super) fn command(args: &ReplayArgs) -> Result<(), Failure> {
    let server = &address(args.server.as_deref())?;
    let name = args.pipeline.as_str();
    let counts = count(server, args)?;
    let n_letters: u64 = counts.iter().map(|(_, n)| n).sum();
    if n_letters == 0 {
        let known = sql(server, &format!("SELECT name FROM weir.pipelines WHERE name = {}", quoted(name)))?;
        if known.rows.is_empty() {
            return Err(Failure::Failed(format!("{server} runs no pipeline \"{name}\"")));
        }
        talk(&format!("{name}: no dead letter fits\n"));
        return Ok(());
    }
    talk(&will_happen(name, &counts));
    if !args.yes && !agreed("Run them again?").map_err(|error| failed(&error))? {
        return Err(Failure::Failed("nothing was done; --yes agrees without being asked".to_owned()));
    }
    let request = ReplayRequest { reason: args.reason.clone(), condition: args.condition.clone() };
    let path = format!("/api/v1/pipelines/{name}/replay");
    let answer: ReplayResponse = read(post(server, &path, "application/json", &request)?)?;
    let ReplayResponse { replayed, failed_again, stopped } = answer;
    talk(&format!("{name}: {replayed} were counted, {failed_again} are dead letters again\n"));
    match stopped {
        Some(why) => Err(Failure::Failed(format!("the rest was left: {why}"))),
        None => Ok(()),
    }
}

/// How many letters fit, by reason.
fn count(server: &str, args: &ReplayArgs) -> Result<Vec<(String, u64)>, Failure> {
    let mut conditions =
        vec![format!("pipeline = {}", quoted(&args.pipeline)), "partition IS NOT NULL".to_owned()];
    conditions.extend(args.reason.as_deref().map(|reason| format!("reason = {}", quoted(reason))));
    // On a line of its own: it may end in a comment.
    conditions.extend(args.condition.as_deref().map(|condition| format!("({condition}\n)")));
    let query = format!(
        "SELECT reason, count(*) FROM weir.dead_letters WHERE {} GROUP BY reason ORDER BY reason",
        conditions.join(" AND ")
    );
    let answer = sql(server, &query)?;
    let count = |row: &weir_api::Row| Some((row.first()?.as_str()?.to_owned(), row.get(1)?.as_u64()?));
    Ok(answer.rows.iter().filter_map(count).collect())
}

fn sql(server: &str, query: &str) -> Result<SqlResponse, Failure> {
    read(post(server, "/api/v1/sql", "application/json", &serde_json::json!({ "query": query }))?)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn read<T: serde::de::DeserializeOwned>(mut answer: super::client::Response) -> Result<T, Failure> {
    answer
        .body_mut()
        .read_json()
        .map_err(|error| Failure::Failed(format!("the answer is broken: {}", chain(&error))))
}

fn will_happen(name: &str, counts: &[(String, u64)]) -> String {
    let list = |late: bool| {
        let fits = counts.iter().filter(|(reason, _)| (reason == "late_row") == late);
        fits.map(|(reason, n)| format!("{n} of {reason}")).collect::<Vec<_>>().join(", ")
    };
    let (again, late) = (list(false), list(true));
    let late = if late.is_empty() { late } else { format!(" Left as they are: {late}.") };
    if again.is_empty() {
        return format!("{name}: nothing can be run again.{late}\n");
    }
    format!(
        "{name}: dead letters that are decoded and run again: {again}. Each record counts once, in those of its windows \
         that are still open; what fails again stays a dead letter.{late}\n"
    )
}
