//! What the verbs print and how they end, on a real host.

use crate::common::world::binary;
use crate::common::{Ran, Unit, World, run};

const WEB: &str = r#"
    [component.web]
    priority = "high"
    match = { unit = "test-web.service" }
    cpu = { guarantee = "0.2", ceiling = "500m" }
    memory = { guarantee = "32M", high = "80M", ceiling = "128M", oom = "group" }
    pids = { ceiling = 64 }

    [component.absent]
    match = { unit = "test-absent.service" }
    memory = { ceiling = "64M" }
    "#;

fn web() -> Unit {
    Unit::start("test-web.service", &[], &["sleep", "infinity"])
}

/// Nothing is wider than a terminal.
#[track_caller]
fn is_narrow(ran: &Ran) {
    for line in ran.stdout.lines().chain(ran.stderr.lines()) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn without_a_daemon() {
    let world = World::new(WEB);
    for verb in [
        ["status"].as_slice(),
        &["explain", "web"],
        &["forecast"],
        &["stop"],
        &["reload"],
        &["set-quota", "web", "cpu.ceiling=1"],
        &["release", "web"],
    ] {
        let ran = world.run(verb);
        assert_eq!(ran.code, 3, "{verb:?}: {ran:?}");
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.starts_with("provost: "), "{ran:?}");
        is_narrow(&ran);
    }
    let unit = web();
    let plan = world.run(&["plan", "--exit-code"]);
    assert_eq!(plan.code, 2, "{plan:?}");
    println!("output: plan\n{}output: end", plan.stdout);
    assert!(plan.stdout.contains("memory.max") && plan.stdout.contains("128M"), "{plan:?}");
    is_narrow(&plan);
    assert_eq!(unit.knob("memory.max").as_deref(), Some("max"), "a plan changes nothing");
}

#[test]
fn with_a_daemon() {
    let unit = web();
    let world = World::enforce(WEB);
    world.settled(&["web"]);
    for verb in ["status", "plan", "doctor", "check", "forecast"] {
        let ran = world.run(&[verb]);
        assert_eq!(ran.code, 0, "{ran:?}");
        is_narrow(&ran);
        println!("\noutput: {verb}\n{}output: end", ran.stdout);
        let ran = world.run(&[verb, "--json"]);
        assert_eq!(ran.json()["schema"], format!("provost/{verb}/v1"), "{ran:?}");
    }
    let explained = world.run(&["explain", "web"]);
    is_narrow(&explained);
    assert!(explained.ok().contains("memory.max"));
    let document = world.run(&["explain", "web", "--json"]).json();
    assert_eq!(document["schema"], "provost/explain/v1");
    for verb in ["explain", "forecast"] {
        let unknown = world.run(&[verb, "nobody"]);
        assert_eq!(unknown.code, 4, "{unknown:?}");
        assert!(unknown.stderr.contains("absent, web"), "{unknown:?}");
    }
    assert_eq!(world.run(&["plan", "--exit-code"]).code, 0, "all is in force");
    let off = world.run(&["enforce", "off"]);
    is_narrow(&off);
    off.ok();
    assert_eq!(unit.knob("memory.max").as_deref(), Some("max"));
    assert_eq!(world.run(&["plan", "--exit-code"]).code, 2);
    assert_eq!(world.run(&["enforce", "on", "--json"]).json()["schema"], "provost/enforce/v1");
    unit.reaches("memory.max", "134217728");
    assert_eq!(world.run(&["stop", "--json"]).json()["schema"], "provost/stop/v1");
}

#[test]
fn another_limit_holds_for_a_while() {
    let unit = web();
    let world = World::enforce(WEB);
    world.settled(&["web"]);
    let refused = world.run(&["set-quota", "web", "memory.ceiling=64M"]);
    assert_eq!(refused.code, 78, "below `high`: {refused:?}");
    is_narrow(&refused);
    let given =
        ["set-quota", "web", "memory.ceiling=96M", "memory.high=72M", "--for", "1d", "--json"];
    assert_eq!(world.run(&given).json()["schema"], "provost/set-quota/v1");
    unit.reaches("memory.max", "100663296");
    for verb in [["status"].as_slice(), &["explain", "web"]] {
        let ran = world.run(verb);
        is_narrow(&ran);
        println!("\noutput: {verb:?}\n{}output: end", ran.stdout);
        assert!(ran.ok().contains("set-quota"), "{verb:?}");
    }
    let quotas = &world.run(&["status", "--json"]).json()["components"][1]["quotas"];
    assert_eq!(quotas[0]["key"], "memory.high", "{quotas}");
    assert_eq!(world.run(&["release", "web", "--json"]).json()["schema"], "provost/release/v1");
    unit.reaches("memory.max", "134217728");
}

