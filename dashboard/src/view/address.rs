//! What the page shows, as the path and query of its address: back, reload and a shared link give the same screen.
//!
//! Invariants:
//! 1. [`Address::parse`] reads what [`Address::href`] writes, and leaves what it does not understand at its default.
//! 2. A path that is no page of ours is [`Page::Missing`]: the program never takes over an address that the server
//!    answers otherwise.

use crate::protocol::{percent_encode, time};
use crate::view::letters::Choice;
use crate::view::sql_look::Look;
use crate::view::zone::ZoneName;

/// The spans on offer, as the wire spells them.
pub const SPANS: [&str; 4] = ["5m", "30m", "2h", "12h"];
/// How far back a page looks whose address does not say it.
pub const DEFAULT_LAST_MS: i64 = 30 * 60_000;
/// A week bounds what a link can ask of the server and of the browser's memory.
const LAST_MS_MAX: i64 = 7 * 86_400_000;

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Page {
    /// `/`
    #[default]
    Overview,
    /// `/pipelines/NAME`
    Pipeline(String),
    /// `/d/NAME`
    Board(String),
    /// `/sql`
    Sql,
    /// `/dead-letters`
    Letters,
    /// Any other path.
    Missing(String),
}

impl Page {
    /// Reads a path, percent-encoded.
    fn parse(path: &str) -> Self {
        let missing = || Self::Missing(path.to_owned());
        let named = |name: &str| percent_decode(name).filter(|name| !name.is_empty() && !name.contains('/'));
        match path {
            "/" => Self::Overview,
            "/sql" => Self::Sql,
            "/dead-letters" => Self::Letters,
            _ => match (path.strip_prefix("/pipelines/"), path.strip_prefix("/d/")) {
                (Some(name), _) => named(name).map_or_else(missing, Self::Pipeline),
                (_, Some(name)) => named(name).map_or_else(missing, Self::Board),
                _ => missing(),
            },
        }
    }

    /// The path that `Page::parse` reads.
    pub fn path(&self) -> String {
        match self {
            Self::Overview => "/".to_owned(),
            Self::Pipeline(name) => format!("/pipelines/{}", percent_encode(name)),
            Self::Board(name) => format!("/d/{}", percent_encode(name)),
            Self::Sql => "/sql".to_owned(),
            Self::Letters => "/dead-letters".to_owned(),
            Self::Missing(path) => path.clone(),
        }
    }

    /// The pipeline or dashboard that it is about.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Pipeline(name) | Self::Board(name) => Some(name),
            _ => None,
        }
    }
}

/// Which stretch of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Up to now: so many milliseconds behind the watermark.
    Last(i64),
    /// From one instant to another, microseconds since 1970: it stays where it is.
    Between { from: i64, to: i64 },
    /// Up to an instant, microseconds since 1970, and as far back as each part of the page looks by itself.
    Until(i64),
}

/// See the module. What is `None` is chosen by the page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    pub page: Page,
    pub range: Option<Range>,
    /// The column that is drawn.
    pub measure: Option<String>,
    pub zone: ZoneName,
    /// The text of the query.
    pub query: Option<String>,
    /// How its answer is looked at.
    pub look: Look,
    /// The series of a dashboard that is shown alone.
    pub only: Option<String>,
    /// The panel of a dashboard that is enlarged, counted from 1.
    pub panel: Option<usize>,
    /// A panel, as JSON, that the draft of a dashboard is to have: an answer that is pinned.
    pub pin: Option<String>,
    /// Whether the draft of a dashboard is open, where this browser has one.
    pub edit: bool,
    /// Which dead letters.
    pub letters: Choice,
}

