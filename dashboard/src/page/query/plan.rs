//! An answer to EXPLAIN, as a tree.

use leptos::prelude::*;

use crate::view::explain::{Line, Plan};

#[component]
pub(super) fn PlanOf(plans: Vec<Plan>) -> impl IntoView {
    let plan = |plan: Plan| {
        view! {
            <h2 class="plan-title">{plan.title.clone()}</h2>
            <ul class="plan" aria-label=plan.title data-testid="sql-plan">
                {plan.lines.into_iter().map(step).collect_view()}
            </ul>
        }
    };
    view! { <div class="scroll plans" tabindex="0" role="region" aria-label="Plan">{plans.into_iter().map(plan).collect_view()}</div> }
}

fn step(line: Line) -> impl IntoView {
    let name = match line.words {
        Some(words) => view! { <strong>{words}</strong> <code class="quiet">{line.name}</code> }.into_any(),
        None => view! { <strong>{line.name}</strong> }.into_any(),
    };
    let part = |part: String| {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) if !name.contains([' ', '(']) => (format!("{name} "), value.to_owned()),
            _ => (String::new(), part),
        };
        view! { <span class="plan-part"><span class="quiet">{name}</span>{value}</span> }
    };
    let rows = line.rows.map(|rows| {
        let unit = if rows == "1" { " row" } else { " rows" };
        view! { <span class="metric figure">{rows}{unit}</span> }
    });
    // As a picture: a width in markup would be a style, which the content security policy forbids.
    let time = line.time.map(|(time, share)| {
        let width = (share * 100.0).round();
        view! {
            <span class="metric figure">
                <svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                    <rect class="of" width="100" height="10" />
                    <rect width=width.to_string() height="10" />
                </svg>
                {time} " " <span class="quiet">{format!("{width} %")}</span>
            </span>
        }
    });
    let others = (!line.metrics.is_empty()).then(|| {
        let metrics = line.metrics.into_iter().map(|metric| metric.replace('=', " ")).collect::<Vec<_>>();
        view! {
            <details class="metrics">
                <summary>"More"</summary>
                <p class="figure">{metrics.join(", ")}</p>
            </details>
        }
    });
    view! {
        <li class=format!("plan-line depth-{}", line.depth)>
            {name}
            {line.parts.into_iter().map(part).collect_view()}
            {rows}
            {time}
            {others}
        </li>
    }
}
