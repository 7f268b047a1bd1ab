//! Who belongs where: stories from real hosts.

use super::*;
use crate::config::{Glob, Pattern};
use crate::model::{HomeKind, Priority};
use crate::testing::{component, policy};

const SESSION: &str = "user.slice/user-1000.slice/session-3.scope";

fn glob(text: &str) -> Option<Pattern> {
    Some(Pattern { globs: vec![Glob::new(text).unwrap()] })
}

fn exe(text: &str) -> Rule {
    Rule { exe: glob(text), specificity: 1, ..Rule::default() }
}

fn unit(text: &str) -> Rule {
    Rule { unit: glob(text), specificity: 1, ..Rule::default() }
}

fn with_rule(name: &str, priority: Priority, rule: Rule) -> Component {
    Component { rules: vec![rule], ..component(name, priority) }
}

fn process(pid: i32, parent: i32, exe: &str, cgroup: &str) -> ProcessFacts {
    ProcessFacts {
        id: ProcId { pid, start: 1 },
        parent,
        session: 100,
        comm: exe.rsplit('/').next().unwrap().to_owned(),
        exe: Some(exe.to_owned()),
        cmdline: exe.to_owned(),
        user: 1000,
        group: 1000,
        cgroup: CgroupPath::new(cgroup),
        kernel_thread: false,
        exec_at: None,
    }
}

fn run(components: Vec<Component>, groups: &[&str], processes: Vec<ProcessFacts>) -> Bindings {
    let groups: Vec<GroupFacts> = groups
        .iter()
        .zip(50..)
        .map(|(path, id)| GroupFacts { path: CgroupPath::new(path), id: CgroupId(id) })
        .collect();
    let processes = processes.into_iter().map(|process| (process.id.pid, process)).collect();
    let pidfiles = BTreeMap::from([(PathBuf::from("/run/x.pid"), 77)]);
    let agent_at = CgroupPath::new("test.slice/agent.service");
    let world = World {
        groups: &groups,
        processes: &processes,
        pidfiles: &pidfiles,
        agent: 9,
        anchors: &BTreeSet::from([8]),
        agent_at: &agent_at,
        systemd: true,
    };
    bind(&policy(components), &world)
}

fn strays(bindings: &Bindings) -> Vec<(i32, &str)> {
    bindings.strays.iter().map(|stray| (stray.process.pid, stray.component.as_str())).collect()
}

#[test]
fn a_unit_is_bound_by_name_wherever_it_lies() {
    let web = with_rule("web", Priority::Normal, unit("nginx*.service"));
    let bindings = run(
        vec![web],
        &["system.slice/nginx.service", "a.slice/nginx2.service", "system.slice"],
        vec![],
    );
    let homes: Vec<String> =
        bindings.homes.values().flatten().map(|home| home.path().to_string()).collect();
    assert_eq!(homes, ["system.slice/nginx.service", "a.slice/nginx2.service"]);
}

#[test]
fn a_glob_never_reaches_what_is_protected() {
    let all = with_rule("all", Priority::Low, unit("*"));
    let bindings = run(
        vec![all],
        &[
            "init.scope",
            "system.slice/ssh.service",
            SESSION,
            "kubepods.slice/x.scope",
            "system.slice/a.service",
        ],
        vec![],
    );
    let homes: Vec<&str> =
        bindings.homes.values().flatten().map(|home| home.path().name()).collect();
    assert_eq!(homes, ["a.service"]);
    assert_eq!(bindings.refused.len(), 4);
}

#[test]
fn what_holds_the_agent_or_a_protected_unit_is_left_alone() {
    let all = with_rule("all", Priority::Low, unit("*"));
    let groups = ["net.slice", "net.slice/ssh.service", "test.slice/agent.service", "b.slice"];
    let bindings = run(vec![all], &groups, vec![]);
    let homes: Vec<&str> =
        bindings.homes.values().flatten().map(|home| home.path().as_str()).collect();
    assert_eq!(homes, ["b.slice"]);
    let why: Vec<&str> = bindings.refused.iter().map(|refusal| refusal.why.as_str()).collect();
    assert!(why[0].starts_with("ssh.service lives in it"), "{why:?}");
    assert_eq!(why[2], "provost itself lives in it");
}

#[test]
fn a_program_started_in_a_session_is_a_stray_with_its_children() {
    let sync = with_rule("sync", Priority::Low, exe("/usr/bin/rsync"));
    let bindings = run(
        vec![sync],
        &[],
        vec![
            process(100, 1, "/usr/bin/bash", SESSION),
            process(200, 100, "/usr/bin/rsync", SESSION),
            process(201, 200, "/usr/bin/ssh", SESSION),
            process(300, 100, "/usr/bin/vim", SESSION),
        ],
    );
    assert_eq!(strays(&bindings), [(200, "sync"), (201, "sync")]);
}

