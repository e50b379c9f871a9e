//! A chart as a list of shapes: what a canvas is told, without one. Lengths in CSS pixels from the top left.

use super::frame::Frame;

/// A colour of the theme, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Text,
    Quiet,
    Grid,
    Surface,
    Accent,
    /// Of a series, by its slot.
    Series(usize),
}

/// How a surface is filled. Provisional is hatched, so that it differs without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    Solid,
    Hatched,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dash {
    Solid,
    /// Of what is provisional.
    Provisional,
    /// Of what follows the pointer.
    Pointer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Centre,
    Right,
}

/// One thing to draw.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Line {
        points: Vec<(f64, f64)>,
        ink: Ink,
        width: f64,
        dash: Dash,
        alpha: f64,
    },
    /// A closed outline.
    Area {
        outline: Vec<(f64, f64)>,
        ink: Ink,
        fill: Fill,
        alpha: f64,
    },
    /// Boxes: left, top, width, height.
    Boxes {
        boxes: Vec<[f64; 4]>,
        ink: Ink,
        fill: Fill,
        alpha: f64,
    },
    /// Marks of a series; provisional ones are hollow.
    Marks {
        places: Vec<(f64, f64)>,
        slot: usize,
        is_hollow: bool,
        alpha: f64,
    },
    Ring {
        x: f64,
        y: f64,
        ink: Ink,
    },
    Text {
        x: f64,
        y: f64,
        text: String,
        ink: Ink,
        align: Align,
    },
    /// A larger text.
    Title {
        x: f64,
        y: f64,
        text: String,
    },
}

impl Shape {
    /// A thin line.
    pub fn hairline(points: Vec<(f64, f64)>, ink: Ink) -> Self {
        Self::Line { points, ink, width: 1.0, dash: Dash::Solid, alpha: 1.0 }
    }

    pub fn text(x: f64, y: f64, text: impl Into<String>, ink: Ink, align: Align) -> Self {
        Self::Text { x, y, text: text.into(), ink, align }
    }

    fn shift(&mut self, right: f64, down: f64) {
        match self {
            Self::Line { points: places, .. }
            | Self::Area { outline: places, .. }
            | Self::Marks { places, .. } => {
                for (x, y) in places {
                    *x += right;
                    *y += down;
                }
            }
            Self::Boxes { boxes, .. } => {
                for [left, top, ..] in boxes {
                    *left += right;
                    *top += down;
                }
            }
            Self::Ring { x, y, .. } | Self::Text { x, y, .. } | Self::Title { x, y, .. } => {
                *x += right;
                *y += down;
            }
        }
    }
}

/// A chart, from back to front.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drawing {
    /// Where everything stands; `None` where nothing can be pointed at.
    pub frame: Option<Frame>,
    pub back: Vec<Shape>,
    /// Drawn inside of the frame's axes only.
    pub plot: Vec<Shape>,
    pub front: Vec<Shape>,
}

impl Drawing {
    /// The same further right and further down.
    pub fn moved(mut self, right: f64, down: f64) -> Self {
        for shape in self.back.iter_mut().chain(&mut self.plot).chain(&mut self.front) {
            shape.shift(right, down);
        }
        if let Some(frame) = &mut self.frame {
            frame.x.start += right;
            frame.x.end += right;
            frame.y.start += down;
            frame.y.end += down;
        }
        self
    }
}

/// Half pixels, so that a line of one pixel is one pixel.
pub fn crisp(place: f64) -> f64 {
    place.round() + 0.5
}

/// About how wide a text is in the chart's font: layout needs it before there is a canvas. Digits are 5.6 wide.
pub fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 5.8
}

/// The beginning of a text that fits into `width`, with an ellipsis where it is cut.
pub fn fitted(text: &str, width: f64) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let n_letters = ((width / text_width("x")) as usize).saturating_sub(1);
    let mut short: String = text.chars().take(n_letters).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_their_place() {
        assert_eq!(fitted("checkout", 100.0), "checkout");
        assert_eq!(fitted("checkout", 31.5), "chec…");
        assert_eq!(fitted("checkout", 0.0), "…");
    }
}
