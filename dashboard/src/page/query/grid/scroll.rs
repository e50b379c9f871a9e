//! What of a scrolled box is in sight, and lengths that only the program knows.

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use crate::view::grid::layout::{self, ColumnView, HEAD_HEIGHT, ROW_HEIGHT};
use crate::view::grid::select::Cell;

/// A box that scrolls; copies are the same box.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    body: NodeRef<html::Div>,
    /// From the left and from the top.
    scrolled: RwSignal<(f64, f64)>,
    /// Width, and height without the head.
    size: RwSignal<(f64, f64)>,
}

impl Sight {
    /// Follows the box for as long as the caller's scope lives.
    pub(super) fn follow(body: NodeRef<html::Div>) -> Self {
        let sight = Self { body, scrolled: RwSignal::new((0.0, 0.0)), size: RwSignal::new((1_000.0, 600.0)) };
        let watching = StoredValue::new_local(None::<(web_sys::ResizeObserver, [Closure<dyn Fn()>; 2])>);
        on_cleanup(move || {
            if let Some((observer, _)) = watching.try_update_value(Option::take).flatten() {
                observer.disconnect();
            }
        });
        Effect::new(move |_| {
            let Some(element) = body.get() else { return };
            let on_scroll = Closure::<dyn Fn()>::new(move || sight.look());
            let on_resize = Closure::<dyn Fn()>::new(move || sight.look());
            // Refused only for an element that is gone.
            drop(element.add_event_listener_with_callback("scroll", on_scroll.as_ref().unchecked_ref()));
            if let Ok(observer) = web_sys::ResizeObserver::new(on_resize.as_ref().unchecked_ref()) {
                observer.observe(&element);
                watching.set_value(Some((observer, [on_scroll, on_resize])));
            }
        });
        sight
    }

    fn look(self) {
        let Some(element) = self.body.get_untracked() else { return };
        let scrolled = (f64::from(element.scroll_left()), f64::from(element.scroll_top()));
        let height = (f64::from(element.client_height()) - HEAD_HEIGHT).max(0.0);
        let size = (f64::from(element.client_width()), height);
        if self.scrolled.get_untracked() != scrolled {
            self.scrolled.set(scrolled);
        }
        if self.size.get_untracked() != size {
            self.size.set(size);
        }
    }

    /// The rows that are to be there.
    pub(super) fn rows(self, n_rows: usize) -> std::ops::Range<usize> {
        layout::rows_in_sight(n_rows, self.scrolled.get().1, self.size.get().1)
    }

    /// The rows that can be seen.
    pub(super) fn rows_seen(self, n_rows: usize) -> std::ops::Range<usize> {
        layout::rows_seen(n_rows, self.scrolled.get().1, self.size.get().1)
    }

    /// The columns that are to be there.
    pub(super) fn columns(self, columns: &[ColumnView]) -> std::ops::Range<usize> {
        layout::columns_in_sight(columns, self.scrolled.get().0, self.size.get().0)
    }

    /// How many rows fit into the box.
    pub(super) fn n_rows(self) -> usize {
        (self.size.get_untracked().1 / ROW_HEIGHT).floor() as usize
    }

    /// Scrolls so that a cell is in sight.
    pub(super) fn show(self, cell: Cell, columns: &[ColumnView]) {
        let (Some(element), Some(column)) = (self.body.get_untracked(), columns.get(cell.column)) else {
            return;
        };
        let (width, height) = self.size.get_untracked();
        let (left, top) = (f64::from(element.scroll_left()), f64::from(element.scroll_top()));
        let row_top = cell.row as f64 * ROW_HEIGHT;
        let next_top = layout::scroll_to_show(top, height, row_top, row_top + ROW_HEIGHT);
        let next_left = layout::scroll_to_show(left, width, column.left, column.left + column.width);
        // The casts saturate, and no grid is that large.
        if next_top != top {
            element.set_scroll_top(next_top.ceil() as i32);
        }
        if next_left != left {
            element.set_scroll_left(next_left.floor() as i32);
        }
    }
}

/// A CSS length.
pub(super) fn px(pixels: f64) -> String {
    format!("{pixels}px")
}

/// Lengths of an element that depend on the answer.
pub(super) struct Place;

impl Place {
    /// Sets properties whenever they change.
    pub(super) fn follow<const N: usize>(
        element: NodeRef<html::Div>,
        properties: impl Fn() -> [(&'static str, String); N] + 'static,
    ) {
        Effect::new(move |_| {
            let Some(element) = element.get() else { return };
            let style = web_sys::HtmlElement::style(&element);
            for (name, value) in properties() {
                let accepted = style.set_property(name, &value);
                debug_assert!(accepted.is_ok(), "the names are those of properties");
            }
        });
    }
}
