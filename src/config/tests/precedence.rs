//! Files on disk: which are read, in which order, and whose are believed.

use super::host;
use crate::config::{
    Code, Colour, ConfigIssue, Loaded, MAX_FILES, Mode, Sources, Strategy, Trust, load, render,
};
use crate::units::Span;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A root directory that is removed at the end.
struct Root(PathBuf);

impl Root {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("provost-config-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, file: &str) -> PathBuf {
        let path = self.0.join(file);
        let folder = path.parent().unwrap();
        if !folder.exists() {
            fs::create_dir_all(folder).unwrap();
            // Whatever the umask is: a folder that the group may write to would be refused.
            for folder in folder.ancestors().take_while(|folder| *folder != self.0) {
                fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        path
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn load_as(&self, trust: Trust) -> Result<Loaded, Vec<ConfigIssue>> {
        load(&Sources::below(&self.0, trust), &host())
    }

    fn load(&self) -> Loaded {
        match self.load_as(Trust::Anyone) {
            Ok(loaded) => loaded,
            Err(issues) => panic!("{}", render(&issues, Colour::Never)),
        }
    }

    fn issues(&self) -> Vec<ConfigIssue> {
        self.load_as(Trust::Anyone).unwrap_err()
    }

    /// Text without the root's path.
    fn scrub(&self, text: &str) -> String {
        text.replace(self.0.to_str().unwrap(), "")
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn codes(issues: &[ConfigIssue]) -> Vec<Code> {
    issues.iter().map(|issue| issue.code).collect()
}

#[test]
fn no_files_at_all_observe() {
    let root = Root::new();
    let loaded = root.load();
    assert_eq!(loaded.policy.mode, Mode::Observe);
    assert!(loaded.policy.components.is_empty());
    insta::assert_snapshot!("no-file", root.scrub(&render(&loaded.warnings, Colour::Never)));
    root.write("usr/lib/provost/conf.d/10-web.toml", "");
    assert!(root.load().warnings.is_empty(), "what a package ships is a configuration");
}

#[test]
fn etc_replaces_the_vendors_main_file_whole() {
    let root = Root::new();
    root.write("usr/lib/provost/config.toml", "mode = \"enforce\"\nstrategy = \"aggressive\"\n");
    assert_eq!(root.load().policy.mode, Mode::Enforce);
    root.write("etc/provost/config.toml", "strategy = \"adaptive\"\n");
    let policy = root.load().policy;
    assert_eq!(policy.mode, Mode::Observe);
    assert_eq!(policy.strategy, Strategy::Adaptive);
}

#[test]
fn drop_ins_are_sorted_by_name_over_all_directories() {
    let root = Root::new();
    root.write("etc/provost/config.toml", "interval = \"1s\"\n");
    root.write("etc/provost/conf.d/20-a.toml", "interval = \"2s\"\n");
    root.write("usr/lib/provost/conf.d/30-b.toml", "interval = \"3s\"\n");
    assert_eq!(root.load().policy.interval, Span::secs(3));
    root.write("run/provost/conf.d/40-c.toml", "interval = \"4s\"\n");
    assert_eq!(root.load().policy.interval, Span::secs(4));
    root.write("var/lib/provost/conf.d/50-d.toml", "interval = \"5s\"\n");
    assert_eq!(root.load().policy.interval, Span::secs(5));
}

#[test]
fn a_file_of_the_same_name_replaces_the_weaker_one() {
    let root = Root::new();
    for (place, interval) in [("usr/lib", 2), ("var/lib", 3), ("run", 4), ("etc", 5)] {
        let text = format!("interval = \"{interval}s\"\n");
        root.write(&format!("{place}/provost/conf.d/50-x.toml"), text);
        let loaded = root.load();
        assert_eq!(loaded.policy.interval, Span::secs(interval), "{place}");
        assert_eq!(loaded.merged.files().count(), 1, "{place}");
    }
}

#[test]
fn a_link_to_null_and_an_empty_file_mask() {
    let root = Root::new();
    root.write("usr/lib/provost/conf.d/50-x.toml", "interval = \"2s\"\n");
    symlink("/dev/null", root.path("etc/provost/conf.d/50-x.toml")).unwrap();
    assert_eq!(root.load().policy.interval, Span::secs(1));
    root.write("usr/lib/provost/conf.d/60-y.toml", "interval = \"3s\"\n");
    assert_eq!(root.load().policy.interval, Span::secs(3));
    root.write("etc/provost/conf.d/60-y.toml", "");
    assert_eq!(root.load().policy.interval, Span::secs(1));
    root.write("usr/lib/provost/config.toml", "mode = \"enforce\"\n");
    symlink("/dev/null", root.path("etc/provost/config.toml")).unwrap();
    assert_eq!(root.load().policy.mode, Mode::Observe);
}

#[test]
fn tables_are_merged_and_lists_replaced() {
    let root = Root::new();
    root.write(
        "etc/provost/config.toml",
        "protect = [\"a.service\", \"b.service\"]\n[component.web]\nmatch = { unit = \"nginx.service\" }\nmemory = { guarantee = \"512M\", ceiling = \"1G\" }\n",
    );
    root.write(
        "etc/provost/conf.d/60-more.toml",
        "protect = [\"c.service\"]\n[component.web.memory]\nceiling = \"2G\"\n[component.db]\nmatch = { unit = \"postgresql@16-main.service\" }\n",
    );
    let loaded = root.load();
    assert_eq!(loaded.policy.protect.len(), 1);
    assert_eq!(loaded.policy.components.len(), 2);
    let merged = root.scrub(&loaded.merged.to_toml());
    insta::assert_snapshot!("merged", merged);
    let json = serde_json::to_string_pretty(&loaded.merged.to_json()).unwrap();
    insta::assert_snapshot!("merged-json", root.scrub(&json));
}

#[test]
fn a_contradiction_between_two_files_shows_both() {
    let root = Root::new();
    root.write(
        "usr/lib/provost/conf.d/10-web.toml",
        "# from the package\n[component.web]\nmatch = { unit = \"nginx.service\" }\nmemory.guarantee = \"2G\"\n",
    );
    root.write("etc/provost/conf.d/60-web.toml", "[component.web]\nmemory.ceiling = \"1G\"\n");
    let issues = root.issues();
    insta::assert_snapshot!("two-files", root.scrub(&render(&issues, Colour::Never)));
}

#[test]
fn problems_of_all_files_are_told_together() {
    let root = Root::new();
    root.write("etc/provost/config.toml", "mode = \"enforced\"\n");
    root.write("etc/provost/conf.d/10-a.toml", "intervall = \"1s\"\n");
    root.write("etc/provost/conf.d/20-b.toml", "strategy = \n");
    root.write("etc/provost/conf.d/30-c.toml", b"on-stop = \"\xff\"\n");
    root.write("etc/provost/conf.d/40-d.conf", "");
    assert_eq!(
        codes(&root.issues()),
        [Code::IgnoredFile, Code::NotText, Code::UnknownWord, Code::UnknownKey, Code::Syntax]
    );
}

#[test]
fn other_files_of_conf_d_are_left_alone() {
    let root = Root::new();
    root.write("etc/provost/config.toml", "");
    for name in ["README", ".hidden.toml", "50-x.toml~", "50-x.toml.dpkg-old"] {
        root.write(&format!("etc/provost/conf.d/{name}"), "no toml at all");
    }
    assert!(root.load().warnings.is_empty());
}

#[test]
fn an_ignored_drop_in_is_a_warning() {
    let root = Root::new();
    root.write("etc/provost/config.toml", "");
    root.write("etc/provost/conf.d/50-web.conf", "mode = \"enforce\"\n");
    let loaded = root.load();
    assert_eq!(codes(&loaded.warnings), [Code::IgnoredFile]);
    insta::assert_snapshot!("ignored-file", root.scrub(&render(&loaded.warnings, Colour::Never)));
}

#[test]
fn bounds_are_kept() {
    let root = Root::new();
    root.write("etc/provost/config.toml", vec![b'#'; (1 << 20) + 1]);
    assert_eq!(codes(&root.issues()), [Code::TooLarge]);
    root.write("etc/provost/config.toml", vec![b'#'; 1 << 20]);
    assert!(root.load().warnings.is_empty());
    for number in 0..MAX_FILES {
        root.write(&format!("etc/provost/conf.d/{number:03}.toml"), "");
    }
    assert_eq!(codes(&root.issues()), [Code::TooLarge]);
}

#[test]
fn no_more_components_than_are_kept() {
    let root = Root::new();
    let mut text = String::new();
    for number in 0..1025 {
        text.push_str(&format!(
            "[component.c{number}]\nmatch = {{ unit = \"c{number}.service\" }}\n"
        ));
    }
    root.write("etc/provost/config.toml", &text);
    assert_eq!(codes(&root.issues()), [Code::TooLarge]);
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let root = Root::new();
    let pipe = root.path("etc/provost/conf.d/10-pipe.toml");
    let name = CString::new(pipe.to_str().unwrap()).unwrap();
    nix::unistd::mkfifo(name.as_c_str(), nix::sys::stat::Mode::S_IRUSR).unwrap();
    fs::create_dir_all(root.path("etc/provost/conf.d/20-folder.toml")).unwrap();
    symlink("/dev/zero", root.path("etc/provost/conf.d/30-zero.toml")).unwrap();
    symlink("nowhere", root.path("etc/provost/conf.d/40-dangling.toml")).unwrap();
    let issues = root.issues();
    assert_eq!(codes(&issues), [Code::Unreadable; 4]);
    insta::assert_snapshot!("unreadable", root.scrub(&render(&issues, Colour::Never)));
}

#[test]
fn root_believes_only_roots_files() {
    let root = Root::new();
    root.write("etc/provost/config.toml", "mode = \"observe\"\n");
    root.write("etc/provost/conf.d/10-open.toml", "");
    root.write("etc/provost/conf.d/20-foreign.toml", "");
    if !nix::unistd::geteuid().is_root() {
        // Whoever is not root owns these files: two folders and three files that root would not believe.
        let issues = root.load_as(Trust::RootOnly).unwrap_err();
        assert_eq!(codes(&issues), [Code::Untrusted; 5]);
        return;
    }
    assert!(root.load_as(Trust::RootOnly).is_ok());
    let open = root.path("etc/provost/conf.d/10-open.toml");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o664)).unwrap();
    let foreign = root.path("etc/provost/conf.d/20-foreign.toml");
    std::os::unix::fs::chown(&foreign, Some(1000), None).unwrap();
    let folder = root.path("etc/provost");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(root.load_as(Trust::Anyone).is_ok());
    let issues = root.load_as(Trust::RootOnly).unwrap_err();
    assert_eq!(codes(&issues), [Code::Untrusted; 3]);
    insta::assert_snapshot!("untrusted", root.scrub(&render(&issues, Colour::Never)));
}

#[test]
fn a_single_file_is_checked_alone_and_must_be_there() {
    let root = Root::new();
    root.write("etc/provost/config.toml", "mode = \"enforce\"\n");
    root.write("mine.toml", "strategy = \"adaptive\"\n");
    let loaded = load(&Sources::single(&root.path("mine.toml")), &host()).unwrap();
    assert_eq!(loaded.policy.mode, Mode::Observe);
    let missing = load(&Sources::single(Path::new("/nowhere/x.toml")), &host());
    assert_eq!(codes(&missing.unwrap_err()), [Code::Unreadable]);
    let null = load(&Sources::single(Path::new("/dev/null")), &host());
    assert_eq!(codes(&null.unwrap_err()), [Code::Unreadable]);
}

#[test]
fn the_watched_directories_are_those_that_are_read() {
    let sources = Sources::below(Path::new("/x"), Trust::Anyone);
    let watched: Vec<PathBuf> = sources.directories().collect();
    assert_eq!(watched.len(), 8);
    assert!(watched.contains(&PathBuf::from("/x/etc/provost")));
    assert!(watched.contains(&PathBuf::from("/x/var/lib/provost/conf.d")));
}
