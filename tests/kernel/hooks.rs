//! Hooks: what one may do, when it is called, and that nobody waits for it or is left behind by it.

use crate::common::{Agent, eventually, text, within};
use crate::ladder::Stage;
use nix::sys::signal::Signal;
use provost::units::CgroupPath;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const GROUP: &str = "provost.hook-hog.scope";
const WITHIN: Duration = Duration::from_secs(120);

/// A hog with a hook that runs this script as alice.
struct Hooked {
    stage: Stage,
    agent: Agent,
    /// A folder in which everybody may write.
    out: PathBuf,
}

impl Hooked {
    fn new(name: &str, timeout: &str, script: &str) -> Option<Self> {
        let stage = Stage::new(name)?;
        let out = stage.world.dir.join("out");
        std::fs::create_dir_all(&out).unwrap();
        std::fs::set_permissions(&out, PermissionsExt::from_mode(0o777)).unwrap();
        let script = script.replace("OUT", out.to_str().unwrap());
        let hook = format!(
            "[component.hog.hook]\nuser = \"alice\"\ntimeout = \"{timeout}\"\n\
             command = [\"/bin/sh\", \"-c\", '''{script}''']\n"
        );
        let agent =
            Agent::new(&stage.world, "enforce", &(stage.components("freeze") + hook.as_str()));
        // Accounts are looked up where the configuration is.
        std::fs::copy("/etc/passwd", stage.world.dir.join("agent/root/etc/passwd")).unwrap();
        Some(Self { stage, agent, out })
    }

    fn begin(&mut self) {
        self.stage.takes_nearly_all();
        self.agent.start();
    }

    fn wrote(&self, name: &str) -> bool {
        within(WITHIN, || self.out.join(name).exists())
    }

    fn explained(&self) -> String {
        self.agent.say(&["explain", "hog"]).out
    }

    /// Whether a process lives in the hook's group.
    fn runs(&self) -> bool {
        let group = self.stage.world.fs.group(&CgroupPath::new(GROUP));
        group.is_ok_and(|group| group.is_populated())
    }

    fn is_swept(&self) -> bool {
        self.stage.world.fs.group(&CgroupPath::new(GROUP)).is_err()
    }
}

/// What the hook says of itself, one fact a line.
const SELF: &str = r#"
exec >OUT/new 2>&1
read -r frozen </sys/fs/cgroup/$PROVOST_CGROUP/cgroup.freeze
ls /proc/$$/fd
echo fds above
cat /proc/$$/environ | tr '\0' '\n'
echo variables above
id -u; id -g; id -G
pwd
cat /proc/self/cgroup
cat /proc/self/oom_score_adj
readlink /proc/$$/fd/0
grep -E 'NoNewPrivs|CapEff|CapPrm|CapBnd' /proc/self/status
echo frozen $frozen
echo 1 > /sys/fs/cgroup/$PROVOST_CGROUP/cgroup.freeze || echo may not write
mv OUT/new OUT/said
"#;

#[test]
fn a_component_is_told_as_its_user_before_it_stands_still() {
    let Some(mut hooked) = Hooked::new("told", "10s", SELF) else { return };
    hooked.begin();
    let began = Instant::now();
    assert!(hooked.wrote("said"), "{}\n{}", hooked.explained(), hooked.agent.log());
    println!("FIGURE hooks: told after {:?}", began.elapsed());
    let said = text(&hooked.out.join("said"));
    let (fds, rest) = said.split_once("fds above\n").unwrap();
    assert_eq!(fds, "0\n1\n2\n");
    let (variables, rest) = rest.split_once("variables above\n").unwrap();
    let mut variables: Vec<&str> = variables.lines().collect();
    variables.sort_unstable();
    let group = hooked.stage.hog.at().path.clone();
    assert_eq!(variables[0], format!("PROVOST_CGROUP={group}"));
    assert_eq!(variables[1], "PROVOST_COMPONENT=hog");
    assert!(
        ["PROVOST_LEVEL=warning", "PROVOST_LEVEL=critical", "PROVOST_LEVEL=emergency"]
            .contains(&variables[2])
    );
    let waits = variables[3].strip_prefix("PROVOST_PRESSURE=").unwrap();
    assert!(waits.parse::<u32>().unwrap() <= 100, "{waits}");
    assert_eq!(variables[4..], ["PROVOST_RESOURCE=memory"]);
    let facts: Vec<&str> = rest.lines().collect();
    assert_eq!(facts[..3], ["1000", "1000", "1000"], "{said}");
    assert_eq!(facts[3..7], ["/", &format!("0::/{GROUP}"), "0", "/dev/null"], "{said}");
    assert!(said.contains("NoNewPrivs:\t1"), "{said}");
    assert!(said.contains("CapEff:\t0000000000000000"), "{said}");
    assert!(said.contains("CapPrm:\t0000000000000000"), "{said}");
    // In an emergency it has two seconds, which an emulated guest may need to start a shell.
    let in_time = said.contains("frozen 0") || variables[2] == "PROVOST_LEVEL=emergency";
    assert!(in_time && said.contains("may not write"), "{said}");
    assert!(within(WITHIN, || hooked.stage.stands()), "{}", hooked.agent.log());
    assert!(hooked.explained().contains("hook: done"), "{}", hooked.explained());
    eventually("its group is gone", || hooked.is_swept());
    assert_eq!(hooked.agent.end(Signal::SIGTERM), Some(0));
}

#[test]
fn nobody_waits_for_a_hook_that_hangs_and_nothing_is_left_of_it() {
    let script = "echo begun; setsid sleep 900 & echo on >OUT/begun; sleep 900";
    let Some(mut hooked) = Hooked::new("hangs", "20s", script) else { return };
    hooked.begin();
    assert!(hooked.wrote("begun"), "{}\n{}", hooked.explained(), hooked.agent.log());
    let began = Instant::now();
    assert!(within(WITHIN, || hooked.stage.stands()), "{}", hooked.agent.log());
    let stood = began.elapsed();
    assert!(hooked.runs(), "the ladder went on meanwhile: {stood:?}");
    let ended = within(WITHIN, || hooked.explained().contains("killed after 20s"));
    println!(
        "FIGURE hooks: stood still after {stood:?}, the hook ended after {:?}",
        began.elapsed()
    );
    assert!(ended, "{}\n{}", hooked.explained(), hooked.agent.log());
    eventually("nobody is left, whatever its session", || hooked.is_swept());
    assert!(hooked.agent.log().contains("begun"), "what it wrote is in the log");
    assert_eq!(hooked.agent.end(Signal::SIGTERM), Some(0));
}

#[test]
fn a_hook_ends_with_the_daemon_however_that_ends() {
    let Some(mut hooked) = Hooked::new("ends", "60s", "echo on >OUT/begun; exec sleep 900") else {
        return;
    };
    hooked.begin();
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        assert!(hooked.wrote("begun"), "{}\n{}", hooked.explained(), hooked.agent.log());
        assert!(hooked.runs());
        hooked.agent.end(signal);
        eventually("it ended", || !hooked.runs());
        std::fs::remove_file(hooked.out.join("begun")).unwrap();
        hooked.agent.start();
    }
    assert_eq!(hooked.agent.end(Signal::SIGTERM), Some(0));
    eventually("its group is gone", || hooked.is_swept());
}
