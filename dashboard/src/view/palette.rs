//! What the command palette offers, and which of it a text means.

use weir_api::DashboardEntry;

use super::address::Page;
use super::zone::ZoneName;

/// Offers shown at most.
pub const MAX_SHOWN: usize = 40;

/// The kind of offers that are only made to who types something of them: there are hundreds.
const ZONE: &str = "Time zone";

/// What an offer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    Go(Page),
    SwitchTheme,
    Zone(ZoneName),
}

/// A line of the palette.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub title: String,
    /// What kind of thing it is, in a word.
    pub kind: &'static str,
    /// More of it that one may type, such as a dashboard's name.
    pub also: String,
    pub deed: Deed,
}

/// All that is offered: what there is most of comes first, actions last.
pub fn offers<'a>(
    pipelines: impl Iterator<Item = &'a str>,
    boards: &[DashboardEntry],
    is_dark: bool,
) -> Vec<Offer> {
    let offer = |title: &str, kind, also: &str, deed| Offer {
        title: title.to_owned(),
        kind,
        also: also.to_owned(),
        deed,
    };
    let boards = boards.iter().map(|board| {
        offer(&board.title, "Dashboard", &board.name, Deed::Go(Page::Board(board.name.clone())))
    });
    let pipelines =
        pipelines.map(|name| offer(name, "Pipeline", "", Deed::Go(Page::Pipeline(name.to_owned()))));
    let theme = if is_dark { "Light theme" } else { "Dark theme" };
    let others = [
        offer("Overview", "Page", "pipelines dashboards", Deed::Go(Page::Overview)),
        offer("SQL", "Page", "query", Deed::Go(Page::Sql)),
        offer("Dead letters", "Page", "late rows errors", Deed::Go(Page::Letters)),
        offer(theme, "Action", "switch colours", Deed::SwitchTheme),
        offer("Times in UTC", "Action", "zone", Deed::Zone(ZoneName::Utc)),
        offer("Times in local time", "Action", "zone", Deed::Zone(ZoneName::Local)),
    ];
    pipelines.chain(boards).chain(others).collect()
}

/// The offers of named zones, such as `Asia/Kolkata`.
pub fn zones(names: Vec<String>) -> impl Iterator<Item = Offer> {
    names.into_iter().filter_map(|name| {
        let deed = Deed::Zone(ZoneName::parse(&name)?);
        Some(Offer { also: "zone".to_owned(), title: name, kind: ZONE, deed })
    })
}

/// The offers that `text` may mean, best first, at most [`MAX_SHOWN`]; all but the named zones where it is empty.
pub fn meant(offers: &[Offer], text: &str) -> Vec<Offer> {
    let wanted = text.trim().to_lowercase();
    let mut ranked: Vec<(u8, &Offer)> = offers
        .iter()
        .filter(|offer| !wanted.is_empty() || offer.kind != ZONE)
        .filter_map(|offer| {
            Some((rank(&offer.title, &wanted).or_else(|| weak(&offer.also, &wanted))?, offer))
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(MAX_SHOWN).map(|(_, offer)| offer.clone()).collect()
}

/// How well a title fits, 0 best: it begins so, a word of it does, it holds it, it has its letters in this order.
fn rank(title: &str, wanted: &str) -> Option<u8> {
    let title = title.to_lowercase();
    let mut words = title.split(|letter: char| !letter.is_alphanumeric());
    if title.starts_with(wanted) {
        return Some(0);
    }
    if words.any(|word| word.starts_with(wanted)) {
        return Some(1);
    }
    if title.contains(wanted) {
        return Some(2);
    }
    let mut letters = title.chars();
    wanted.chars().all(|wanted| letters.any(|letter| letter == wanted)).then_some(4)
}

fn weak(also: &str, wanted: &str) -> Option<u8> {
    also.split(' ').any(|word| word.starts_with(wanted)).then_some(3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> Vec<Offer> {
        let board = DashboardEntry { name: "shop".into(), title: "Shop".into() };
        offers(["clicks", "orders_by_hour", "revenue"].into_iter(), &[board], true)
    }

    #[test]
    fn zones_are_for_who_asks_for_them() {
        let all: Vec<Offer> =
            all().into_iter().chain(zones(vec!["America/New_York".into(), "Asia/Kolkata".into()])).collect();
        let titles = |text: &str| meant(&all, text).into_iter().map(|offer| offer.title).collect::<Vec<_>>();
        assert!(titles("").iter().all(|title| !title.contains('/')));
        assert_eq!([&titles("kolk")[0], &titles("york")[0]], ["Asia/Kolkata", "America/New_York"]);
        assert_eq!(titles("zone").len(), 4, "and two that are offered to all");
        let deed = meant(&all, "kolkata").remove(0).deed;
        assert_eq!(deed, Deed::Zone(ZoneName::parse("Asia/Kolkata").expect("a zone")));
    }

    fn titles(text: &str) -> Vec<String> {
        meant(&all(), text).into_iter().map(|offer| offer.title).collect()
    }

    #[test]
    fn best_fit_comes_first() {
        assert_eq!(titles("re")[0], "revenue");
        assert_eq!(titles("ho"), ["orders_by_hour", "Shop"], "a word before the middle of one");
        assert_eq!(titles("obh"), ["orders_by_hour"]);
        assert_eq!(titles("QUERY"), ["SQL"]);
        assert_eq!(titles("light"), ["Light theme"]);
        assert_eq!(titles(" ").len(), all().len());
        assert!(titles("no such thing").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_gives_offers_of_the_list(text in ".{0,12}") {
            let all = all();
            prop_assert!(meant(&all, &text).iter().all(|offer| all.contains(offer)));
        }

        /// Whoever types a title, or its beginning, finds it.
        #[test]
        fn what_is_typed_is_found(at in 0..10_usize, n_letters in 1..20_usize) {
            let offer = all()[at].clone();
            let text: String = offer.title.chars().take(n_letters).collect();
            prop_assert!(meant(&all(), &text).contains(&offer));
        }
    }
}
