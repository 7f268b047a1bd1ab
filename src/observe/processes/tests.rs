//! What is known of a process whose program changes: a /proc of made-up processes.
#![allow(clippy::disallowed_methods, reason = "test code makes a /proc")]

use super::*;
use crate::units::Span;
use std::path::PathBuf;

/// A /proc of made-up processes.
struct Host {
    root: PathBuf,
}

impl Host {
    fn new(name: &str) -> Self {
        let name = format!("provost-processes-{name}-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _gone = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        Self { root }
    }

    /// A process that runs `exe`.
    fn put(&self, (pid, parent): (i32, i32), exe: &str) {
        let folder = self.root.join(pid.to_string());
        let _before = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let comm = exe.rsplit('/').next().unwrap();
        let rest = "0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0";
        let stat = format!("{pid} ({comm}) S {parent} {pid} {pid} {rest} {} 0 0\n", pid * 10);
        std::fs::write(folder.join("stat"), stat).unwrap();
        std::fs::write(folder.join("status"), "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n").unwrap();
        std::fs::write(folder.join("cmdline"), format!("{exe}\0--quick\0")).unwrap();
        std::os::unix::fs::symlink(exe, folder.join("exe")).unwrap();
        self.move_to(pid, "user.slice");
    }

    fn move_to(&self, pid: i32, cgroup: &str) {
        let file = self.root.join(pid.to_string()).join("cgroup");
        std::fs::write(file, format!("0::/{cgroup}\n")).unwrap();
    }

    fn proc(&self) -> ProcFs {
        ProcFs::at(&self.root)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.root).unwrap();
    }
}

#[test]
fn who_is_about_to_execute_counts_as_the_program() {
    let host = Host::new("about");
    host.put((5, 1), "/usr/bin/make");
    host.put((7, 5), "/bin/sh");
    let program = Path::new("/opt/tools/a-compiler-of-long-name");
    let lineage = about_to_execute(&host.proc(), 7, program);
    let process = &lineage[&7];
    assert_eq!(process.exe.as_deref(), program.to_str());
    assert_eq!(process.comm, "a-compiler-of-l", "as much as the kernel will keep");
    assert_eq!(process.cmdline, "", "not the shell's");
    assert_eq!((process.id, process.parent), (ProcId { pid: 7, start: 70 }, 5));
    let above = &lineage[&5];
    assert_eq!((above.comm.as_str(), above.cmdline.as_str()), ("make", "/usr/bin/make --quick"));
    assert_eq!(lineage.len(), 2, "process 1 is not there to be read");
}

#[test]
fn ancestors_that_go_round_in_circles_end() {
    let host = Host::new("circle");
    host.put((5, 7), "/bin/a");
    host.put((7, 5), "/bin/b");
    assert_eq!(about_to_execute(&host.proc(), 7, Path::new("/bin/c")).len(), 2);
    assert_eq!(about_to_execute(&host.proc(), 8, Path::new("/bin/c")).len(), 0);
}

#[test]
fn a_line_of_ancestors_is_followed_so_far_and_no_further() {
    let host = Host::new("deep");
    (2..200).for_each(|pid| host.put((pid, pid - 1), "/bin/sh"));
    let lineage = about_to_execute(&host.proc(), 199, Path::new("/bin/c"));
    assert_eq!(lineage.len(), MOST_GENERATIONS);
}

#[test]
fn another_program_in_the_same_process_is_noticed() {
    let host = Host::new("again");
    host.put((7, 1), "/bin/sh");
    let mut processes = Processes::new(host.proc());
    assert!(processes.scan());
    assert_eq!(processes.known()[&7].exe.as_deref(), Some("/bin/sh"));
    host.put((7, 1), "/opt/job");
    assert!(!processes.scan(), "the number is known");
    assert!(processes.executed(7, Tick(99)));
    let facts = &processes.known()[&7];
    assert_eq!((facts.exe.as_deref(), facts.exec_at), (Some("/opt/job"), Some(Tick(99))));
    assert!(!processes.moved(facts.id), "nothing else changed");
    assert_eq!(processes.known()[&7].exec_at, Some(Tick(99)), "a move is no execution");
}

#[test]
fn a_program_that_was_replaced_on_disk_is_the_same_program() {
    let host = Host::new("replaced");
    host.put((7, 1), "/opt/job (deleted)");
    host.put((8, 1), "/opt/job (deleted) (deleted)");
    let mut processes = Processes::new(host.proc());
    processes.scan();
    let exe = |pid| processes.known()[&pid].exe.clone().unwrap();
    assert_eq!(exe(7), "/opt/job");
    assert_eq!(exe(8), "/opt/job (deleted)", "the kernel adds it once");
}

#[test]
fn whoever_others_moved_is_seen_when_its_turn_comes() {
    let host = Host::new("round");
    (2..102).for_each(|pid| host.put((pid, 1), "/bin/sh"));
    let mut processes = Processes::new(host.proc());
    let start = Tick::default().plus(Span::secs(100));
    assert!(processes.look(start, Again::AtOnce));
    (2..102).for_each(|pid| host.move_to(pid, "a.slice"));
    let at = |second| start.plus(Span::secs(second));
    assert!(!processes.look(at(1), Again::Nothing), "nobody said so");
    let moved = |processes: &Processes| {
        let there = CgroupPath::new("a.slice");
        processes.known().values().filter(|one| one.cgroup == there).count()
    };
    assert!(processes.look(at(10), Again::InTurn));
    assert_eq!(moved(&processes), 64);
    assert!(processes.look(at(11), Again::Nothing));
    assert_eq!(moved(&processes), 100);
    (2..102).for_each(|pid| host.move_to(pid, "b.slice"));
    assert!(!processes.look(at(12), Again::Nothing), "the round is over");
    assert!(processes.look(at(13), Again::AtOnce) && moved(&processes) == 0);
}
