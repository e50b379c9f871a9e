//! The zone that the address names, with the offsets that the browser knows of it.

use js_sys::{Array, Date, Function, Object, Reflect};
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};

use super::Route;
use crate::protocol::time::{self, MILLISECOND, SECOND};
use crate::view::zone::{self, Zone, ZoneName};

/// Offsets are looked up for so long before and after now: what the page can show.
const REACH: i64 = 400 * 86_400 * SECOND;

/// The zone of the address. A name that the browser does not know is UTC, and says so.
pub(super) fn follow(route: Route) -> Memo<Zone> {
    let name = Memo::new(move |_| route.with(|address| address.zone.clone()));
    Memo::new(move |_| match name.get() {
        ZoneName::Utc => Zone::default(),
        ZoneName::Local => look_up(None).unwrap_or_default(),
        ZoneName::Named(name) => look_up(Some(&name)).unwrap_or_default(),
    })
}

fn look_up(name: Option<&str>) -> Option<Zone> {
    let formatter = formatter(name)?;
    let format: Function = member(&formatter, "format")?.dyn_into().ok()?;
    let offset_at = |instant: i64| {
        let shown = format.call1(&formatter, &JsValue::from_f64((instant / MILLISECOND) as f64)).ok()?;
        // The clock of the zone, read as if it were UTC, minus the instant.
        let local = read(&shown.as_string()?)?;
        Some((local - instant.div_euclid(SECOND) * SECOND).div_euclid(SECOND) * SECOND)
    };
    let now = (Date::now() * 1_000.0) as i64;
    let label = match name {
        Some(name) => name.to_owned(),
        None => {
            let resolve: Function = member(&formatter, "resolvedOptions")?.dyn_into().ok()?;
            member(&resolve.call0(&formatter).ok()?, "timeZone")?.as_string()?
        }
    };
    let steps = zone::steps(now - REACH, now + REACH, |instant| offset_at(instant).unwrap_or(0));
    Some(Zone::new(label, steps))
}

/// An `Intl.DateTimeFormat` that writes `11/24/2026, 20:12:33`; `None` where the browser does not know the zone.
fn formatter(name: Option<&str>) -> Option<JsValue> {
    let options = Object::new();
    let set = |name: &str, value: &str| Reflect::set(&options, &name.into(), &value.into()).ok();
    set("hourCycle", "h23")?;
    set("year", "numeric")?;
    for part in ["month", "day", "hour", "minute", "second"] {
        set(part, "2-digit")?;
    }
    if let Some(name) = name {
        set("timeZone", name)?;
    }
    let constructor: Function =
        member(&member(&js_sys::global(), "Intl")?, "DateTimeFormat")?.dyn_into().ok()?;
    Reflect::construct(&constructor, &Array::of2(&"en-US".into(), &options)).ok()
}

fn member(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined())
}

fn read(text: &str) -> Option<i64> {
    let mut parts = text.split(|letter: char| !letter.is_ascii_digit()).filter(|part| !part.is_empty());
    let [month, day, year, hour, minute, second] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    time::parse_instant(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}
