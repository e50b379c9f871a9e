//! How large an element is drawn, as a signal.

use leptos::html::ElementType;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

/// The size inside of the element in CSS pixels, whole ones; `(0, 0)` until it is laid out.
pub(super) fn follow_size<E>(element: NodeRef<E>) -> RwSignal<(f64, f64)>
where
    E: ElementType + 'static,
    E::Output: JsCast + Clone + 'static,
{
    let size = RwSignal::new((0.0, 0.0));
    let watching = StoredValue::new_local(None::<(web_sys::ResizeObserver, Closure<dyn Fn()>)>);
    on_cleanup(move || {
        if let Some((observer, _)) = watching.try_update_value(Option::take).flatten() {
            observer.disconnect();
        }
    });
    Effect::new(move |_| {
        let Some(element) = element.get() else { return };
        let element: web_sys::Element = element.unchecked_into();
        let observed = element.clone();
        let measure = move || {
            let now = (f64::from(observed.client_width()), f64::from(observed.client_height()));
            if size.get_untracked() != now {
                size.set(now);
            }
        };
        let callback = Closure::<dyn Fn()>::new(measure);
        if let Ok(observer) = web_sys::ResizeObserver::new(callback.as_ref().unchecked_ref()) {
            observer.observe(&element);
            watching.set_value(Some((observer, callback)));
        }
    });
    size
}