#[test]
fn another_strategy_is_followed_at_once_and_remembered() {
    let _unit = web();
    let world = World::enforce(WEB);
    world.settled(&["web"]);
    let followed = |world: &World| {
        let status = world.run(&["status", "--json"]).json();
        (status["strategy"].clone(), status["strategy_configured"].clone())
    };
    assert_eq!(followed(&world), ("balanced".into(), serde_json::Value::Null));
    assert!(world.run(&["strategy", "aggressive"]).ok().contains("aggressive"));
    assert_eq!(followed(&world), ("aggressive".into(), "balanced".into()));
    world.run(&["strategy", "adaptive", "--component", "web"]).ok();
    let shown = world.run(&["strategy", "--json"]).json();
    assert_eq!(shown["schema"], "provost/strategy/v1");
    assert_eq!(shown["components"]["web"], "adaptive");
    let unknown = world.run(&["strategy", "adaptive", "--component", "nobody"]);
    assert_eq!(unknown.code, 4, "{unknown:?}");
    assert_eq!(world.run(&["strategy", "fast"]).code, 2);
    world.run(&["reload"]).ok();
    assert_eq!(followed(&world), ("aggressive".into(), "balanced".into()), "it is remembered");
    world.run(&["strategy", "configured"]).ok();
    assert_eq!(followed(&world), ("balanced".into(), serde_json::Value::Null));
}

#[test]
fn a_bad_configuration_is_told() {
    let world = World::new("[component.web]\nmatch = { unit = \"a.service\" }\nmemry = 1\n");
    for verb in [["check"].as_slice(), &["plan"], &["start"], &["config", "show"]] {
        let ran = world.run(verb);
        assert_eq!(ran.code, 78, "{verb:?}: {ran:?}");
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(told.contains("memry") && told.contains("config.toml"), "{verb:?}: {told}");
    }
    let document = world.run(&["check", "--json"]);
    assert_eq!((document.code, &document.json()["schema"]), (78, &"provost/check/v1".into()));
}

#[test]
fn configuration_and_completion() {
    let world = World::new(WEB);
    let shown = world.run(&["config", "show"]);
    is_narrow(&shown);
    assert!(shown.ok().contains("[component.web]"));
    let merged = world.run(&["config", "show", "--merged"]).ok();
    assert!(merged.contains("config.toml"), "{merged}");
    assert_eq!(world.run(&["config", "show", "--json"]).json()["schema"], "provost/config/v1");
    let schema = world.run(&["config", "schema"]).json();
    assert_eq!(schema["title"], "provost configuration");
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.run(&["completion", shell]).ok().contains("explain"), "{shell}");
    }
    let help = world.run(&["--help"]);
    is_narrow(&help);
    help.ok();
    assert_eq!(world.run(&["nonsense"]).code, 2);
}

#[test]
fn alice_may_not() {
    let unit = web();
    let world = World::enforce(WEB);
    world.settled(&["web"]);
    let own = "/tmp/test-provost";
    std::fs::copy(binary(), own).unwrap();
    let folders = world.folders();
    let as_alice = |verb: &[&str]| {
        let mut arguments = vec!["--reuid=1000", "--regid=1000", "--clear-groups", own];
        arguments.extend(folders.iter().map(String::as_str));
        arguments.extend(verb);
        run("setpriv", &arguments)
    };
    let verbs: [&[&str]; 5] =
        [&["status"], &["stop"], &["enforce", "off"], &["restore"], &["run", "web", "--", "true"]];
    let ran: Vec<(String, Ran)> =
        verbs.iter().map(|verb| (verb.join(" "), as_alice(verb))).collect();
    std::fs::remove_file(own).unwrap();
    for (verb, ran) in ran {
        assert_eq!(ran.code, 77, "{verb}: {ran:?}");
        is_narrow(&ran);
    }
    assert_eq!(unit.knob("memory.max").as_deref(), Some("134217728"));
}
