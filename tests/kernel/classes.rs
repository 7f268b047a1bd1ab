//! CPU classes: what is idle takes what nobody else wants, and is as before when provost has left, however it left.

use crate::bite::{SPIN, pin, shares};
use crate::common::{Agent, World, eventually, put, text};
use nix::sys::signal::Signal;
use provost::kernel::Group;
use provost::model::Controller;
use std::time::Duration;

fn component(name: &str, keys: &str, group: &Group) -> String {
    let path = &group.at().path;
    format!("[component.{name}]\n{keys}\nmatch = {{ cgroup = \"/{path}\" }}\n")
}

/// `cpu.idle` and `cpu.weight` of a group.
fn held(world: &World, group: &Group) -> (String, String) {
    (text(&world.file(group, "cpu.idle")), text(&world.file(group, "cpu.weight")))
}

fn words(idle: &str, weight: &str) -> (String, String) {
    (idle.to_owned(), weight.to_owned())
}

#[test]
fn an_idle_component_takes_what_nobody_else_wants() {
    let Some(mut world) = World::new("idle-class", &[Controller::Cpu, Controller::Cpuset]) else {
        return;
    };
    let (work, hog) = (world.group("work"), world.group("hog"));
    for group in [&work, &hog] {
        pin(group, &[0]);
        world.sh(group, SPIN);
    }
    put(&world.file(&hog, "cpu.weight"), "70").unwrap();
    put(&world.file(&work, "cpu.weight"), "70").unwrap();
    let before = shares(&world, &[&work, &hog], Duration::from_secs(5));
    let components = component("work", "", &work) + &component("hog", "cpu.class = \"idle\"", &hog);
    let mut agent = Agent::new(&world, "enforce", &components);
    agent.start();
    eventually("it is idle", || text(&world.file(&hog, "cpu.idle")) == "1");
    agent.settle();
    let during = shares(&world, &[&work, &hog], Duration::from_secs(10));
    let said = agent.say(&["explain", "hog"]);
    assert!(said.out.contains("CPU class idle"), "{said:?}");
    assert!(said.out.contains("runs when nobody else wants the CPU"), "{said:?}");
    agent.end(Signal::SIGTERM);
    assert_eq!(held(&world, &hog), words("0", "70"), "given back");
    assert_eq!(held(&world, &work), words("0", "70"), "given back");
    // While a group is idle its virtual time runs some 340 times as fast as the clock (weight 3 of 1024), so that what little it had it pays
    // for now: it waits until the other has caught up.
    let _catching_up = shares(&world, &[&work, &hog], Duration::from_secs(3));
    let after = shares(&world, &[&work, &hog], Duration::from_secs(5));
    let part = |shares: &[f64]| shares[1] / (shares[0] + shares[1]);
    println!(
        "FIGURE idle class: the hog has {:.3} of the CPU before, {:.4} during, {:.3} after",
        part(&before),
        part(&during),
        part(&after)
    );
    assert!((part(&before) - 0.5).abs() < 0.05, "{before:?}");
    assert!(part(&during) < 0.03, "{during:?}");
    assert!((part(&after) - 0.5).abs() < 0.05, "{after:?}");
}

#[test]
fn idleness_is_given_back_after_a_kill() {
    let Some(mut world) = World::new("idle-kill", &[Controller::Cpu]) else { return };
    let (idle, plain) = (world.group("was-idle"), world.group("was-not"));
    for group in [&idle, &plain] {
        world.sh(group, "exec sleep 1000");
    }
    put(&world.file(&idle, "cpu.idle"), "1").unwrap();
    put(&world.file(&plain, "cpu.weight"), "33").unwrap();
    let before = [held(&world, &idle), held(&world, &plain)];
    let components =
        component("woken", "", &idle) + &component("sent", "cpu.class = \"idle\"", &plain);
    let mut agent = Agent::new(&world, "enforce", &components);
    agent.start();
    eventually("both are as their components say", || {
        text(&world.file(&idle, "cpu.idle")) == "0" && text(&world.file(&plain, "cpu.idle")) == "1"
    });
    agent.settle();
    put(&world.file(&plain, "cpu.idle"), "0").unwrap();
    eventually("a foreign write is taken back", || text(&world.file(&plain, "cpu.idle")) == "1");
    agent.settle();
    agent.end(Signal::SIGKILL);
    assert_eq!(text(&world.file(&plain, "cpu.idle")), "1", "nothing changes by that");
    let said = agent.say(&["restore"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!([held(&world, &idle), held(&world, &plain)], before);
    let again = agent.say(&["restore"]);
    assert_eq!(again.exit, 0, "{again:?}");
    assert_eq!([held(&world, &idle), held(&world, &plain)], before);
}
