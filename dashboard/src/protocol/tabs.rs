//! What the tabs of a browser say to each other, as the texts that a `BroadcastChannel` carries.
//!
//! Invariants:
//! 1. A message of another version of this program is none: [`CHANNEL`] changes with the messages.
//! 2. The data of an event is one text as it came, never JSON in JSON.

use super::Wanted;
use super::sse::Frame;

/// The channel's name, and the stem of the locks' names. Change it with the messages.
pub const CHANNEL: &str = "weir-3";

/// What tabs say to each other; everybody hears everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A tab wants this from whoever leads; `after` is the last event it has folded, `ask` counts what it says.
    Want { tab: String, ask: u64, wanted: Wanted, after: Option<String> },
    /// A tab wants more tables than there is room for in the one stream: it has a connection of its own from now on.
    Full { tab: String },
    /// Another tab leads from now on: say what you want.
    Lead,
    /// One event of the stream, and the one it comes behind; `None`: the first of a stream that begins with snapshots.
    Frame { after: Option<String>, frame: Frame },
    /// The answer to a tab: the tables it wanted then, each the data of a snapshot, as of an event.
    State { tab: String, ask: u64, id: Option<String>, snapshots: Vec<String> },
    /// How the connection is.
    Link(Link),
    /// A tab that people look at hears nothing: look after the connection, whose own clock may be slowed down.
    Poke,
}

/// What the tab that leads says of its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It is open; the server's clock minus the browser's, in whole milliseconds.
    Open { clock_offset_ms: i64 },
    /// Bytes have come that are no event.
    Heard,
    /// It broke, or was not permitted.
    Failed { reason: String, is_not_permitted: bool },
}

impl Message {
    /// The texts that [`Message::read`] reads.
    pub fn texts(self) -> Vec<String> {
        let text = |it: Option<String>| it.unwrap_or_default();
        let (kind, mut texts) = match self {
            Self::Want { tab, ask, wanted, after } => {
                let mut texts = vec![tab, ask.to_string(), text(after), wanted.last_ms.to_string()];
                texts.extend(wanted.tables);
                ("want", texts)
            }
            Self::Full { tab } => ("full", vec![tab]),
            Self::Lead => ("lead", Vec::new()),
            Self::Frame { after, frame } => ("frame", vec![text(after), frame.id, frame.name, frame.data]),
            Self::State { tab, ask, id, snapshots } => {
                let mut texts = vec![tab, ask.to_string(), text(id)];
                texts.extend(snapshots);
                ("state", texts)
            }
            Self::Link(Link::Open { clock_offset_ms }) => ("open", vec![clock_offset_ms.to_string()]),
            Self::Link(Link::Heard) => ("heard", Vec::new()),
            Self::Link(Link::Failed { reason, is_not_permitted }) => {
                ("failed", vec![reason, is_not_permitted.to_string()])
            }
            Self::Poke => ("poke", Vec::new()),
        };
        texts.insert(0, kind.to_owned());
        texts
    }

    /// Reads the texts of a message; `None`: that is none.
    pub fn read(texts: Vec<String>) -> Option<Self> {
        let mut texts = texts.into_iter();
        let kind = texts.next()?;
        // No id is empty.
        let id = |text: String| (!text.is_empty()).then_some(text);
        Some(match kind.as_str() {
            "want" => {
                let (tab, ask) = (texts.next()?, texts.next()?.parse().ok()?);
                let (after, last_ms) = (id(texts.next()?), texts.next()?.parse().ok()?);
                Self::Want { tab, ask, after, wanted: Wanted { last_ms, tables: texts.collect() } }
            }
            "full" => Self::Full { tab: texts.next()? },
            "lead" => Self::Lead,
            "frame" => {
                let after = id(texts.next()?);
                let (id, name, data) = (texts.next()?, texts.next()?, texts.next()?);
                Self::Frame { after, frame: Frame { name, data, id } }
            }
            "state" => {
                let (tab, ask) = (texts.next()?, texts.next()?.parse().ok()?);
                Self::State { tab, ask, id: id(texts.next()?), snapshots: texts.collect() }
            }
            "open" => Self::Link(Link::Open { clock_offset_ms: texts.next()?.parse().ok()? }),
            "heard" => Self::Link(Link::Heard),
            "failed" => {
                let (reason, is_not_permitted) = (texts.next()?, texts.next()?.parse().ok()?);
                Self::Link(Link::Failed { reason, is_not_permitted })
            }
            "poke" => Self::Poke,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        let id = || prop::option::of(".{1,9}");
        let texts = || prop::collection::vec(".{0,9}", 0..4);
        prop_oneof![
            (".*", any::<u64>(), texts(), any::<i64>(), id()).prop_map(
                |(tab, ask, tables, last_ms, after)| {
                    Message::Want { tab, ask, wanted: Wanted { tables, last_ms }, after }
                }
            ),
            ".*".prop_map(|tab| Message::Full { tab }),
            Just(Message::Lead),
            (id(), ".*", ".*", ".*").prop_map(|(after, name, data, id)| Message::Frame {
                after,
                frame: Frame { name, data, id }
            }),
            (".*", any::<u64>(), id(), texts()).prop_map(|(tab, ask, id, snapshots)| Message::State {
                tab,
                ask,
                id,
                snapshots
            }),
            any::<i64>().prop_map(|clock_offset_ms| Message::Link(Link::Open { clock_offset_ms })),
            Just(Message::Link(Link::Heard)),
            (".*", any::<bool>()).prop_map(|(reason, is_not_permitted)| {
                Message::Link(Link::Failed { reason, is_not_permitted })
            }),
            Just(Message::Poke),
        ]
    }

    proptest! {
        #[test]
        fn messages_come_back(message in message()) {
            prop_assert_eq!(Message::read(message.clone().texts()), Some(message));
        }

        #[test]
        fn any_texts_are_read_without_panic(texts in prop::collection::vec("want|lead|frame|state|open|.*", 0..6)) {
            let _ = Message::read(texts);
        }
    }
}
