//! How the reader's language writes numbers, dates and times: asked of the browser, which writes samples.

use std::cell::Cell;

use js_sys::{Date, Object, Reflect};
use leptos::prelude::window;
use wasm_bindgen::JsValue;

use crate::protocol::time::MILLISECOND;
use crate::view::clock::{self, Samples, sample};
use crate::view::number;

/// Asks how numbers are written.
pub(super) fn numbers() {
    number::write_as(&String::from(js_sys::Number::from(12_345.6).to_locale_string(&language())));
}

/// Asks how dates and times are written, once: for the parts of the program, since the overview has none.
pub(super) fn times() {
    thread_local! {
        static ASKED: Cell<bool> = const { Cell::new(false) };
    }
    if ASKED.replace(true) {
        return;
    }
    let language = language();
    let text = |instant: i64, options: &[(&str, &str)]| {
        let date = Date::new(&JsValue::from_f64((instant / MILLISECOND) as f64));
        let all = Object::new();
        let fixed = [("timeZone", "UTC"), ("calendar", "gregory"), ("numberingSystem", "latn")];
        for (name, value) in fixed.iter().chain(options) {
            // Refused only by an object that is frozen.
            drop(Reflect::set(&all, &(*name).into(), &(*value).into()));
        }
        String::from(date.to_locale_string(&language, &all))
    };
    let clock = [("hour", "2-digit"), ("minute", "2-digit"), ("second", "2-digit"), ("hourCycle", "h23")];
    let date = [("day", "numeric"), ("month", "short"), ("year", "numeric")];
    let dates = (1..=12).map(|month| [text(sample(month, 3), &date), text(sample(month, 3), &date[..2])]);
    clock::write_as(&Samples {
        clocks: [3, 13].map(|hour| text(sample(1, hour), &clock[..3])),
        clock_24: text(sample(1, 13), &clock),
        dates: dates.collect(),
    });
}

fn language() -> String {
    window().navigator().language().unwrap_or_else(|| "en".to_owned())
}
