//! What may be done about a leak, as the last check before a plan is carried out sees it.

use super::*;
use crate::config::OnLeak;
use crate::model::{Hook, LeakTier, Level, Means, Relief};
use crate::units::{CgroupRef, Span};

const HOME: &str = "system.slice/web.service";

fn means() -> [(Means, OnLeak); 3] {
    let (tier, per_hour, until_limit) = (LeakTier::Fast, Bytes::mebi(60), Span::secs(600));
    [
        (Means::TellOfLeak { tier, per_hour, until_limit }, OnLeak::Hook),
        (Means::Reclaim { bytes: Bytes::mebi(32) }, OnLeak::Reclaim),
        (Means::Restart { tasks: None, held: Bytes::mebi(700) }, OnLeak::Restart),
    ]
}

fn plan_of(seen: &Snapshot, at: &str, means: Means) -> Plan {
    let path = CgroupPath::new(at);
    let id = seen.groups[&path].id;
    let (component, at) = ("web".parse().unwrap(), CgroupRef { path, id });
    let relief = Relief { component, at, means, because: "it leaks".to_owned() };
    Plan { actions: vec![Action::Relieve { relief }] }
}

#[test]
fn nothing_is_done_about_a_leak_that_is_not_allowed() {
    for on_leak in [OnLeak::Tell, OnLeak::Hook, OnLeak::Reclaim, OnLeak::Restart] {
        let mut web = component("web", Priority::Normal);
        web.memory.on_leak = on_leak;
        web.hook = Some(Hook {
            command: vec!["/bin/true".to_owned()],
            user: "alice".to_owned(),
            timeout: Span::secs(10),
            from: Level::Warning,
        });
        let job = component("job", Priority::Low);
        let rules = policy([web.clone(), job.clone()]);
        let mut seen = host();
        add_home(&mut seen, &web, HOME);
        for (means, needed) in means() {
            let broken = lint(&rules, &seen, &plan_of(&seen, HOME, means));
            assert_eq!(broken.is_empty(), on_leak >= needed, "{on_leak:?} {means}: {broken:?}");
        }
        let mut shared = seen.clone();
        add_home(&mut shared, &job, "system.slice/web.service/job");
        let mut guarded = seen.clone();
        guarded.groups.get_mut(&CgroupPath::new(HOME)).unwrap().holds_protected = true;
        for (means, _) in means().into_iter().skip(1) {
            for seen in [&shared, &guarded] {
                assert!(!lint(&rules, seen, &plan_of(seen, HOME, means)).is_empty(), "{means}");
            }
        }
    }
}

#[test]
fn only_a_service_is_restarted() {
    let mut web = component("web", Priority::Normal);
    web.memory.on_leak = OnLeak::Restart;
    let mut rules = policy([web.clone()]);
    let [_, _, (restart, _)] = means();
    for (at, may) in [(HOME, true), ("system.slice/web.scope", false), ("web.slice", false)] {
        let mut seen = host();
        add_home(&mut seen, &web, at);
        assert_eq!(lint(&rules, &seen, &plan_of(&seen, at, restart)).is_empty(), may, "{at}");
        rules.protect = vec![crate::config::Glob::new("web.*").unwrap()];
        assert!(!lint(&rules, &seen, &plan_of(&seen, at, restart)).is_empty(), "{at}");
        rules.protect.clear();
    }
}
