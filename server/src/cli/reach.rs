//! Who may reach what a command listens on.

use std::io;
use std::net::SocketAddr;

use axum::http::uri::Authority;

use super::Failure;
use super::args::ReachArgs;
use crate::http::Access;

/// Refuses an address that others reach, unless that is said to be wanted.
pub(super) fn check_listen(listen: SocketAddr, args: &ReachArgs) -> Result<(), Failure> {
    if listen.ip().is_loopback() || args.allow_unauthenticated {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "others could reach {listen} without a password: listen on 127.0.0.1, or say --allow-unauthenticated"
    )))
}

/// That an address can't be listened on; `another` says how to name another one.
pub(super) fn deaf(address: SocketAddr, error: &io::Error, another: &str) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another process does".to_owned(),
        _ => error.to_string(),
    };
    Failure::Failed(format!("could not listen on {address}: {why} ({another})"))
}

/// Whom to let in besides loopback; a name that no request could bear is a mistake.
pub(super) fn access(args: &ReachArgs) -> Result<Access, Failure> {
    let is_host = |text: &str| {
        text.parse::<Authority>().is_ok_and(|host| !host.host().is_empty()) && !text.contains(['*', '@'])
    };
    if let Some(host) = args.allow_host.iter().find(|host| !is_host(host)) {
        let example = "name one such as weir.example.com";
        return Err(Failure::Usage(format!("--allow-host \"{host}\" is not a host: {example}")));
    }
    let is_origin = |text: &str| {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        host.is_some_and(|host| is_host(host.trim_end_matches('/')))
    };
    if let Some(origin) = args.allow_origin.iter().find(|origin| !is_origin(origin)) {
        let example = "name one such as https://wiki.example.com";
        return Err(Failure::Usage(format!("--allow-origin \"{origin}\" is not an origin: {example}")));
    }
    Ok(Access { hosts: args.allow_host.clone(), origins: args.allow_origin.clone() })
}
