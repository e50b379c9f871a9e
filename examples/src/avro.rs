//! Happenings of the shop as record values in Confluent's wire format.

use anyhow::{Context, Result};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema};
use weir_schemas::{SchemaId, SchemaRegistry};

use crate::shop::{Click, Happening, Order, Poison};
use crate::{CLICKS, ORDERS};

const ORDER_V1: &str = include_str!("../avro/order_v1.avsc");
const ORDER_V2: &str = include_str!("../avro/order_v2.avsc");
const CLICK_V1: &str = include_str!("../avro/click_v1.avsc");

/// No registry counts that far.
const UNKNOWN_SCHEMA: SchemaId = SchemaId(999_999);
/// Further than any reader lets a clock be ahead.
const WRONG_CLOCK_MS: i64 = 3 * 24 * 3_600_000;

/// A schema under its id.
struct Registered {
    id: SchemaId,
    schema: Schema,
}

impl Registered {
    fn new(registry: &dyn SchemaRegistry, topic: &str, text: &str) -> Result<Self> {
        let subject = format!("{topic}-value");
        let id = registry
            .register(&subject, text)
            .with_context(|| format!("could not register a schema of subject \"{subject}\""))?;
        Ok(Self { id, schema: Schema::parse_str(text)? })
    }

    fn value(&self, fields: Vec<(&str, Value)>) -> Result<Vec<u8>> {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let body =
            GenericDatumWriter::builder(&self.schema).build()?.write_value_to_vec(Value::Record(fields))?;
        Ok(framed(self.id, &body))
    }
}

fn framed(id: SchemaId, body: &[u8]) -> Vec<u8> {
    let mut value = vec![0];
    value.extend_from_slice(&id.0.to_be_bytes());
    value.extend_from_slice(body);
    value
}

/// Writes values; knows the ids of its schemas.
pub struct Encoder {
    click: Registered,
    order: Registered,
    /// Once a producer was upgraded.
    order_v2: Option<Registered>,
}

impl Encoder {
    /// Registers the first versions of the schemas.
    ///
    /// # Errors
    /// The registry is away or refuses them.
    pub fn new(registry: &dyn SchemaRegistry) -> Result<Self> {
        Ok(Self {
            click: Registered::new(registry, CLICKS, CLICK_V1)?,
            order: Registered::new(registry, ORDERS, ORDER_V1)?,
            order_v2: None,
        })
    }

    /// Registers version 2 of the schema of orders: from now on orders of the web shop have it,
    /// those by phone are still written by the old program.
    ///
    /// # Errors
    /// The registry is away or refuses it.
    pub fn upgrade(&mut self, registry: &dyn SchemaRegistry) -> Result<()> {
        self.order_v2 = Some(Registered::new(registry, ORDERS, ORDER_V2)?);
        Ok(())
    }

    /// Whether [`Self::upgrade`] was called.
    #[must_use]
    pub fn is_upgraded(&self) -> bool {
        self.order_v2.is_some()
    }

    /// The record value; `None` is a tombstone.
    ///
    /// # Errors
    /// A happening does not fit its schema: a bug here.
    pub fn value(&self, happening: &Happening, at_ms: i64) -> Result<Option<Vec<u8>>> {
        Ok(match happening {
            Happening::Order(order) => Some(self.order(order)?),
            Happening::Click(click) => Some(self.click(click)?),
            Happening::Poison(poison) => self.poison(*poison, at_ms)?,
        })
    }

    fn order(&self, order: &Order) -> Result<Vec<u8>> {
        let mut fields = vec![
            ("order_id", Value::Long(order.order_id)),
            ("ordered_at", Value::TimestampMillis(order.ordered_at_ms)),
            ("country", Value::String(order.country.to_owned())),
            ("product", Value::String(order.product.to_owned())),
            ("quantity", Value::Int(order.quantity)),
            ("amount", Value::Decimal(Decimal::from(order.amount_cents.to_be_bytes()))),
            ("channel", channel(order.by_phone)),
        ];
        match &self.order_v2 {
            Some(v2) if !order.by_phone => {
                let coupon = order.coupon.clone().map(Value::String);
                fields.push(("coupon", nullable(coupon)));
                v2.value(fields)
            }
            _ => self.order.value(fields),
        }
    }

    fn click(&self, click: &Click) -> Result<Vec<u8>> {
        self.click.value(vec![
            ("clicked_at", Value::TimestampMillis(click.clicked_at_ms)),
            ("visitor", Value::Long(click.visitor)),
            ("page", Value::String(click.page.to_owned())),
            ("country", Value::String(click.country.to_owned())),
            ("load_ms", Value::Int(click.load_ms)),
            ("referrer", nullable(click.referrer.map(|referrer| Value::String(referrer.to_owned())))),
        ])
    }

    fn poison(&self, poison: Poison, at_ms: i64) -> Result<Option<Vec<u8>>> {
        let mut order = Order {
            order_id: 0,
            ordered_at_ms: at_ms,
            country: "DE",
            product: "tea",
            quantity: 1,
            amount_cents: 790,
            by_phone: true,
            coupon: None,
        };
        Ok(match poison {
            Poison::Tombstone => None,
            Poison::NotFramed => Some(br#"{"order_id": 17, "note": "we moved to JSON"}"#.to_vec()),
            Poison::UnknownSchema => Some(framed(UNKNOWN_SCHEMA, &[1, 2, 3])),
            Poison::Truncated => {
                let mut value = self.order(&order)?;
                value.truncate(value.len() - 4);
                Some(value)
            }
            Poison::WrongClock => {
                order.ordered_at_ms += WRONG_CLOCK_MS;
                Some(self.order(&order)?)
            }
        })
    }
}

fn channel(by_phone: bool) -> Value {
    if by_phone { Value::Enum(1, "phone".to_owned()) } else { Value::Enum(0, "web".to_owned()) }
}

fn nullable(value: Option<Value>) -> Value {
    match value {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(value) => Value::Union(1, Box::new(value)),
    }
}

#[cfg(test)]
mod tests {
    use weir_schemas::registry::EmbeddedRegistry;
    use weir_schemas::{ReaderSchema, SchemaText};

    use super::*;
    use crate::shop::Shop;

    #[test]
    fn everything_that_happens_can_be_written_before_and_after_the_upgrade() {
        let registry = EmbeddedRegistry::new();
        let mut encoder = Encoder::new(&registry).unwrap();
        let mut shop = Shop::new(1, 1.0);
        let mut ids = Vec::new();
        for i in 0..1_200 {
            if i == 600 {
                encoder.upgrade(&registry).unwrap();
            }
            for each in shop.tick(1_790_000_000_000 + i * 100, 100) {
                let value = encoder.value(&each.happening, each.at_ms).unwrap();
                if let (Happening::Order(_), Some(value)) = (&each.happening, value) {
                    ids.push(u32::from_be_bytes(value[1..5].try_into().unwrap()));
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 2, "orders are written with both versions");
    }

    #[test]
    fn version_2_is_readable_with_version_1() {
        let reader = ReaderSchema::parse(ORDER_V1).unwrap();
        assert!(reader.check_writer(&SchemaText::from(ORDER_V2)).unwrap().is_empty());
    }
}
