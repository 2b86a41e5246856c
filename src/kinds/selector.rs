//! Selection by labels.

use model::{Selector, SelectorOperator, SelectorRequirement, codes};

use crate::at::{At, Fields};
use crate::report::{Place, Report};

/// `workloadSelector`: labels with their values, or a selector as Kubernetes has it.
pub(crate) fn workloads(spec: &mut Fields<'_>, report: &mut Report) -> Option<Selector> {
    let at = spec.take("workloadSelector")?;
    let word = |name: &str| matches!(name, "matchLabels" | "matchExpressions");
    if at.node.entries().iter().any(|(key, _)| word(&key.text)) {
        let Some((key, _)) = at.node.entries().iter().find(|(key, _)| !word(&key.text)) else {
            return Some(full(at.fields(), report));
        };
        let place = Place { pointer: at.pointer.clone(), mark: key.mark };
        let text = format!("the label {} stands beside a full selector", report.quote(&key.text));
        report.error(codes::INVALID_VALUE, place, text, "move it into `matchLabels`");
        return Some(Selector::default());
    }
    for (key, node) in at.node.entries().iter().filter(|(_, node)| node.text().is_none()) {
        let place = Place { pointer: at.pointer.clone(), mark: node.mark };
        let text = format!("the value of the label {} is {}", report.quote(&key.text), node.what());
        report.error(
            codes::WRONG_TYPE,
            place,
            text,
            "write text, in quotes where it looks otherwise",
        );
    }
    Some(Selector { labels: at.strings(), requirements: Vec::new() })
}

/// `matchLabels` and `matchExpressions`.
pub(crate) fn full(mut f: Fields<'_>, report: &mut Report) -> Selector {
    let labels = f.take("matchLabels").map(|at| at.strings()).unwrap_or_default();
    let mut requirements = Vec::new();
    for item in f.items("matchExpressions") {
        let mut e = item.fields();
        let key = e.shared("key").unwrap_or_default();
        let operator = e.take("operator");
        let values = e.texts("values");
        let (place, text) = (e.at.place(), operator.as_ref().map_or("", At::text));
        e.finish(report);
        let operator = match text {
            "In" => SelectorOperator::In,
            "NotIn" => SelectorOperator::NotIn,
            "Exists" => SelectorOperator::Exists,
            "DoesNotExist" => SelectorOperator::DoesNotExist,
            other => {
                let text = format!("{} is not an operator", report.quote(other));
                let at = operator.map_or(place, |at| at.value());
                report.error(
                    codes::INVALID_VALUE,
                    at,
                    text,
                    "one of In, NotIn, Exists, DoesNotExist",
                );
                continue;
            }
        };
        let wants_values = matches!(operator, SelectorOperator::In | SelectorOperator::NotIn);
        if wants_values == values.is_empty() {
            let text = format!(
                "the operator {text} {}",
                if wants_values { "needs values" } else { "takes no values" }
            );
            report.error(codes::INVALID_VALUE, place, text, "");
        }
        requirements.push(SelectorRequirement { key, operator, values });
    }
    f.finish(report);
    Selector { labels, requirements }
}
