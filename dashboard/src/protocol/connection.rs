//! The life of the one connection: when to connect, when to give it up, and what the page may claim of its numbers.
//!
//! ```text
//!            opened               silent for 2 s
//! Connecting ──────► Open (live) ───────────────► Open (stale) ── 5 s ──┐
//!     ▲                 │ error                                         │
//!     └── back-off ── Waiting (reconnecting) ◄──────────────────────────┘
//! ```
//!
//! Invariants:
//! 1. Within [`STALE_AFTER_MS`] of the last byte the health is no longer [`Health::Live`]: no frozen number looks alive.
//! 2. At most one attempt is under way, and attempts are spaced by a back-off that grows until data has come: a server
//!    that accepts and then breaks every connection is not hammered.
//! 3. The clock is an argument, in milliseconds of any origin, and never goes back.

/// The server says how pipelines are about once a second; silence for twice that is trouble.
pub const STALE_AFTER_MS: f64 = 2_000.0;
/// A connection that has been silent for so long is given up. Lower: a server that pauses is met by a storm of
/// reconnects; higher: a cable that was pulled is noticed later.
pub const GIVE_UP_AFTER_MS: f64 = 5_000.0;
/// Silence that is fine where there is no pipeline, hence no status: comments come every 15 s.
const QUIET_GIVE_UP_AFTER_MS: f64 = 40_000.0;
/// An attempt that got no answer in this time is given up.
const CONNECT_TIMEOUT_MS: f64 = 10_000.0;
const FIRST_DELAY_MS: f64 = 250.0;
/// Lower: many pages press harder on a server that comes up; higher: people wait for numbers that are there.
const MAX_DELAY_MS: f64 = 4_000.0;

/// What the page says about its numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    /// Nothing has come yet.
    Connecting,
    Live,
    /// Connected, but silent for longer than it should be.
    Stale {
        age_ms: f64,
    },
    /// Not connected; `age_ms` is the time since the last byte, if there ever was one.
    Reconnecting {
        age_ms: Option<f64>,
        reason: String,
    },
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Nothing,
    Connect,
    /// Cut the connection; [`Connection::step`] will ask to connect after a back-off.
    Drop,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Waiting { until_ms: f64 },
    Connecting { since_ms: f64 },
    Open,
}

/// See the module.
#[derive(Debug)]
pub struct Connection {
    phase: Phase,
    /// Failures since data last came.
    n_failures: u32,
    heard_ms: Option<f64>,
    opened_ms: f64,
    reason: String,
    /// Whether the server has any pipeline whose status to expect each second.
    expects_status: bool,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            phase: Phase::Waiting { until_ms: f64::NEG_INFINITY },
            n_failures: 0,
            heard_ms: None,
            opened_ms: 0.0,
            reason: String::new(),
            expects_status: false,
        }
    }
}

impl Connection {
    /// Says what to do at `now_ms`; `jitter` is a random number from 0 to 1. Call it a few times a second.
    pub fn step(&mut self, now_ms: f64, jitter: f64) -> Action {
        match self.phase {
            Phase::Waiting { until_ms } if until_ms <= now_ms => {
                self.phase = Phase::Connecting { since_ms: now_ms };
                Action::Connect
            }
            Phase::Connecting { since_ms } if since_ms + CONNECT_TIMEOUT_MS <= now_ms => {
                self.failed(now_ms, jitter, "the server does not answer".into());
                Action::Drop
            }
            Phase::Open if self.give_up_after_ms() <= self.silence_ms(now_ms) => {
                self.failed(now_ms, jitter, "the server has gone silent".into());
                Action::Drop
            }
            _ => Action::Nothing,
        }
    }

    /// The server has accepted the stream.
    pub fn opened(&mut self, now_ms: f64) {
        self.phase = Phase::Open;
        self.opened_ms = now_ms;
    }

    /// Bytes have come, comments included.
    pub fn heard(&mut self, now_ms: f64) {
        self.heard_ms = Some(now_ms);
        self.n_failures = 0;
        self.reason.clear();
    }

    /// Whether silence is trouble: it is where the server has any pipeline, whose status comes each second.
    pub fn expect_status(&mut self, expects_status: bool) {
        self.expects_status = expects_status;
    }

    /// The connection broke, was refused, or said something that can't be read.
    pub fn failed(&mut self, now_ms: f64, jitter: f64, reason: String) {
        let doubled = FIRST_DELAY_MS * f64::from(1_u32 << self.n_failures.min(10));
        let delay_ms = doubled.min(MAX_DELAY_MS) * (0.5 + 0.5 * jitter);
        self.phase = Phase::Waiting { until_ms: now_ms + delay_ms };
        self.n_failures = self.n_failures.saturating_add(1);
        self.reason = reason;
    }

    /// Something suggests that the network is back (the tab is shown again, the browser says online): does not wait
    /// for the rest of the back-off.
    pub fn retry_now(&mut self) {
        if let Phase::Waiting { until_ms } = &mut self.phase {
            *until_ms = f64::NEG_INFINITY;
        }
    }

