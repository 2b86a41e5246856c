//! One rich folder, and what each request gets: who answers, with what, and what reached the back end.

mod backends;
mod filters;
mod matching;
mod table;
mod tls;
mod upstream;
mod world;

use table::Table;
use world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routing() {
    if crate::testbed::skipped() {
        return;
    }
    let world = World::start().await;
    let mut table = Table::default();
    matching::check(&world, &mut table).await;
    filters::check(&world, &mut table).await;
    backends::check(&world, &mut table).await;
    tls::check(&world, &mut table).await;
    upstream::check(&world, &mut table).await;
    table.finish();
}
