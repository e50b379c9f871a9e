//! What happens in the shop: customers of several countries, busier and quieter hours, phones
//! without a connection, a partition that falls silent, programs that write nonsense.
//!
//! Invariants:
//! 1. The same seed and the same calls give the same records: nothing here asks a clock.
//! 2. Most records are late by less than the delay that `examples/shop` allows; those of a tunnel
//!    are not, and a poison record is one that no reader can use.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Partitions of the topic of orders.
pub const ORDER_PARTITIONS: i32 = 3;
/// Partitions of the topic of clicks.
pub const CLICK_PARTITIONS: i32 = 4;

/// Orders and clicks per second, on average over a day.
const ORDERS_PER_SECOND: f64 = 40.0;
const CLICKS_PER_SECOND: f64 = 200.0;
/// For so long after the opening every record can be used and is in time: who comes sees the shop as it should be first, and
/// then how it looks when something goes wrong.
const QUIET_MS: i64 = 240_000;
/// A day of the shop, short enough to watch.
const DAY_MS: i64 = 240_000;

/// A country: its share of the business, and when its day begins, as a part of a day.
const COUNTRIES: [(&str, f64, f64); 7] = [
    ("DE", 0.30, 0.00),
    ("FR", 0.20, 0.02),
    ("GB", 0.17, 0.08),
    ("US", 0.14, 0.45),
    ("NL", 0.09, 0.01),
    ("ES", 0.06, 0.05),
    ("JP", 0.04, 0.70),
];
/// Products, price in cents, and how often they are bought.
const PRODUCTS: [(&str, u32, f64); 8] = [
    ("tea", 790, 0.24),
    ("coffee", 1_290, 0.22),
    ("mug", 1_450, 0.16),
    ("kettle", 4_900, 0.12),
    ("grinder", 8_900, 0.10),
    ("scale", 3_500, 0.08),
    ("machine", 44_900, 0.05),
    ("gift card", 5_000, 0.03),
];
/// Pages, typical time to load in milliseconds, and how often they are looked at.
const PAGES: [(&str, u32, f64); 6] = [
    ("/", 120, 0.34),
    ("/search", 260, 0.22),
    ("/product", 180, 0.24),
    ("/cart", 220, 0.11),
    ("/checkout", 410, 0.06),
    ("/help", 90, 0.03),
];
const REFERRERS: [&str; 3] = ["search", "newsletter", "friends"];

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    Order(Order),
    Click(Click),
    Poison(Poison),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub order_id: i64,
    pub ordered_at_ms: i64,
    pub country: &'static str,
    pub product: &'static str,
    pub quantity: i32,
    pub amount_cents: i64,
    pub by_phone: bool,
    /// Known to version 2 of the schema only.
    pub coupon: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    pub clicked_at_ms: i64,
    pub visitor: i64,
    pub page: &'static str,
    pub country: &'static str,
    pub load_ms: i32,
    pub referrer: Option<&'static str>,
}

/// A record that can't become a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// Text where Confluent's wire format was agreed on.
    NotFramed,
    /// The id of a schema that nobody registered.
    UnknownSchema,
    /// Ends in the middle.
    Truncated,
    /// From a machine whose clock is days ahead.
    WrongClock,
    /// No value: not poison, but not a row either.
    Tombstone,
}

const POISONS: [Poison; 5] =
    [Poison::Truncated, Poison::NotFramed, Poison::Tombstone, Poison::WrongClock, Poison::UnknownSchema];

/// A happening and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Of the topic of orders or clicks; poison is written to that of orders.
    pub partition: i32,
    /// When it is written, in milliseconds since 1970: its Kafka timestamp.
    pub at_ms: i64,
    pub happening: Happening,
}

/// The shop. It goes on for ever.
#[derive(Debug)]
pub struct Shop {
    rng: SmallRng,
    /// How much more than usual goes on.
    rate: f64,

    next_order_id: i64,
    n_poisons: usize,
    /// Time since the beginning.
    elapsed_ms: i64,
}

