//! What the page shows, as text behind the `#` of its address: back, reload and a shared link give the same screen.

use crate::protocol::{percent_encode, time};

/// The spans on offer, as the wire spells them.
pub const SPANS: [&str; 4] = ["5m", "30m", "2h", "12h"];
const DEFAULT_LAST_MS: i64 = 30 * 60_000;

/// See the module. What is `None` is chosen by the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub pipeline: Option<String>,
    /// The column that is drawn.
    pub measure: Option<String>,
    pub last_ms: i64,
}

impl Default for Address {
    fn default() -> Self {
        Self { pipeline: None, measure: None, last_ms: DEFAULT_LAST_MS }
    }
}

impl Address {
    /// Reads `#pipeline=revenue&y=orders&last=5m`; what it does not understand it leaves at its default.
    pub fn parse(hash: &str) -> Self {
        let mut address = Self::default();
        for pair in hash.trim_start_matches('#').split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode(value);
            match name {
                "pipeline" => address.pipeline = value.filter(|name| !name.is_empty()),
                "y" => address.measure = value.filter(|name| !name.is_empty()),
                "last" => {
                    let spans = value.and_then(|text| time::parse_duration_ms(&text));
                    // A day bounds what a link can ask of the server and of the browser's memory.
                    address.last_ms =
                        spans.filter(|last_ms| (1..=86_400_000).contains(last_ms)).unwrap_or(DEFAULT_LAST_MS);
                }
                _ => {}
            }
        }
        address
    }

    /// The text that [`Address::parse`] reads, with its `#`; defaults are left out.
    pub fn hash(&self) -> String {
        let mut pairs = Vec::new();
        if let Some(pipeline) = &self.pipeline {
            pairs.push(format!("pipeline={}", percent_encode(pipeline)));
        }
        if let Some(measure) = &self.measure {
            pairs.push(format!("y={}", percent_encode(measure)));
        }
        if self.last_ms != DEFAULT_LAST_MS {
            pairs.push(format!("last={}", time::duration_text(self.last_ms)));
        }
        format!("#{}", pairs.join("&"))
    }
}

/// Undoes [`percent_encode`]; `None` where the text is not UTF-8 or an escape is broken.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &behind[2..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nonsense_is_left_at_its_default() {
        assert_eq!(Address::parse(""), Address::default());
        assert_eq!(Address::parse("#pipeline=&y=%zz&last=soon&x"), Address::default());
        assert_eq!(Address::parse("#last=999d").last_ms, DEFAULT_LAST_MS);
        assert_eq!(Address::default().hash(), "#");
    }

    proptest! {
        #[test]
        fn addresses_come_back(
            pipeline in prop::option::of("[a-zé&=% ]{1,8}"),
            measure in prop::option::of("\\PC{1,8}"),
            span in prop::sample::select(&SPANS[..]),
        ) {
            let last_ms = time::parse_duration_ms(span).expect("a span");
            let address = Address { pipeline, measure, last_ms };
            prop_assert_eq!(Address::parse(&address.hash()), address);
        }
    }
}