    /// The page wants another stream: the present one, which the caller cuts, is not a failure.
    pub fn restart(&mut self) {
        self.phase = Phase::Waiting { until_ms: f64::NEG_INFINITY };
    }

    /// What the page may claim at `now_ms`.
    pub fn health(&self, now_ms: f64) -> Health {
        let age_ms = self.heard_ms.map(|heard_ms| now_ms - heard_ms);
        let failing = self.n_failures != 0;
        match (self.phase, age_ms) {
            (Phase::Open, _) if !self.expects_status => Health::Live,
            (Phase::Open, _) if self.silence_ms(now_ms) < STALE_AFTER_MS => Health::Live,
            (Phase::Open, age_ms) => {
                Health::Stale { age_ms: age_ms.unwrap_or_else(|| self.silence_ms(now_ms)) }
            }
            // A switch to another table is no trouble while it is quick.
            (_, Some(age_ms)) if !failing && age_ms < STALE_AFTER_MS => Health::Live,
            (_, None) if !failing => Health::Connecting,
            (_, age_ms) => Health::Reconnecting { age_ms, reason: self.reason.clone() },
        }
    }

    /// Time since the last byte on this connection, or since it was opened.
    fn silence_ms(&self, now_ms: f64) -> f64 {
        now_ms - self.heard_ms.unwrap_or(self.opened_ms).max(self.opened_ms)
    }

    fn give_up_after_ms(&self) -> f64 {
        if self.expects_status { GIVE_UP_AFTER_MS } else { QUIET_GIVE_UP_AFTER_MS }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn live_at(now_ms: f64) -> Connection {
        let mut connection = Connection::default();
        assert_eq!(connection.step(now_ms, 0.0), Action::Connect);
        connection.opened(now_ms);
        connection.heard(now_ms);
        connection.expect_status(true);
        connection
    }

    #[test]
    fn silence_is_said_after_two_seconds_and_ends_after_five() {
        let mut connection = live_at(100.0);
        assert_eq!(connection.health(2_099.0), Health::Live);
        assert_eq!(connection.health(2_100.0), Health::Stale { age_ms: 2_000.0 });
        assert_eq!(connection.step(5_099.0, 0.0), Action::Nothing);
        assert_eq!(connection.step(5_100.0, 0.0), Action::Drop);
        assert!(matches!(connection.health(5_100.0), Health::Reconnecting { age_ms: Some(5_000.0), .. }));
        assert_eq!(connection.step(5_100.0 + FIRST_DELAY_MS, 1.0), Action::Connect);
    }

    #[test]
    fn error_is_said_at_once() {
        let mut connection = live_at(0.0);
        connection.failed(10.0, 0.5, "connection refused".into());
        assert_eq!(
            connection.health(11.0),
            Health::Reconnecting { age_ms: Some(11.0), reason: "connection refused".into() }
        );
    }

    #[test]
    fn server_without_pipelines_may_be_silent() {
        let mut connection = Connection::default();
        assert_eq!(connection.health(0.0), Health::Connecting);
        assert_eq!(connection.step(0.0, 0.0), Action::Connect);
        connection.opened(0.0);
        assert_eq!(connection.health(20_000.0), Health::Live);
        assert_eq!(connection.step(20_000.0, 0.0), Action::Nothing);
        assert_eq!(connection.step(QUIET_GIVE_UP_AFTER_MS, 0.0), Action::Drop);
    }

    #[test]
    fn switch_to_another_table_is_not_trouble() {
        let mut connection = live_at(0.0);
        connection.restart();
        assert_eq!(connection.health(50.0), Health::Live);
        assert_eq!(connection.step(50.0, 0.0), Action::Connect);
        assert_eq!(
            connection.health(2_050.0),
            Health::Reconnecting { age_ms: Some(2_050.0), reason: String::new() }
        );
    }

    #[test]
    fn attempt_without_answer_is_given_up() {
        let mut connection = Connection::default();
        assert_eq!(connection.step(0.0, 0.0), Action::Connect);
        assert_eq!(connection.step(CONNECT_TIMEOUT_MS - 1.0, 0.0), Action::Nothing);
        assert_eq!(connection.step(CONNECT_TIMEOUT_MS, 0.0), Action::Drop);
        connection.retry_now();
        assert_eq!(connection.step(CONNECT_TIMEOUT_MS, 0.0), Action::Connect);
    }

    proptest! {
        /// Attempts at a server that accepts and breaks at once stay bounded: one at once, four while the delay
        /// doubles, then one per half of the longest delay at most.
        #[test]
        fn broken_server_is_not_hammered(jitters in prop::collection::vec(0.0..1.0_f64, 600)) {
            let mut connection = Connection::default();
            let mut n_attempts = 0;
            for (tick, jitter) in jitters.into_iter().enumerate() {
                let now_ms = f64::from(u32::try_from(tick).expect("small")) * 100.0;
                if connection.step(now_ms, jitter) == Action::Connect {
                    n_attempts += 1;
                    connection.opened(now_ms);
                    connection.failed(now_ms, jitter, "cut".into());
                }
            }
            prop_assert!((5 + 13..=5 + 30).contains(&n_attempts), "{} attempts in 60 s", n_attempts);
        }
    }
}
