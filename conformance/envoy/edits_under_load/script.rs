//! The edits, one after the other, each followed until its effect is seen.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

use super::world::{
    World, listeners, mover_file, orders_file, pay_file, pay_route, pay_service, stock_file,
};
use crate::testbed::{Ask, Certificate, Connection, LIMIT, Load};
use crate::testbed::{get, route, secret, service, until};

pub(super) struct Script<'a> {
    world: &'a World,
    load: &'a Load,
    step: usize,
    /// How many rounds were begun.
    turn: usize,
    edits: Edits,
}

/// How many of each kind took effect, and the longest time it took.
#[derive(Clone, Default)]
pub(super) struct Edits(BTreeMap<&'static str, (usize, Duration)>);

impl Edits {
    pub(super) fn total(&self) -> usize {
        self.0.values().map(|(count, _)| count).sum()
    }
}

impl fmt::Display for Edits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} edits (", self.total())?;
        for (number, (what, (count, most))) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {what} ≤ {} ms", most.as_millis())?;
        }
        write!(f, ")")
    }
}

impl<'a> Script<'a> {
    pub(super) fn new(world: &'a World, load: &'a Load) -> Self {
        Self { world, load, step: 0, turn: 1, edits: Edits::default() }
    }

    pub(super) fn finish(self) -> Edits {
        self.edits
    }

    /// The next of all kinds of edits, round and round.
    pub(super) async fn next(&mut self) {
        match self.step {
            0 => self.add().await,
            1 => self.swap_weights().await,
            2 => self.rename().await,
            3 => self.certificate().await,
            4 => self.rename_service().await,
            5 => self.break_and_mend().await,
            6 => self.replace_service().await,
            7 => self.half_write_and_complete().await,
            8 => self.rename_route().await,
            9 => self.endpoints().await,
            10 => self.move_file().await,
            11 => self.listener(true).await,
            12 => self.listener(false).await,
            13 => self.burst().await,
            _ => self.delete().await,
        }
        self.step += 1;
        if self.step == 15 {
            self.step = 0;
            self.turn += 1;
        }
    }

    /// Says with failures what is going on, and counts when it is done.
    async fn edit(&mut self, what: &'static str, edit: impl AsyncFnOnce(&World, usize)) {
        self.load.during(&format!("{what} ({})", self.turn));
        let start = Instant::now();
        edit(self.world, self.turn).await;
        let (count, most) = self.edits.0.entry(what).or_default();
        *count += 1;
        *most = start.elapsed().max(*most);
        // Failures right after an edit are most likely its doing.
        self.load.during(&format!("after {what} ({})", self.turn));
    }

    /// A new service with a new route to it.
    async fn add(&mut self) {
        self.edit("add", async |world, turn| {
            world.bed.folder.write("extra.yaml", &extra(world, "first", turn));
            world.bed.wait_service(&ask_extra("first", turn), "still").await;
        })
        .await;
    }

    /// The same under new names and on a new path; the old path is gone.
    async fn rename(&mut self) {
        self.edit("rename", async |world, turn| {
            world.bed.folder.write("extra.yaml", &extra(world, "second", turn));
            world.bed.wait_service(&ask_extra("second", turn), "still").await;
            world.bed.wait_status(&ask_extra("first", turn), 404).await;
        })
        .await;
    }

    async fn delete(&mut self) {
        self.edit("delete", async |world, turn| {
            world.bed.folder.remove("extra.yaml");
            world.bed.wait_status(&ask_extra("second", turn), 404).await;
        })
        .await;
    }

    async fn swap_weights(&mut self) {
        self.edit("swap of weights", async |world, turn| set_weights(world, turn % 2).await).await;
    }

    /// New connections see the new certificate.
    async fn certificate(&mut self) {
        self.edit("new certificate", async |world, _| {
            let certificate = Certificate::new("changing.example");
            world.bed.folder.write("secret-changing.yaml", &secret("changing", &certificate));
            until("the new certificate is shown", LIMIT, async || {
                let connection = Connection::tls(world.secure, "changing.example").await;
                let shown = connection.map_err(|e| e.to_string())?.certificate;
                if shown == Some(certificate.der.clone()) {
                    Ok(())
                } else {
                    Err("the old one".into())
                }
            })
            .await;
        })
        .await;
    }

    /// Service and route change together.
    async fn rename_service(&mut self) {
        self.edit("rename of a service in use", async |world, turn| {
            world.bed.folder.write("pay.yaml", &pay_file(&world.pay, 2 * turn + 1));
            world.bed.wait_service(&get("shop.example", "/pay"), "pay-1").await;
        })
        .await;
    }

    /// First the new service, then the route, then the old service goes.
    async fn replace_service(&mut self) {
        self.edit("replacement of a service in steps", async |world, turn| {
            let (old, new) = (2 * turn + 1, 2 * turn + 2);
            let file = |name: usize| format!("pay-{name}.yaml");
            let folder = &world.bed.folder;
            folder.write(&file(new), &pay_service(&world.pay, new));
            let both = format!("{}---\n{}", pay_route(new), pay_service(&world.pay, old));
            folder.write("pay.yaml", &both);
            world.bed.wait_service(&get("shop.example", "/pay"), "pay-0").await;
            folder.write("pay.yaml", &pay_file(&world.pay, new));
            folder.remove(&file(new));
        })
        .await;
    }

    /// The last good documents stay while the file cannot be read.
    async fn break_and_mend(&mut self) {
        self.edit("broken file", async |world, _| {
            world.bed.folder.write_in_place("orders.yaml", "spec: [");
            wait_finding(world, "orders.yaml", true).await;
        })
        .await;
        self.edit("mended file", async |world, turn| {
            set_weights(world, (turn + 1) % 2).await;
            wait_finding(world, "orders.yaml", false).await;
        })
        .await;
    }