impl Address {
    /// Reads a path and the query behind it, with or without its `?`.
    pub fn parse(path: &str, search: &str) -> Self {
        let mut address = Self { page: Page::parse(path), ..Self::default() };
        let (mut from, mut to) = (None, None);
        for pair in search.trim_start_matches('?').split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Forms write spaces as plus signs, and so do people's tools.
            let value = percent_decode(&value.replace('+', "%20")).filter(|value| !value.is_empty());
            match name {
                "y" => address.measure = value,
                "q" => address.query = value,
                "only" => address.only = value,
                "pin" => address.pin = value,
                "edit" => address.edit = true,
                "panel" => {
                    address.panel = value.and_then(|text| text.parse().ok()).filter(|panel| *panel != 0);
                }
                "zone" => address.zone = value.and_then(|name| ZoneName::parse(&name)).unwrap_or_default(),
                "from" => from = value.and_then(|text| time::parse_instant(&text)),
                "to" => to = value.and_then(|text| time::parse_instant(&text)),
                "last" => {
                    let span = value.and_then(|text| time::parse_duration_ms(&text));
                    address.range =
                        span.filter(|last_ms| (1..=LAST_MS_MAX).contains(last_ms)).map(Range::Last);
                }
                other if address.page == Page::Letters => address.letters.take(other, value),
                other if address.page == Page::Sql => address.look.take(other, value),
                _ => {}
            }
        }
        match (from, to) {
            (Some(from), Some(to)) if from < to => address.range = Some(Range::Between { from, to }),
            (None, Some(to)) => address.range = Some(Range::Until(to)),
            _ => {}
        }
        address
    }

    /// The address that an old link behind `#` meant, such as `#pipeline=revenue&y=orders&last=5m`.
    pub fn of_old_link(hash: &str) -> Option<Self> {
        let pairs = hash.strip_prefix('#')?;
        let name = pairs.split('&').find_map(|pair| pair.strip_prefix("pipeline="))?;
        let page = Page::Pipeline(percent_decode(name).filter(|name| !name.is_empty())?);
        Some(Self { page, ..Self::parse("/", pairs) })
    }

    /// The text that [`Address::parse`] reads; what is at its default is left out.
    pub fn href(&self) -> String {
        let mut pairs = Vec::new();
        match self.range {
            Some(Range::Last(last_ms)) => pairs.push(format!("last={}", time::duration_text(last_ms))),
            Some(Range::Between { from, to }) => {
                pairs.push(format!("from={}&to={}", time::instant_text(from), time::instant_text(to)));
            }
            Some(Range::Until(to)) => pairs.push(format!("to={}", time::instant_text(to))),
            None => {}
        }
        if let Some(measure) = &self.measure {
            pairs.push(format!("y={}", percent_encode(measure)));
        }
        if self.zone != ZoneName::Utc {
            // A slash needs no escape in a query and reads better without.
            pairs.push(format!("zone={}", percent_encode(self.zone.text()).replace("%2F", "/")));
        }
        if let Some(query) = &self.query {
            pairs.push(format!("q={}", percent_encode(query)));
        }
        pairs.extend(self.look.pairs());
        if let Some(only) = &self.only {
            pairs.push(format!("only={}", percent_encode(only)));
        }
        if let Some(panel) = self.panel {
            pairs.push(format!("panel={panel}"));
        }
        if let Some(pin) = &self.pin {
            pairs.push(format!("pin={}", percent_encode(pin)));
        }
        if self.edit {
            pairs.push("edit".to_owned());
        }
        pairs.extend(self.letters.pairs());
        let separator = if pairs.is_empty() { "" } else { "?" };
        format!("{}{separator}{}", self.page.path(), pairs.join("&"))
    }

    /// The address of another page: the range and the zone go along, what was chosen on this page does not fit it.
    pub fn at(&self, page: Page) -> Self {
        Self { page, range: self.range, zone: self.zone.clone(), ..Self::default() }
    }

    /// How far back behind the watermark, in milliseconds.
    pub fn last_ms(&self) -> i64 {
        match self.range {
            Some(Range::Last(last_ms)) => last_ms,
            _ => DEFAULT_LAST_MS,
        }
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
        assert_eq!(Address::parse("/", ""), Address::default());
        assert_eq!(Address::parse("/", "?y=&q=%zz&last=soon&x&zone=%20"), Address::default());
        assert_eq!(Address::parse("/", "last=999d").range, None);
        assert_eq!(Address::parse("/", "from=2026-11-22T12:00:00Z&to=2026-11-22T11:00:00Z").range, None);
        assert_eq!(Address::default().href(), "/");
    }

    #[test]
    fn only_our_paths_are_pages() {
        assert_eq!(Page::parse("/pipelines/revenue"), Page::Pipeline("revenue".into()));
        assert_eq!(Page::parse("/d/shop"), Page::Board("shop".into()));
        for other in ["/metrics", "/api/v1/sql", "/pipelines/", "/d/a%2Fb", "/sql/", "/pipelines/a/b"] {
            assert_eq!(Page::parse(other), Page::Missing(other.into()));
        }
    }

    #[test]
    fn old_links_mean_the_page_of_their_pipeline() {
        let old = Address::of_old_link("#pipeline=revenue&y=orders&last=5m").expect("names a pipeline");
        assert_eq!(old.href(), "/pipelines/revenue?last=5m&y=orders");
        assert_eq!(Address::of_old_link(""), None);
        assert_eq!(Address::of_old_link("#pipeline="), None);
    }

    #[test]
    fn another_page_keeps_range_and_zone() {
        let here = Address::parse("/pipelines/a", "last=2h&y=n&zone=Europe/Berlin");
        assert_eq!(here.at(Page::Board("b".into())).href(), "/d/b?last=2h&zone=Europe/Berlin");
    }

    fn page() -> impl Strategy<Value = Page> {
        let name = || "[a-zé&=% ?#]{1,8}";
        prop_oneof![
            Just(Page::Overview),
            Just(Page::Sql),
            Just(Page::Letters),
            name().prop_map(Page::Pipeline),
            name().prop_map(Page::Board),
        ]
    }

    fn range() -> impl Strategy<Value = Range> {
        let instants = (0..4_000_000_000_000_i64, 1..1_000_000_000_i64);
        prop_oneof![
            prop::sample::select(&SPANS[..])
                .prop_map(|span| Range::Last(time::parse_duration_ms(span).expect("a span"))),
            instants
                .clone()
                .prop_map(|(from, ms)| Range::Between { from: from * 1_000, to: (from + ms) * 1_000 }),
            instants.prop_map(|(to, _)| Range::Until(to * 1_000)),
        ]
    }

    proptest! {
        #[test]
        fn addresses_come_back(
            page in page(),
            range in prop::option::of(range()),
            measure in prop::option::of("\\PC{1,8}"),
            query in prop::option::of("\\PC{1,8}\n?\\PC{0,4}"),
            only in prop::option::of("\\PC{1,8}"),
            panel in prop::option::of(1..99_usize),
            pin in prop::option::of("\\PC{1,8}"),
            edit in any::<bool>(),
            zone in prop::sample::select(vec!["utc", "local", "America/New_York"]),
        ) {
            let zone = ZoneName::parse(zone).expect("a zone");
            let address =
                Address { page, range, measure, zone, query, only, panel, pin, edit, ..Address::default() };
            let href = address.href();
            let (path, search) = href.split_once('?').unwrap_or((&href, ""));
            prop_assert_eq!(Address::parse(path, search), address);
        }
    }
}
