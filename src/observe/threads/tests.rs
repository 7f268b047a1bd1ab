//! Threads of this very process stand in for a component's: they are found by name, read again, and gone when they end.
#![allow(clippy::disallowed_methods, reason = "test code makes a home")]

use super::*;
use crate::kernel::host;
use crate::kernel::probe::Roots;
use crate::kernel::process::scheduler;
use crate::model::HomeKind;
use crate::testing::{policy, realtime_component};
use crate::units::CgroupRef;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// A thread of this name that lives until its sender is dropped.
fn thread(name: &str) -> (Sender<()>, JoinHandle<()>) {
    let (end, ended) = channel::<()>();
    let (tell, told) = channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        tell.send(()).unwrap();
        let _ended = ended.recv();
    });
    told.recv().unwrap();
    (end, thread.unwrap())
}

/// A folder that stands in for a home: its file lists this process' threads.
fn home(name: &str) -> (std::path::PathBuf, CgroupFs) {
    let root = std::env::temp_dir().join(format!("provost-threads-{name}-{}", std::process::id()));
    std::fs::create_dir_all(root.join("engine")).unwrap();
    let fs = CgroupFs::open_unchecked(&root).unwrap();
    (root, fs)
}

fn list(root: &std::path::Path) {
    let own = i32::try_from(std::process::id()).unwrap();
    let threads = ProcFs::default().threads(own);
    let text: String = threads.iter().map(|thread| format!("{thread}\n")).collect();
    std::fs::write(root.join("engine/cgroup.threads"), text).unwrap();
    std::fs::write(root.join("engine/cpuset.cpus.effective"), "2-3\n").unwrap();
}

#[test]
fn named_threads_are_found_read_again_and_missed_when_they_end() {
    let (root, fs) = home("found");
    let engine = realtime_component("engine");
    let rules = policy([engine.clone()]);
    let mut tree = Tree::default();
    tree.walk(&fs);
    let mut snapshot = Snapshot::new(Tick::default(), host::view(&Roots::host()));
    let path = CgroupPath::new("engine");
    let at = CgroupRef { id: tree.groups()[&path], path: path.clone() };
    snapshot.homes.insert(engine.name.clone(), vec![Home { at, kind: HomeKind::Group }]);
    let mut threads = Threads::new(ProcFs::default());
    let mut buffer = Box::new([0; 16 << 10]);
    let (first, other) = (thread("engine-1"), thread("elsewhere"));
    list(&root);
    let mut look = |now, anew, snapshot: &mut Snapshot| {
        let around = Around { policy: &rules, fs: &fs, tree: &tree, now: Tick(now), anew };
        threads.look(&around, snapshot, &mut buffer)
    };
    assert!(look(1, true, &mut snapshot), "new");
    let seen = snapshot.realtime[&engine.name].clone();
    assert_eq!(seen.threads.len(), 1, "{seen:?}");
    let own = scheduler::get(seen.threads[0].thread.pid).map(|own| own.sched);
    assert_eq!((seen.threads[0].name.as_str(), Ok(seen.threads[0].sched)), ("engine-1", own));
    assert_eq!(seen.cpus[&path].to_string(), "2-3");
    assert!(!look(2, false, &mut snapshot), "nothing changed");
    let second = thread("engine-2");
    list(&root);
    assert!(look(1_000_000, false, &mut snapshot), "somebody was born");
    assert_eq!(snapshot.realtime[&engine.name].threads.len(), 2);
    drop(first.0);
    first.1.join().unwrap();
    list(&root);
    assert!(!look(1_000_001, false, &mut snapshot), "found at the next look");
    assert!(look(1_000_002, false, &mut snapshot));
    assert_eq!(snapshot.realtime[&engine.name].threads[0].name, "engine-2");
    for (end, thread) in [second, other] {
        drop(end);
        thread.join().unwrap();
    }
    std::fs::remove_dir_all(&root).unwrap();
}
