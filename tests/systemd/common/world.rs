//! A daemon with folders of its own, and the host as it was when the test is over.

use super::command::{PATIENCE, Ran, run, until};
use serde_json::Value;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The freshly built program.
pub(crate) fn binary() -> String {
    std::env::var("PROVOST_BIN").expect("scripts/vm sets PROVOST_BIN")
}

/// Scratch folders, a configuration, and perhaps a daemon.
#[derive(Debug)]
pub(crate) struct World {
    root: PathBuf,
    daemon: Option<Child>,
}

impl World {
    /// Folders with this configuration; no daemon yet.
    pub(crate) fn new(config: &str) -> Self {
        let root = PathBuf::from(format!("/run/provost-test-{}", std::process::id()));
        std::fs::create_dir_all(root.join("etc/provost")).unwrap();
        let world = Self { root, daemon: None };
        world.configure(config);
        world
    }

    /// A daemon that enforces this configuration, and has looked once.
    #[track_caller]
    pub(crate) fn enforce(config: &str) -> Self {
        let mut world = Self::new(&format!("mode = \"enforce\"\n{config}"));
        world.start();
        world
    }

    pub(crate) fn configure(&self, config: &str) {
        std::fs::write(self.root.join("etc/provost/config.toml"), config).unwrap();
    }

    /// Starts the daemon and waits until it answers.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.root.join("log")).unwrap();
        let mut command = Command::new(binary());
        command.args(self.folders()).arg("start").stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        until("the daemon answers", || {
            let running = self.daemon.as_mut().unwrap().try_wait().unwrap().is_none();
            assert!(running, "the daemon ended:\n{}", self.log());
            (self.run(&["status"]).code == 0).then_some(())
        });
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.daemon.as_ref().unwrap().id()).unwrap()
    }

    pub(crate) fn folders(&self) -> Vec<String> {
        let below = |name: &str| self.root.join(name).display().to_string();
        vec![
            format!("--config-root={}", self.root.display()),
            format!("--run-dir={}", below("run")),
            format!("--state-dir={}", below("state")),
        ]
    }

    /// Runs a verb of provost on these folders.
    #[track_caller]
    pub(crate) fn run(&self, verb: &[&str]) -> Ran {
        let folders = self.folders();
        let mut arguments: Vec<&str> = folders.iter().map(String::as_str).collect();
        arguments.extend(verb);
        run(&binary(), &arguments)
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        let ran = self.run(&["status", "--json"]);
        assert_eq!(ran.code, 0, "{ran:?}\n{}", self.log());
        ran.json()
    }

    /// Asks for the status until it satisfies.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, satisfied: impl Fn(&Value) -> bool) -> Value {
        let began = std::time::Instant::now();
        loop {
            let status = self.status();
            if satisfied(&status) {
                return status;
            }
            let text = || self.run(&["status"]).stdout;
            assert!(began.elapsed() < PATIENCE, "not so: {what}\n{}{}", text(), self.log());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Waits until these components live somewhere and everything that is wanted of them is in force.
    #[track_caller]
    pub(crate) fn settled(&self, names: &[&str]) -> Value {
        self.until(&format!("{names:?} settled"), |status| {
            names.iter().all(|name| is_settled(component(status, name)))
        })
    }

    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.root.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Stops the daemon by its verb and waits for its end.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.run(&["stop"]).ok();
        let ended = self.daemon.take().unwrap().wait().unwrap();
        assert!(ended.success(), "{ended}\n{}", self.log());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the daemon's log:\n{}", self.log());
        }
        if let Some(mut daemon) = self.daemon.take() {
            run("kill", &["-CONT", &daemon.id().to_string()]);
            run("kill", &["-TERM", &daemon.id().to_string()]);
            let _ended = daemon.wait();
        }
        self.run(&["restore", "--all"]);
        run("systemctl", &["stop", "--quiet", "provost-*.scope"]);
        for slice in ["provost-*.slice", "provost.slice"] {
            run("systemctl", &["stop", "--quiet", slice]);
        }
        let _gone = std::fs::remove_dir_all(&self.root);
    }
}

/// A component of a status report.
#[track_caller]
pub(crate) fn component<'a>(status: &'a Value, name: &str) -> &'a Value {
    let components = status["components"].as_array().unwrap();
    components.iter().find(|component| component["name"] == name).expect("the component is there")
}

fn is_settled(component: &Value) -> bool {
    let homes = component["homes"].as_array().unwrap();
    let knobs = || homes.iter().flat_map(|home| home["knobs"].as_array().unwrap());
    let in_force = |knob: &Value| {
        matches!(
            knob["standing"].as_str().unwrap(),
            "set by provost" | "already so" | "near enough"
        )
    };
    !homes.is_empty()
        && component["loose"].as_array().unwrap().is_empty()
        && knobs().next().is_some()
        && knobs().all(in_force)
}

/// The texts of the findings.
pub(crate) fn findings(status: &Value) -> Vec<String> {
    let findings = status["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["text"].as_str().unwrap().to_owned()).collect()
}
