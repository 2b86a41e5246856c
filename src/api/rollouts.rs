use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{FORBIDDEN, NO_SUCH_PATH, Problem, UNAVAILABLE};
use crate::rollout::{Act, Rollout, Rollouts};
use crate::router::App;
use crate::{Caller, Role};

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
    rollouts.act(&caller, &namespace, &name, act).await.map(Json)
}
