//! The sentence about the connection, and whether numbers must look stale.

use super::number::whole_span;
use crate::protocol::connection::Health;

/// What the header shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthView {
    /// `connecting`, `live`, `reconnecting` or `not-permitted`: for the style sheet and for tests.
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
            Health::NotPermitted { age_ms, reason } => Self {
                kind: "not-permitted",
                text: match age_ms {
                    Some(age_ms) => format!("not permitted, numbers {} old", whole_span(age_ms)),
                    None => "not permitted".into(),
                },
                reason,
                is_stale: true,
            },
        }
    }
}

impl HealthView {
    /// Why this browser is not let in, as a sentence of its own; `None`: it is, as far as is known.
    pub fn refusal(&self) -> Option<String> {
        let mut text = (self.kind == "not-permitted").then(|| self.reason.clone())?;
        // Capitals of all scripts would be 3 KB of the first load.
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text.push('.');
        Some(text)
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
        assert_eq!(view.refusal(), None, "it comes back by itself");
    }

    #[test]
    fn who_is_not_let_in_is_told_why() {
        let view =
            HealthView::from(Health::NotPermitted { age_ms: None, reason: "you are not signed in".into() });
        assert_eq!((view.kind, &*view.text, view.is_stale), ("not-permitted", "not permitted", true));
        assert_eq!(view.refusal(), Some("You are not signed in.".into()));
    }
}
