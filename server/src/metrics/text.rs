//! OpenMetrics text, version 1.0.0.

use std::fmt::{Display, Write as _};

use super::histogram::Histogram;

/// An exposition under construction.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// What a family's samples mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Label names and values; the values are escaped when written.
pub(super) type Labels<'a> = &'a [(&'a str, &'a dyn Display)];

impl Exposition {
    /// Begins a family: `name` without `_total`; `unit` is its last word, or empty.
    pub(super) fn family(&mut self, name: &str, kind: Kind, unit: &str, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.put(format_args!("# TYPE {name} {kind}\n"));
        if !unit.is_empty() {
            self.put(format_args!("# UNIT {name} {unit}\n"));
        }
        self.put(format_args!("# HELP {name} {help}\n"));
    }

    /// One sample; `name` with `_total` for a counter.
    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(name);
        self.labels(labels, None);
        self.put(format_args!(" {value}\n"));
    }

    /// All samples of one histogram.
    pub(super) fn histogram(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        let mut count = 0;
        for (bound, total) in histogram.cumulative() {
            count = total;
            self.put(format_args!("{name}_bucket"));
            self.labels(labels, Some(&bound.map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"))));
            self.put(format_args!(" {total}\n"));
        }
        self.put(format_args!("{name}_sum"));
        self.labels(labels, None);
        self.put(format_args!(" {}\n{name}_count", histogram.sum()));
        self.labels(labels, None);
        self.put(format_args!(" {count}\n"));
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }

    fn labels(&mut self, labels: Labels<'_>, bound: Option<&str>) {
        let mut separator = '{';
        for (name, value) in labels {
            let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.put(format_args!("{separator}{name}=\"{value}\""));
            separator = ',';
        }
        if let Some(bound) = bound {
            self.put(format_args!("{separator}le=\"{bound}\""));
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("writing to memory does not fail");
    }
}
