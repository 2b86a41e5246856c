//! Rules 74 to 77: what ends a stream or lets it wait, besides its client.

use super::*;

#[tokio::test]
async fn rule_74_a_storm_is_let_in_turn_by_turn_and_all_are_served() {
    let running = start(|o| o.admission = 1).await;
    let mut snapshot = world(&[("a", 3)]);
    snapshot.insert(resource(LDS, "l", "l", &[]));
    running.world.publish(&snapshot);
    // It has the turn and says nothing: that costs the others a moment, not their service.
    let silent = Delta::open(running.address).await;
    let mut streams = tokio::task::JoinSet::new();
    for i in 0..50 {
        let address = running.address;
        streams.spawn(async move {
            let mut delta = Delta::open(address).await;
            delta.ask(&format!("n{i}"), CDS, &[]).await;
            assert_eq!(delta.names().await, ["a"]);
            delta.ask(&format!("n{i}"), LDS, &[]).await;
            assert_eq!(delta.names().await, ["l"]);
            delta
        });
    }
    let streams = within(streams.join_all()).await;
    assert_eq!((streams.len(), running.handle.streams()), (50, 51));
    drop(silent);
}

#[tokio::test]
async fn rule_74_a_stream_in_the_queue_ends_when_the_server_does() {
    let running = start(|o| {
        o.admission = 1;
        o.drain = Duration::ZERO;
    })
    .await;
    let silent = Delta::open(running.address).await;
    let mut queued = Delta::open(running.address).await;
    running.stop.send(()).unwrap();
    assert_eq!(queued.next().await.unwrap_err().code(), Code::Unavailable);
    within(running.server).await.unwrap().unwrap();
    drop(silent);
}

#[tokio::test]
async fn rule_76_a_client_that_takes_nothing_loses_its_connection_and_others_do_not() {
    let running = start(|o| o.stall_limit = Some(Duration::from_secs(1))).await;
    let mut snapshot = world(&[("a", 3)]);
    running.world.publish(&snapshot);
    let mut slow = Delta::open(running.address).await;
    slow.ask("slow", CDS, &[]).await;
    assert_eq!(slow.names().await, ["a"]);
    let mut quick = Delta::open(running.address).await;
    quick.ask("quick", CDS, &[]).await;
    assert_eq!(quick.names().await, ["a"]);
    // More than the window: the answer never gets out as a whole.
    snapshot.insert(resource(CDS, "a", &"x".repeat(3_500_000), &[]));
    running.world.publish(&snapshot);
    assert_eq!(quick.names().await, ["a"]);
    running.world.wrote("closed slow").await;
    // The quick one has been idle since: that is no stall.
    assert_eq!(running.handle.streams(), 1);
    snapshot.insert(resource(CDS, "a", "y", &[]));
    running.world.publish(&snapshot);
    assert_eq!(quick.names().await, ["a"]);
    while slow.next().await.is_ok() {}
}

#[tokio::test]
async fn rule_77_an_old_connection_ends_well_and_the_client_comes_back() {
    let running = start(|o| {
        o.max_connection_age = Some(Duration::from_secs(1));
        o.max_connection_age_jitter = 0.0;
    })
    .await;
    running.world.publish(&world(&[("a", 3)]));
    // Its first answer is still owed when the connection is old: it is given first (rule 78).
    let mut late = Delta::open(running.address).await;
    let channel = channel(running.address).await;
    let mut delta = Delta::on(channel.clone()).await;
    delta.ask("n", CDS, &[]).await;
    // Not acknowledged: the end may be quicker.
    assert_eq!(delta.next().await.unwrap().resources[0].name, "a");
    assert_eq!(delta.next().await.unwrap_err().code(), Code::Ok);
    late.ask("late", CDS, &[]).await;
    assert_eq!(late.next().await.unwrap().resources[0].name, "a");
    assert_eq!(late.next().await.unwrap_err().code(), Code::Ok);
    // The same channel: GOAWAY has told it to connect anew.
    let mut again = Delta::on(channel).await;
    again.ask("n", CDS, &[]).await;
    assert_eq!(again.next().await.unwrap().resources[0].name, "a");
}
