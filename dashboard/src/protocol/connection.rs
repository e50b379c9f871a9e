//! The life of the one connection: when to connect, when to give it up, and what the page may claim of its numbers.
//!
//! ```text
//!            opened      error, or silent for longer than heartbeats are apart
//! Connecting ──────► Open ─────────────────────────────────────────┐
//!     ▲                                                            │
//!     └──────────── back-off ── Waiting (reconnecting) ◄───────────┘
//! ```
//!
//! Invariants:
//! 1. [`SILENCE_MAX_MS`] after the last byte the health is no longer [`Health::Live`], and after trouble not before the next
//!    byte: no frozen number looks alive.
//! 2. At most one attempt is under way, and attempts are spaced by a back-off that grows until data has come: a server
//!    that accepts and then breaks every connection is not hammered.
//! 3. Where streams are opened and bring nothing, as behind a proxy that holds them back, the same events are polled.
//! 4. The clock is an argument, in milliseconds of any origin, and never goes back.

/// A server that has nothing to say says so twice a second; silence for three times that is trouble, and the connection is
/// given up. Lower: a server or a network that pauses is taken for one that is gone; higher: a cable that was pulled is said
/// later than two seconds after.
pub const SILENCE_MAX_MS: f64 = 1_600.0;
/// A stream that was opened and has brought nothing for so long, not even a comment, is held back by somebody.
const MUTE_GIVE_UP_AFTER_MS: f64 = 3_000.0;
/// So many mute streams one after the other, and events are polled.
const N_MUTE_MAX: u32 = 2;
/// For so long; then a connection that has to be made anew is a stream again. Lower: a network that cuts streams is
/// dark for some seconds more often; higher: one that does no more is polled for longer.
const POLL_FOR_MS: f64 = 600_000.0;
/// An attempt that got no answer in this time is given up.
const CONNECT_TIMEOUT_MS: f64 = 10_000.0;
const FIRST_DELAY_MS: f64 = 250.0;
/// Lower: many pages press harder on a server that comes up; higher: people wait for numbers that are there.
const MAX_DELAY_MS: f64 = 4_000.0;
const SILENT: &str = "the server has gone silent";

/// What the page says about its numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    /// Nothing has come yet.
    Connecting,
    Live,
    /// Not connected, or connected and silent for longer than it should be; `age_ms` is the time since the last byte, if there ever was one.
    Reconnecting {
        age_ms: Option<f64>,
        reason: String,
    },
    /// As `Reconnecting`, and it helps only what a person does.
    NotPermitted {
        age_ms: Option<f64>,
        reason: String,
    },
}

/// How events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Stream,
    Poll,
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
    is_not_permitted: bool,
    way: Way,
    /// Nothing has come since it was opened.
    is_mute: bool,
    /// Streams that were opened and brought nothing, one after the other.
    n_mute: u32,
    poll_until_ms: f64,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            phase: Phase::Waiting { until_ms: f64::NEG_INFINITY },
            n_failures: 0,
            heard_ms: None,
            opened_ms: 0.0,
            reason: String::new(),
            is_not_permitted: false,
            way: Way::Stream,
            is_mute: false,
            n_mute: 0,
            poll_until_ms: f64::NEG_INFINITY,
        }
    }
}

impl Connection {
    /// Says what to do at `now_ms`; `jitter` is a random number from 0 to 1. Call it a few times a second.
    pub fn step(&mut self, now_ms: f64, jitter: f64) -> Action {
        match self.phase {
            Phase::Waiting { until_ms } if until_ms <= now_ms => {
                self.phase = Phase::Connecting { since_ms: now_ms };
                self.way = if now_ms < self.poll_until_ms { Way::Poll } else { Way::Stream };
                Action::Connect
            }
            Phase::Connecting { since_ms } if since_ms + CONNECT_TIMEOUT_MS <= now_ms => {
                self.failed(now_ms, jitter, "the server does not answer".into());
                Action::Drop
            }
            Phase::Open if self.give_up_after_ms() <= self.silence_ms(now_ms) => {
                self.failed(now_ms, jitter, SILENT.into());
                Action::Drop
            }
            _ => Action::Nothing,
        }
    }

    /// Whether anything has ever come.
    pub fn has_heard(&self) -> bool {
        self.heard_ms.is_some()
    }

    /// Why there is no connection; empty where nothing is wrong.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether that is why this browser is not let in.
    pub fn is_not_permitted(&self) -> bool {
        self.is_not_permitted
    }