#[test]
fn the_sessions_leader_and_shells_stay_even_if_a_rule_names_the_user() {
    let bob = with_rule(
        "bob",
        Priority::Low,
        Rule { users: Some(vec![1000]), specificity: 1, ..Rule::default() },
    );
    let mut shell = process(100, 90, "/usr/bin/bash", SESSION);
    shell.session = 100;
    let bindings = run(
        vec![bob],
        &[],
        vec![
            process(1, 0, "/usr/lib/systemd/systemd", "init.scope"),
            process(9, 1, "/usr/bin/provost", "provost.slice/provost-agent.slice"),
            process(90, 80, "/usr/sbin/sshd", SESSION),
            shell,
            process(101, 100, "/usr/bin/make", SESSION),
        ],
    );
    assert_eq!(strays(&bindings), [(101, "bob")]);
}

#[test]
fn a_process_of_a_service_is_left_and_the_unit_is_named() {
    let sync = with_rule("sync", Priority::Low, exe("/usr/bin/rsync"));
    let bindings =
        run(vec![sync], &[], vec![process(5, 1, "/usr/bin/rsync", "system.slice/backup.service")]);
    assert!(bindings.strays.is_empty());
    assert!(
        bindings.refused[0].why.contains("match = { unit = \"backup.service\" }"),
        "{:?}",
        bindings.refused
    );
}

#[test]
fn a_process_of_a_container_is_left() {
    let id = "a".repeat(64);
    let sync = with_rule("sync", Priority::Low, exe("/usr/bin/rsync"));
    let scope = format!("system.slice/docker-{id}.scope");
    let bindings = run(vec![sync], &[], vec![process(5, 1, "/usr/bin/rsync", &scope)]);
    assert!(bindings.strays.is_empty());
    assert!(bindings.refused[0].why.contains("container aaaaaaaaaaaa"), "{:?}", bindings.refused);
}

#[test]
fn a_container_is_bound_by_its_short_id() {
    let id = "0123456789ab".to_owned() + &"c".repeat(52);
    let rule = Rule { container: glob("0123456789ab"), specificity: 1, ..Rule::default() };
    let scope = format!("system.slice/docker-{id}.scope");
    let bindings = run(vec![with_rule("db", Priority::High, rule)], &[&scope], vec![]);
    let home = &bindings.homes.values().next().unwrap()[0];
    assert_eq!(home.kind, HomeKind::Container { container: "0123456789ab".to_owned() });
}

#[test]
fn the_more_specific_rule_wins() {
    let any = with_rule("any", Priority::Critical, exe("/usr/bin/*"));
    let two = Rule {
        users: Some(vec![1000]),
        exe: glob("/usr/bin/rsync"),
        specificity: 2,
        ..Rule::default()
    };
    let sync = with_rule("sync", Priority::Low, two);
    let bindings = run(vec![any, sync], &[], vec![process(200, 100, "/usr/bin/rsync", SESSION)]);
    assert_eq!(strays(&bindings), [(200, "sync")]);
}

#[test]
fn a_child_stays_with_its_parent_against_a_catch_all_but_not_against_a_more_specific_rule() {
    let home = "provost.slice/provost-low.slice/provost-build.scope";
    let build = with_rule("build", Priority::Low, exe("/usr/bin/make"));
    let any = with_rule("any", Priority::High, exe("/usr/bin/*"));
    let two = Rule {
        users: Some(vec![1000]),
        exe: glob("/usr/bin/ld"),
        specificity: 2,
        ..Rule::default()
    };
    let link = with_rule("link", Priority::Normal, two);
    let bindings = run(
        vec![build, any, link],
        &[home],
        vec![
            process(200, 100, "/usr/bin/make", home),
            process(201, 200, "/usr/bin/cc", home),
            process(202, 201, "/usr/bin/ld", home),
        ],
    );
    assert_eq!(strays(&bindings), [(202, "link")]);
}

#[test]
fn kernel_threads_match_nothing() {
    let any = with_rule(
        "any",
        Priority::Low,
        Rule { users: Some(vec![0]), specificity: 1, ..Rule::default() },
    );
    let mut kswapd = process(60, 2, "kswapd0", "");
    (kswapd.kernel_thread, kswapd.user) = (true, 0);
    assert!(strays(&run(vec![any], &[], vec![kswapd])).is_empty());
}