impl Shop {
    /// A shop with `rate` times the usual business: 1 means about 240 records a second.
    #[must_use]
    pub fn new(seed: u64, rate: f64) -> Self {
        Self { rng: SmallRng::seed_from_u64(seed), rate, next_order_id: 1, n_poisons: 0, elapsed_ms: 0 }
    }

    /// What is written in the `tick_ms` milliseconds that end at `now_ms`, in the order of writing.
    pub fn tick(&mut self, now_ms: i64, tick_ms: i64) -> Vec<Written> {
        self.elapsed_ms += tick_ms;
        let seconds = tick_ms as f64 / 1_000.0;
        let mut written = Vec::new();
        for country in 0..COUNTRIES.len() {
            let business = self.business(country) * self.rate * seconds;
            for _ in 0..self.count(ORDERS_PER_SECOND * business) {
                let at_ms = now_ms - self.rng.random_range(0..tick_ms.max(1));
                written.push(self.order(country, at_ms));
            }
            for _ in 0..self.count(CLICKS_PER_SECOND * business) {
                let at_ms = now_ms - self.rng.random_range(0..tick_ms.max(1));
                written.push(self.click(country, at_ms));
            }
        }
        if QUIET_MS < self.elapsed_ms && self.is_due(23_000, tick_ms) {
            let poison = POISONS[self.n_poisons % POISONS.len()];
            self.n_poisons += 1;
            let partition = self.rng.random_range(0..ORDER_PARTITIONS);
            written.push(Written { partition, at_ms: now_ms, happening: Happening::Poison(poison) });
        }
        written.sort_by_key(|each| each.at_ms);
        written
    }

    /// A country's share of the average business at this time of its day.
    fn business(&self, country: usize) -> f64 {
        let (_, share, begin) = COUNTRIES[country];
        let day = self.elapsed_ms as f64 / DAY_MS as f64 - begin;
        share * (1.0 + 0.7 * (day * std::f64::consts::TAU).sin())
    }

    /// A whole number that is `mean` on average.
    fn count(&mut self, mean: f64) -> u32 {
        let whole = mean.floor();
        whole as u32 + u32::from(self.rng.random_bool((mean - whole).clamp(0.0, 1.0)))
    }

    /// Whether a moment that comes every `every_ms` is within the tick that ends now.
    fn is_due(&self, every_ms: i64, tick_ms: i64) -> bool {
        self.elapsed_ms / every_ms != (self.elapsed_ms - tick_ms) / every_ms
    }

    /// Whether now is within the last `length_ms` of a span of `every_ms`.
    fn is_within(&self, every_ms: i64, length_ms: i64) -> bool {
        every_ms - length_ms <= self.elapsed_ms % every_ms
    }

    fn order(&mut self, country: usize, at_ms: i64) -> Written {
        let (product, cents, _) = PRODUCTS[pick(&mut self.rng, PRODUCTS.iter().map(|product| product.2))];
        let quantity = if self.rng.random_bool(0.8) { 1 } else { self.rng.random_range(2..5) };
        let order_id = self.next_order_id;
        self.next_order_id += 1;
        let by_phone = self.rng.random_bool(0.35);
        let coupon = self.rng.random_bool(0.15).then(|| format!("SPRING{}", self.rng.random_range(5..25)));
        let order = Order {
            order_id,
            ordered_at_ms: at_ms - self.way_ms(country, by_phone),
            country: COUNTRIES[country].0,
            product,
            quantity,
            amount_cents: i64::from(cents) * i64::from(quantity),
            by_phone,
            coupon,
        };
        let mut partition = i32::try_from(order_id % i64::from(ORDER_PARTITIONS)).unwrap_or(0);
        // One partition falls silent for a while, and the others take its orders.
        if partition == 1 && self.is_within(120_000, 25_000) {
            partition = 2;
        }
        Written { partition, at_ms, happening: Happening::Order(order) }
    }

