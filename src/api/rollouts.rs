use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, Uri};
use futures::future::join_all;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{FORBIDDEN, NO_SUCH_PATH, NOT_NOW, Problem, UNAVAILABLE};
use crate::replica::Asked;
use crate::rollout::{Act, Rollout, Rollouts, joined};
use crate::router::App;
use crate::{Caller, Role, Via};

#[derive(Serialize, ToSchema)]
pub(crate) struct RolloutList {
    items: Vec<Rollout>,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_rollouts)).routes(routes!(steer_rollout))
}

fn rollouts(app: &App) -> Result<&dyn Rollouts, Problem> {
    let found = app.rollouts.as_deref();
    found.ok_or_else(|| Problem::new(UNAVAILABLE, "there are no rollouts here"))
}

/// Rollouts of the namespaces that the caller may look at, the newest first.
#[utoipa::path(get, path = "/api/v1/rollouts", tag = "rollouts",
    responses((status = 200, body = RolloutList)))]
async fn list_rollouts(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<RolloutList>, Problem> {
    let mut items = rollouts(&app)?.rollouts();
    items.retain(|rollout| caller.may(Role::Viewer, Some(&rollout.namespace)));
    Ok(Json(RolloutList { items }))
}

/// Promotes, pauses, resumes or aborts a rollout.
#[utoipa::path(post, operation_id = "steer_rollout", path = "/api/v1/rollouts/{namespace}/{name}/{verb}", tag = "rollouts",
    params(("namespace" = String, Path), ("name" = String, Path),
        ("verb" = String, Path, description = "promote, pause, resume or abort")),
    responses((status = 200, body = Rollout)))]
async fn steer_rollout(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
    Path((namespace, name, verb)): Path<(String, String, String)>,
) -> Result<Json<Rollout>, Problem> {
    let act = match &*verb {
        "promote" => Act::Promote,
        "pause" => Act::Pause,
        "resume" => Act::Resume,
        "abort" => Act::Abort,
        _ => return Err(Problem::new(NO_SUCH_PATH, format!("a rollout cannot be told to {verb}"))),
    };
    let rollouts = rollouts(&app)?;
    if !caller.may(Role::Operator, Some(&namespace)) {
        let text = format!("this needs the role operator in namespace {namespace}");
        return Err(Problem::new(FORBIDDEN, text));
    }
    let own = rollouts.act(&caller, &namespace, &name, act).await;
    let replicas = app.replicas.as_deref().filter(|_| caller.via != Via::Replica);
    let (Some(replicas), false) = (replicas, own.as_ref().is_err_and(|why| !is_state(why))) else {
        return own.map(Json);
    };
    // All of them at once, and each as if it were asked itself.
    let path = uri.path();
    let names = replicas.others();
    let asked = || Asked { method: &Method::POST, path, accept: None };
    let answers = join_all(names.iter().map(|name| replicas.ask(name, &caller, asked()))).await;
    let mut rows: Vec<_> = own.as_ref().ok().map(|row| (None, row.clone())).into_iter().collect();
    let mut silent = None;
    for (name, answer) in names.iter().zip(answers) {
        match answer {
            Ok(answer) if answer.status.is_success() => {
                rows.extend(
                    serde_json::from_slice(&answer.body).ok().map(|row| (Some(name.clone()), row)),
                );
            }
            // There it is in another state, or not known yet.
            Ok(answer) if answer.status.is_client_error() => {}
            Ok(answer) => silent = Some(format!("replica {name} answers {}", answer.status)),
            Err(problem) => silent = Some(problem.detail().to_owned()),
        }
    }
    match (own, silent) {
        (own @ Err(_), None) if rows.is_empty() => own.map(Json),
        (_, Some(silent)) => {
            let others = if rows.is_empty() { "nobody" } else { "those that answered" };
            let text = format!("{others} did it, and {silent}");
            let hint = match act {
                Act::Promote if !rows.is_empty() => {
                    "look at the rollout first when all replicas are there: where it was promoted, to ask once more promotes it by a step more"
                }
                _ => "ask once more when all replicas are there",
            };
            Err(Problem::new(UNAVAILABLE, text).hint(hint))
        }
        (_, None) => {
            let row = joined(rows).into_iter().next();
            row.map(Json).ok_or_else(|| Problem::new(UNAVAILABLE, "no replica has this rollout"))
        }
    }
}

/// Others may be in another state.
fn is_state(why: &Problem) -> bool {
    why.kind().code() == NOT_NOW.code()
}