    /// How events are to come, or come.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Whether the server has accepted the stream, or answered a poll.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The server has accepted the stream, or answered a poll.
    pub fn opened(&mut self, now_ms: f64) {
        self.phase = Phase::Open;
        self.opened_ms = now_ms;
        self.is_mute = true;
    }

    /// Bytes have come, comments included.
    pub fn heard(&mut self, now_ms: f64) {
        self.heard_ms = Some(now_ms);
        self.is_mute = false;
        self.n_mute = 0;
        self.n_failures = 0;
        self.reason.clear();
        self.is_not_permitted = false;
    }

    /// The server, or a gate before it, does not let this browser in.
    pub fn not_permitted(&mut self, now_ms: f64, jitter: f64, reason: String) {
        self.failed(now_ms, jitter, reason);
        self.is_not_permitted = true;
    }

    /// The connection broke, was refused, or said something that can't be read.
    pub fn failed(&mut self, now_ms: f64, jitter: f64, reason: String) {
        if self.is_open() && self.is_mute && self.way == Way::Stream {
            self.n_mute += 1;
            if N_MUTE_MAX <= self.n_mute {
                self.n_mute = 0;
                self.poll_until_ms = now_ms + POLL_FOR_MS;
            }
        }
        let doubled = FIRST_DELAY_MS * f64::from(1_u32 << self.n_failures.min(10));
        let delay_ms = doubled.min(MAX_DELAY_MS) * (0.5 + 0.5 * jitter);
        self.phase = Phase::Waiting { until_ms: now_ms + delay_ms };
        self.n_failures = self.n_failures.saturating_add(1);
        self.reason = reason;
        self.is_not_permitted = false;
    }

    /// Something suggests that the network is back (the tab is shown again, the browser says online): does not wait
    /// for the rest of the back-off.
    pub fn retry_now(&mut self) {
        if let Phase::Waiting { until_ms } = &mut self.phase {
            *until_ms = f64::NEG_INFINITY;
        }
    }

    /// Another stream is wanted, from `at_ms` on: the present one, which the caller cuts, is not a failure.
    pub fn restart(&mut self, at_ms: f64) {
        self.phase = Phase::Waiting { until_ms: at_ms };
    }

    /// What the page may claim at `now_ms`.
    pub fn health(&self, now_ms: f64) -> Health {
        let age_ms = self.heard_ms.map(|heard_ms| now_ms - heard_ms);
        let failing = self.n_failures != 0;
        match (self.phase, age_ms) {
            (Phase::Open, _) if !failing && self.silence_ms(now_ms) < SILENCE_MAX_MS => Health::Live,
            (Phase::Open, age_ms) if !failing => Health::Reconnecting { age_ms, reason: SILENT.into() },
            // A switch to another table is no trouble while it is quick.
            (_, Some(age_ms)) if !failing && age_ms < SILENCE_MAX_MS => Health::Live,
            (_, None) if !failing => Health::Connecting,
            (_, age_ms) if self.is_not_permitted => {
                Health::NotPermitted { age_ms, reason: self.reason.clone() }
            }
            (_, age_ms) => Health::Reconnecting { age_ms, reason: self.reason.clone() },
        }
    }

    /// Time since the last byte on this connection, or since it was opened.
    fn silence_ms(&self, now_ms: f64) -> f64 {
        now_ms - self.heard_ms.unwrap_or(self.opened_ms).max(self.opened_ms)
    }

    fn give_up_after_ms(&self) -> f64 {
        if self.is_mute { MUTE_GIVE_UP_AFTER_MS } else { SILENCE_MAX_MS }
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
        connection
    }

    #[test]
    fn silence_is_said_within_two_seconds_and_until_the_next_byte() {
        let mut connection = live_at(100.0);
        assert_eq!(connection.health(1_699.0), Health::Live);
        let silent = |age_ms| Health::Reconnecting { age_ms: Some(age_ms), reason: SILENT.into() };
        assert_eq!(connection.health(1_700.0), silent(1_600.0));
        assert_eq!(connection.step(1_699.0, 0.0), Action::Nothing);
        assert_eq!(connection.step(1_700.0, 0.0), Action::Drop);
        assert_eq!(connection.health(1_700.0), silent(1_600.0));
        let again_ms = 1_700.0 + FIRST_DELAY_MS;
        assert_eq!(connection.step(again_ms, 1.0), Action::Connect);
        connection.opened(again_ms);
        assert_eq!(connection.health(again_ms), silent(again_ms - 100.0), "nothing has come yet");
        connection.heard(again_ms + 10.0);
        assert_eq!(connection.health(again_ms + 10.0), Health::Live);
    }

