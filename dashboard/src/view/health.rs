//! The sentence about the connection, and whether numbers must look stale.

use super::number::whole_span;
use crate::protocol::connection::Health;

/// What the header shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthView {
    /// `connecting`, `live` or `reconnecting`: for the style sheet and for tests.
    pub kind: &'static str,
    pub text: String,
    /// Why, for those who ask.
    pub reason: String,
    /// Whether every number on the page must be greyed.
    pub is_stale: bool,
}

impl From<Health> for HealthView {
    fn from(health: Health) -> Self {
        match health {
            Health::Connecting => {
                Self { kind: "connecting", text: "connecting".into(), reason: String::new(), is_stale: false }
            }
            Health::Live => {
                Self { kind: "live", text: "live".into(), reason: String::new(), is_stale: false }
            }
            Health::Reconnecting { age_ms, reason } => Self {
                kind: "reconnecting",
                text: match age_ms {
                    Some(age_ms) => format!("reconnecting, numbers {} old", whole_span(age_ms)),
                    None => "reconnecting".into(),
                },
                reason,
                is_stale: true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_comes_with_the_age_of_the_numbers() {
        assert!(!HealthView::from(Health::Live).is_stale);
        let view = HealthView::from(Health::Reconnecting { age_ms: Some(72_000.0), reason: "cut".into() });
        assert_eq!(view.text, "reconnecting, numbers 1 min 12 s old");
        assert!(view.is_stale);
    }
}
