//! A chart with all that stands around it on the page, as a picture that can be looked at alone.

use super::draw::{Align, Drawing, Ink, Shape, fitted, text_width};
use super::legend::Legend;

const MARGIN: f64 = 20.0;
const HEAD: f64 = 52.0;
const LEGEND_LINE: f64 = 20.0;

/// The picture of a drawing of this size, and the picture's own size. `under` stands below the title.
pub fn picture(
    title: &str,
    under: &str,
    legend: &Legend,
    drawing: Drawing,
    (width, height): (f64, f64),
) -> (Drawing, f64, f64) {
    let whole_width = width + 2.0 * MARGIN;
    let mut picture = drawing.moved(MARGIN, MARGIN + HEAD);
    picture.front.push(Shape::Title { x: MARGIN, y: MARGIN + 8.0, text: fitted(title, width * 0.7) });
    picture.front.push(Shape::text(MARGIN, MARGIN + 30.0, under, Ink::Quiet, Align::Left));
    let mut y = MARGIN + HEAD + height + LEGEND_LINE;
    let mut x = MARGIN;
    for entry in &legend.entries {
        let text = format!("{} {}", entry.label, entry.value);
        let needed = 18.0 + text_width(&text);
        if whole_width - MARGIN < x + needed && MARGIN < x {
            (x, y) = (MARGIN, y + LEGEND_LINE);
        }
        let places = vec![(x + 5.0, y)];
        picture.front.push(Shape::Marks { places, slot: entry.slot, is_hollow: false, alpha: 1.0 });
        picture.front.push(Shape::text(x + 16.0, y, text, Ink::Text, Align::Left));
        x += needed + 16.0;
    }
    if !legend.note.is_empty() {
        y += LEGEND_LINE;
        picture.front.push(Shape::text(MARGIN, y, fitted(&legend.note, width), Ink::Quiet, Align::Left));
    }
    (picture, whole_width, y + MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::legend::Entry;

    #[test]
    fn everything_is_inside_of_the_picture() {
        let entry = |slot| Entry { label: format!("country {slot}"), slot, value: "1,234.50".into() };
        let note = "The 12 largest of 40 series are drawn, the rest as one.".to_owned();
        let legend = Legend { entries: (0..12).map(entry).collect(), note, ..Legend::default() };
        let dot = Shape::Ring { x: 0.0, y: 0.0, ink: Ink::Text };
        let drawing = Drawing { back: vec![dot], ..Drawing::default() };
        let (picture, width, height) = picture("Revenue", "complete", &legend, drawing, (300.0, 100.0));
        assert_eq!(picture.back, [Shape::Ring { x: MARGIN, y: MARGIN + HEAD, ink: Ink::Text }]);
        for shape in &picture.front {
            if let Shape::Text { x, y, text, .. } = shape {
                assert!(x + text_width(text) <= width && y + 6.0 <= height, "{shape:?}");
            }
        }
    }
}