    #[test]
    fn tab_that_only_listens_says_silence_too() {
        // Another tab has the connection, and steps it.
        let connection = live_at(0.0);
        assert!(matches!(connection.health(SILENCE_MAX_MS), Health::Reconnecting { age_ms: Some(_), .. }));
    }

    #[test]
    fn who_is_not_let_in_is_told_so_until_something_else_is_true() {
        let mut connection = live_at(0.0);
        connection.not_permitted(10.0, 0.0, "sign in".into());
        let told = |age_ms| Health::NotPermitted { age_ms: Some(age_ms), reason: "sign in".into() };
        assert_eq!(connection.health(11.0), told(11.0));
        assert_eq!(connection.step(1_000.0, 0.0), Action::Connect, "it is asked again");
        assert_eq!(connection.health(1_001.0), told(1_001.0), "while it is asked, too");
        connection.failed(1_010.0, 0.0, "refused".into());
        assert!(
            matches!(connection.health(1_011.0), Health::Reconnecting { .. }),
            "a server that is away is that"
        );
        connection.not_permitted(2_000.0, 0.0, "sign in".into());
        assert_eq!(connection.step(9_000.0, 0.0), Action::Connect);
        connection.opened(9_000.0);
        connection.heard(9_001.0);
        assert_eq!(connection.health(9_002.0), Health::Live);
        let mut never = Connection::default();
        never.step(0.0, 0.0);
        never.not_permitted(5.0, 0.0, "sign in".into());
        assert_eq!(never.health(6.0), Health::NotPermitted { age_ms: None, reason: "sign in".into() });
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
    fn heartbeats_of_a_quiet_server_are_enough() {
        let mut connection = live_at(0.0);
        for beat in 1..100 {
            // Twice a second, and one of them is lost.
            let now_ms = f64::from(beat) * 1_000.0;
            assert_eq!(connection.health(now_ms), Health::Live);
            assert_eq!(connection.step(now_ms, 0.5), Action::Nothing);
            connection.heard(now_ms);
        }
    }

    #[test]
    fn switch_to_another_table_is_not_trouble() {
        let mut connection = live_at(0.0);
        connection.restart(50.0);
        assert_eq!(connection.health(50.0), Health::Live);
        assert_eq!(connection.step(50.0, 0.0), Action::Connect);
        assert_eq!(
            connection.health(SILENCE_MAX_MS),
            Health::Reconnecting { age_ms: Some(SILENCE_MAX_MS), reason: String::new() }
        );
    }

    #[test]
    fn streams_that_are_held_back_are_polled() {
        let mut connection = Connection::default();
        let mut now_ms = 0.0;
        let mut ways = Vec::new();
        while now_ms < 30_000.0 {
            if connection.step(now_ms, 0.5) == Action::Connect {
                ways.push((now_ms, connection.way()));
                connection.opened(now_ms);
            }
            if connection.way() == Way::Poll {
                connection.heard(now_ms);
            }
            now_ms += 250.0;
        }
        assert_eq!(
            ways.iter().map(|(_, way)| *way).collect::<Vec<_>>(),
            [Way::Stream, Way::Stream, Way::Poll]
        );
        assert!(ways[2].0 < 8_000.0, "it is dark for {ways:?}");
        connection.failed(now_ms, 0.5, "cut".into());
        assert_eq!(connection.step(now_ms + 10_000.0, 0.5), Action::Connect);
        assert_eq!(connection.way(), Way::Poll, "it would be held back again");
        connection.failed(now_ms, 0.5, "cut".into());
        assert_eq!(connection.step(now_ms + POLL_FOR_MS, 0.5), Action::Connect);
        assert_eq!(connection.way(), Way::Stream);
    }

    #[test]
    fn server_that_is_away_is_not_taken_for_one_that_is_held_back() {
        let mut connection = live_at(0.0);
        for second in 1..60 {
            connection.failed(f64::from(second) * 1_000.0, 1.0, "connection refused".into());
            assert_ne!(connection.step(f64::from(second) * 1_000.0 + 4_000.0, 1.0), Action::Nothing);
            assert_eq!(connection.way(), Way::Stream);
        }
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
