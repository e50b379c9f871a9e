//! An answer to EXPLAIN, as a tree.

use leptos::prelude::*;

use crate::view::explain::{Line, Plan};

#[component]
pub(super) fn PlanOf(plans: Vec<Plan>) -> impl IntoView {
    let line = |line: Line| {
        let part = |part: String| {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) if !name.contains([' ', '(']) => (format!("{name} "), value.to_owned()),
                _ => (String::new(), part),
            };
            view! { <span class="plan-part"><span class="quiet">{name}</span>{value}</span> }
        };
        let metrics = line
            .metrics
            .into_iter()
            .map(|metric| view! { <span class="metric figure">{metric.replace('=', " ")}</span> });
        view! {
            <li class=format!("plan-line depth-{}", line.depth)>
                <strong>{line.name}</strong>
                {line.parts.into_iter().map(part).collect_view()}
                {metrics.collect_view()}
            </li>
        }
    };
    let plan = |plan: Plan| {
        view! {
            <h2 class="plan-title">{plan.title.clone()}</h2>
            <ul class="plan" aria-label=plan.title data-testid="sql-plan">
                {plan.lines.into_iter().map(line).collect_view()}
            </ul>
        }
    };
    view! { <div class="scroll plans" tabindex="0" role="region" aria-label="Plan">{plans.into_iter().map(plan).collect_view()}</div> }
}