#[test]
fn a_pid_file_and_a_parent_name_processes() {
    let by_file = with_rule(
        "x",
        Priority::Low,
        Rule { pidfile: Some("/run/x.pid".into()), specificity: 1, ..Rule::default() },
    );
    let by_parent = with_rule(
        "y",
        Priority::Low,
        Rule { parent: glob("/opt/runner"), specificity: 1, ..Rule::default() },
    );
    let bindings = run(
        vec![by_file, by_parent],
        &[],
        vec![
            process(77, 1, "/opt/x", SESSION),
            process(80, 1, "/opt/runner", SESSION),
            process(81, 80, "/bin/job", SESSION),
        ],
    );
    assert_eq!(strays(&bindings), [(77, "x"), (81, "y")]);
}

#[test]
fn a_unit_with_a_process_condition_needs_a_process_that_satisfies_it() {
    let rule = Rule {
        unit: glob("job@*.service"),
        exe: glob("/opt/heavy"),
        specificity: 2,
        ..Rule::default()
    };
    let bindings = run(
        vec![with_rule("heavy", Priority::Low, rule)],
        &["system.slice/job@1.service", "system.slice/job@2.service"],
        vec![
            process(10, 1, "/opt/heavy", "system.slice/job@1.service"),
            process(11, 1, "/opt/light", "system.slice/job@2.service"),
        ],
    );
    let homes: Vec<&str> =
        bindings.homes.values().flatten().map(|home| home.path().name()).collect();
    assert_eq!(homes, ["job@1.service"]);
}

#[test]
fn an_anchor_concerns_no_rule() {
    let by_user = Rule { users: Some(vec![1000]), specificity: 1, ..Rule::default() };
    let everything = with_rule("everything", Priority::Low, by_user);
    let anchor = process(8, 100, "/usr/bin/provost", SESSION);
    let other = process(7, 100, "/usr/bin/provost", SESSION);
    let bindings = run(vec![everything], &[], vec![anchor, other]);
    assert_eq!(strays(&bindings), [(7, "everything")]);
    assert_eq!(bindings.refused, []);
}

/// Where the process `pid` belongs, with "sync" living in its own scope.
fn belonging(components: Vec<Component>, processes: Vec<ProcessFacts>, pid: i32) -> Option<String> {
    let processes = processes.into_iter().map(|process| (process.id.pid, process)).collect();
    let scope = CgroupPath::new("provost.slice/provost-low.slice/provost-sync.scope");
    let home = Home {
        at: crate::units::CgroupRef { path: scope, id: CgroupId(5) },
        kind: HomeKind::OwnScope { unit: "provost-sync.scope".to_owned() },
    };
    let homes = BTreeMap::from([("sync".parse().unwrap(), vec![home])]);
    let world = World {
        groups: &[],
        processes: &processes,
        pidfiles: &BTreeMap::new(),
        agent: 9,
        agent_at: &CgroupPath::new("provost.slice/provost-agent.slice"),
        anchors: &BTreeSet::new(),
        systemd: true,
    };
    belongs(&policy(components), &world, &homes, pid).map(|name| name.to_string())
}

#[test]
fn one_process_is_judged_as_a_look_would() {
    let sync = || with_rule("sync", Priority::Low, exe("/usr/bin/rsync"));
    let rsync = |cgroup: &str| vec![process(200, 100, "/usr/bin/rsync", cgroup)];
    assert_eq!(belonging(vec![sync()], rsync(SESSION), 200).as_deref(), Some("sync"));
    for kept in
        ["system.slice/backup.service", "provost.slice/provost-low.slice/provost-sync.scope"]
    {
        assert_eq!(belonging(vec![sync()], rsync(kept), 200), None, "{kept}");
    }
    assert_eq!(belonging(vec![], rsync(SESSION), 200), None);
    assert_eq!(belonging(vec![sync()], rsync(SESSION), 201), None);
    let of_user = Rule { users: Some(vec![1000]), specificity: 2, ..exe("/usr/bin/rsync") };
    let both = vec![sync(), with_rule("hers", Priority::Low, of_user)];
    assert_eq!(belonging(both, rsync(SESSION), 200).as_deref(), Some("hers"));
    let mut shell = process(200, 100, "/usr/bin/bash", SESSION);
    shell.session = 200;
    let bash = with_rule("sync", Priority::Low, exe("/usr/bin/bash"));
    assert_eq!(belonging(vec![bash], vec![shell], 200), None, "a login's own shell stays");
}
