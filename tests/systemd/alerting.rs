//! An alert on its way from the kernel to the journal, to a server and to whoever asks, with the service as it is shipped.

use crate::common::{Unit, run, until};
use crate::shipped::{Installed, journal, provost};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::channel;

const GO: &str = "/run/test-alert-go";

/// A program that wants more than its component may have, once it is told to; what is killed is not the unit's main process.
fn greedy() -> Unit {
    let script = format!(
        "while [ ! -e {GO} ]; do sleep 0.2; done; head -c 300M /dev/zero | tail >/dev/null; exec sleep infinity"
    );
    Unit::start("test-web.service", &["OOMPolicy=continue"], &["sh", "-c", &script])
}

/// A program whose only process is killed: systemd removes the group with the kernel's count in it.
fn greedy_alone() -> Unit {
    let script = format!("while [ ! -e {GO} ]; do sleep 0.2; done; exec tail /dev/zero");
    Unit::start("test-web.service", &[], &["sh", "-c", &script])
}

/// What `provost alerts` shows once the kill is told.
#[track_caller]
fn fires() -> String {
    until("the alert is shown", || {
        let alerts = provost(&["alerts"]).ok();
        alerts.contains("oom-kill/web critical firing").then_some(alerts)
    })
}

#[test]
fn a_kill_that_takes_its_unit_along_is_told() {
    let _gone = std::fs::remove_file(GO);
    let unit = greedy_alone();
    let installed = Installed::new(
        r#"
        mode = "enforce"
        [component.web]
        match = { unit = "test-web.service" }
        memory = { ceiling = "64M", swap = "0" }
        "#,
    );
    installed.start();
    unit.reaches("memory.max", "67108864");
    std::fs::write(GO, "").unwrap();
    let shown = fires();
    assert!(shown.contains("a process of web was killed for want of memory"), "{shown}");
    assert!(unit.knob("memory.max").is_none(), "its group went with it");
    std::fs::remove_file(GO).unwrap();
}

#[test]
fn a_kill_is_told_to_the_journal_a_server_and_whoever_asks() {
    let _gone = std::fs::remove_file(GO);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).unwrap();
            tell.send(String::from_utf8_lossy(&bytes[..length]).into_owned()).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    let unit = greedy();
    let installed = Installed::new(&format!(
        r#"
        mode = "enforce"
        [component.web]
        match = {{ unit = "test-web.service" }}
        memory = {{ ceiling = "64M", swap = "0" }}
        [alerts]
        webhook = {{ url = "http://{address}/alerts" }}
        "#
    ));
    installed.start();
    unit.reaches("memory.max", "67108864");
    std::fs::write(GO, "").unwrap();
    let shown = fires();
    assert!(shown.contains("of web was killed for want of memory"), "{shown}\n{}", journal());
    until("the journal has it", || {
        let found = run("journalctl", &["-b", "PROVOST_ALERT=oom-kill/web", "-o", "cat"]).stdout;
        found.contains("oom-kill/web critical, firing").then_some(())
    });
    let request = until("the server has it", || told.try_recv().ok());
    assert!(request.starts_with("POST /alerts HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\"id\":\"oom-kill/web\""), "{request}");
    provost(&["alerts", "ack", "oom-kill/web"]).ok();
    assert!(provost(&["alerts"]).ok().contains("oom-kill/web critical acknowledged"));
    assert_eq!(provost(&["alerts", "ack", "leak/web"]).code, 1);
    assert!(Path::new("/var/lib/provost/alerts.json").exists());
    std::fs::remove_file(GO).unwrap();
}