    fn click(&mut self, country: usize, at_ms: i64) -> Written {
        let (page, typical_ms, _) = PAGES[pick(&mut self.rng, PAGES.iter().map(|page| page.2))];
        let slow: f64 = if self.rng.random_bool(0.03) { 6.0 } else { 1.0 };
        let load_ms = f64::from(typical_ms) * slow * self.rng.random_range(0.6..1.9);
        let visitor = self.rng.random_range(0..20_000_i64);
        let click = Click {
            clicked_at_ms: at_ms - self.way_ms(country, false).min(1_900),
            visitor,
            page,
            country: COUNTRIES[country].0,
            load_ms: load_ms as i32,
            referrer: self.rng.random_bool(0.3).then(|| REFERRERS[self.rng.random_range(0..REFERRERS.len())]),
        };
        let partition = i32::try_from(visitor % i64::from(CLICK_PARTITIONS)).unwrap_or(0);
        Written { partition, at_ms, happening: Happening::Click(click) }
    }

    /// From the customer to Kafka: mostly a moment, seldom two seconds; from phones in a tunnel,
    /// which are all of the Netherlands for a while, half a minute.
    fn way_ms(&mut self, country: usize, by_phone: bool) -> i64 {
        let in_tunnel = by_phone
            && COUNTRIES[country].0 == "NL"
            && QUIET_MS < self.elapsed_ms
            && self.is_within(90_000, 8_000);
        if in_tunnel {
            return self.rng.random_range(20_000..40_000);
        }
        let u: f64 = self.rng.random_range(0.0..1.0);
        // Quantiles: half under 100 ms, a tenth over 600 ms, none over 2.6 s.
        (2_600.0 * u.powi(5) + 80.0) as i64
    }
}

/// An index, each as often as its weight says. The weights add up to 1.
fn pick(rng: &mut SmallRng, weights: impl Iterator<Item = f64>) -> usize {
    let mut left: f64 = rng.random_range(0.0..1.0);
    let mut last = 0;
    for (i, weight) in weights.enumerate() {
        last = i;
        if left < weight {
            return i;
        }
        left -= weight;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: i64 = 1_790_000_000_000;

    fn minutes(seed: u64, n: i64) -> Vec<Written> {
        let mut shop = Shop::new(seed, 1.0);
        (1..=n * 600).flat_map(|i| shop.tick(START_MS + i * 100, 100)).collect()
    }

    #[test]
    fn the_same_seed_is_the_same_shop() {
        assert_eq!(minutes(7, 1), minutes(7, 1));
        assert_ne!(minutes(7, 1), minutes(8, 1));
    }

    #[test]
    fn a_few_minutes_have_late_records_poison_and_a_silent_partition() {
        let written = minutes(1, 8);
        let per_second = written.len() as f64 / 480.0;
        assert!((200.0..280.0).contains(&per_second), "{per_second}");
        let delays: Vec<i64> = written
            .iter()
            .filter_map(|each| match &each.happening {
                Happening::Order(order) => Some(each.at_ms - order.ordered_at_ms),
                _ => None,
            })
            .collect();
        let late = delays.iter().filter(|delay| 3_000 < **delay).count();
        assert!((5..delays.len() / 50).contains(&late), "{late} of {}", delays.len());
        let is_wrong = |each: &&Written| match &each.happening {
            Happening::Order(order) => 3_000 < each.at_ms - order.ordered_at_ms,
            Happening::Poison(_) => true,
            Happening::Click(_) => false,
        };
        let first = written.iter().find(is_wrong).expect("something goes wrong").at_ms;
        assert!(START_MS + QUIET_MS < first, "{first}");
        for poison in POISONS {
            assert!(written.iter().any(|each| each.happening == Happening::Poison(poison)), "{poison:?}");
        }
        let orders_of_one = written
            .iter()
            .filter(|each| each.partition == 1 && matches!(each.happening, Happening::Order(_)));
        let times: Vec<i64> = orders_of_one.map(|each| each.at_ms).collect();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!((20_000..30_000).contains(&longest), "{longest}");
    }
}