    /// Someone writes slowly: the first half stands there for as long as it takes to be noticed.
    async fn half_write_and_complete(&mut self) {
        self.edit("half-written file", async |world, turn| {
            let chosen = turn % 2;
            let text = orders_file(&world.orders, chosen);
            // Inside of the route's last mapping.
            let half = text.find("name: orders-1, weight").unwrap();
            let mut file = std::fs::File::create(world.bed.folder.file("orders.yaml")).unwrap();
            file.write_all(&text.as_bytes()[..half]).unwrap();
            wait_finding(world, "orders.yaml", true).await;
            file.write_all(&text.as_bytes()[half..]).unwrap();
            drop(file);
            wait_weights(world, chosen).await;
            wait_finding(world, "orders.yaml", false).await;
        })
        .await;
    }

    async fn rename_route(&mut self) {
        self.edit("rename of a route in use", async |world, turn| {
            world.bed.folder.write("mover-0.yaml", &mover_file(2 * turn));
            wait_turn(world, 2 * turn).await;
        })
        .await;
    }

    /// The file gets another name, and then the route.
    async fn move_file(&mut self) {
        self.edit("rename of a file", async |world, turn| {
            world.bed.folder.rename("mover-0.yaml", "mover-1.yaml");
            world.bed.folder.write("mover-1.yaml", &mover_file(2 * turn + 1));
            wait_turn(world, 2 * turn + 1).await;
            // Both are there for a while, the first by name counts.
            world.bed.folder.write("mover-0.yaml", &mover_file(2 * turn + 1));
            world.bed.folder.remove("mover-1.yaml");
        })
        .await;
    }

    /// More, fewer, other ones.
    async fn endpoints(&mut self) {
        for (what, stock) in [
            ("endpoint added", &self.world.stock[..]),
            ("endpoint removed", &self.world.stock[1..]),
            ("endpoint replaced", &self.world.stock[..1]),
        ] {
            self.edit(what, async |world, _| {
                world.bed.folder.write("stock.yaml", &stock_file(stock));
                let names = if stock.len() == 2 {
                    vec!["stock-0", "stock-1"]
                } else {
                    vec![if std::ptr::eq(&stock[0], &world.stock[0]) {
                        "stock-0"
                    } else {
                        "stock-1"
                    }]
                };
                for name in names {
                    world.bed.wait_service(&get("shop.example", "/stock"), name).await;
                }
            })
            .await;
        }
    }

    /// Edits that nobody waits for, so that they meet on the way; the last one counts.
    async fn burst(&mut self) {
        self.edit("burst of 20 edits", async |world, turn| {
            for number in 0..10 {
                let chosen = (turn + number) % 2;
                world.bed.folder.write("orders.yaml", &orders_file(&world.orders, chosen));
                world.bed.folder.write("stock.yaml", &stock_file(&world.stock[chosen..=chosen]));
            }
            // Back to where the other edits of endpoints begin.
            world.bed.folder.write("stock.yaml", &stock_file(&world.stock[..1]));
            wait_weights(world, (turn + 9) % 2).await;
            world.bed.wait_service(&get("shop.example", "/stock"), "stock-0").await;
        })
        .await;
    }

    /// A listener beside others on both ports.
    async fn listener(&mut self, late: bool) {
        let what = if late { "listener added" } else { "listener removed" };
        self.edit(what, async |world, _| {
            let (web, secure) = (world.bed.web.port(), world.secure.port());
            world.bed.folder.write("gateway.yaml", &listeners(web, secure, late));
            until(what, LIMIT, async || {
                let there = Connection::tls(world.secure, "late.example").await.is_ok();
                if there == late { Ok(()) } else { Err(format!("there: {there}")) }
            })
            .await;
        })
        .await;
    }
}

fn ask_extra(name: &str, turn: usize) -> Ask {
    get("extra.example", &format!("/{name}-{turn}"))
}

fn extra(world: &World, name: &str, turn: usize) -> String {
    let rules = format!(
        "\
- matches: [{{path: {{type: PathPrefix, value: /{name}-{turn}}}}}]
  backendRefs: [{{group: isthmus.dev, kind: MeshService, name: {name}-{turn}}}]
"
    );
    let service = service(&format!("{name}-{turn}"), &[world.still.address]);
    format!("{}---\n{service}", route(&format!("{name}-{turn}"), "extra.example", &rules))
}

async fn set_weights(world: &World, chosen: usize) {
    world.bed.folder.write("orders.yaml", &orders_file(&world.orders, chosen));
    wait_weights(world, chosen).await;
}

async fn wait_weights(world: &World, chosen: usize) {
    let wanted = format!("orders-{chosen}");
    world.bed.wait_service(&get("shop.example", "/orders"), &wanted).await;
}

async fn wait_turn(world: &World, turn: usize) {
    until("the route's new answer", LIMIT, async || {
        let answer = world.bed.ask(&get("mover.example", "/")).await?;
        let shown = answer.header("x-turn").unwrap_or_default();
        if shown == turn.to_string() { Ok(()) } else { Err(format!("{} {shown}", answer.status)) }
    })
    .await;
}

/// Whether anything is said about a file.
async fn wait_finding(world: &World, file: &str, wanted: bool) {
    until(&format!("findings of {file}: {wanted}"), LIMIT, async || {
        let all = world.bed.isthmus.findings().await?;
        let found = all.iter().any(|finding| finding.contains(file));
        if found == wanted { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
}
