//! Reading the configuration's files: which ones, in which order, and whether they may be trusted.
//!
//! This is the only file of the room that touches the disk. Bounds: 1 MiB a file, 256 files. What the files mean is decided
//! elsewhere. Order and masking follow systemd's `standard-conf`: a file in a stronger directory replaces the one of the same name
//! in a weaker directory, drop-ins are sorted by name over all directories, and later ones win.
#![allow(
    clippy::disallowed_methods,
    reason = "room config: load.rs reads the configuration's files"
)]

use super::accounts::Accounts;
use super::issue::{Code, ConfigIssue, Place, SourceFile};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// The most files that are read.
pub const MAX_FILES: usize = 256;
/// The most bytes of an account file; hosts with 100 000 accounts stay below.
const MAX_ACCOUNT_BYTES: u64 = 16 << 20;

/// Where drop-ins and the main file are looked for, the weakest first: what the vendor ships, what programs keep, what lasts
/// until the next boot, what the administrator wrote.
const DIRECTORIES: [&str; 4] = ["usr/lib/provost", "var/lib/provost", "run/provost", "etc/provost"];

/// Which files make up the configuration.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Directories that hold `config.toml` and `conf.d`, the weakest first; or one single file.
    files: Files,
    /// Whose files are believed.
    trust: Trust,
    /// The account files, for names of users and groups.
    accounts: AccountFiles,
}

#[derive(Debug, Clone)]
enum Files {
    Directories(Vec<PathBuf>),
    Single(PathBuf),
    Text(Arc<SourceFile>),
}

#[derive(Debug, Clone)]
struct AccountFiles {
    passwd: PathBuf,
    group: PathBuf,
}

/// Whose files are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Only files and directories that nobody but root may change.
    RootOnly,
    /// Any file: for a check by hand, and for tests.
    Anyone,
}

impl Sources {
    /// The files of this host. Run as root, they must be root's and closed to others.
    #[must_use]
    pub fn host() -> Self {
        let trust = if nix::unistd::geteuid().is_root() { Trust::RootOnly } else { Trust::Anyone };
        Self::below(Path::new("/"), trust)
    }

    /// The same files below another root directory; the account files as well.
    #[must_use]
    pub fn below(root: &Path, trust: Trust) -> Self {
        Self {
            files: Files::Directories(DIRECTORIES.iter().map(|path| root.join(path)).collect()),
            trust,
            accounts: AccountFiles {
                passwd: root.join("etc/passwd"),
                group: root.join("etc/group"),
            },
        }
    }

    /// One file alone, whoever owns it, with this host's account files.
    #[must_use]
    pub fn single(file: &Path) -> Self {
        Self { files: Files::Single(file.to_owned()), ..Self::below(Path::new("/"), Trust::Anyone) }
    }

    /// A text in memory that is called `name` in messages, with this host's account files.
    #[must_use]
    pub fn text(name: &str, text: &str) -> Self {
        Self {
            files: Files::Text(Arc::new(SourceFile {
                name: name.to_owned(),
                text: text.to_owned(),
            })),
            ..Self::below(Path::new("/"), Trust::Anyone)
        }
    }

    /// The same sources with the account files of another root directory.
    #[must_use]
    pub fn with_accounts_below(mut self, root: &Path) -> Self {
        self.accounts = Self::below(root, self.trust).accounts;
        self
    }

    /// The directories that are watched for changes; none for a single file.
    pub fn directories(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let directories = match &self.files {
            Files::Directories(directories) => directories.as_slice(),
            Files::Single(_) | Files::Text(_) => &[],
        };
        directories.iter().flat_map(|directory| [directory.clone(), directory.join("conf.d")])
    }

    /// Reads the files, the weakest first, and tells what could not be read.
    pub(super) fn read(&self) -> (Vec<Arc<SourceFile>>, Vec<ConfigIssue>) {
        let mut reading = Reading { trust: self.trust, files: Vec::new(), issues: Vec::new() };
        match &self.files {
            Files::Text(file) => reading.files.push(Arc::clone(file)),
            Files::Single(file) => reading.file(file, true),
            Files::Directories(directories) => reading.directories(directories),
        }
        (reading.files, reading.issues)
    }

    /// Reads the account files. A file that is missing or broken names nobody.
    pub(super) fn accounts(&self) -> Accounts {
        let text = |path: &Path| {
            let mut bytes = Vec::new();
            let opened = open(path);
            let read = opened.and_then(|file| file.take(MAX_ACCOUNT_BYTES).read_to_end(&mut bytes));
            read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&bytes).into())
        };
        Accounts::parse(&text(&self.accounts.passwd), &text(&self.accounts.group))
    }
}

struct Reading {
    trust: Trust,
    files: Vec<Arc<SourceFile>>,
    issues: Vec<ConfigIssue>,
}

impl Reading {
    fn directories(&mut self, directories: &[PathBuf]) {
        // The strongest config.toml that is there; an empty one masks the weaker ones.
        let main = directories
            .iter()
            .rev()
            .map(|directory| directory.join("config.toml"))
            .find(|file| file.symlink_metadata().is_ok());
        let mut drop_ins: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for directory in directories {
            if self.trust == Trust::RootOnly {
                self.trusted_directory(directory);
            }
            self.list(&directory.join("conf.d"), &mut drop_ins);
        }
        let found: Vec<PathBuf> = main.into_iter().chain(drop_ins.into_values()).collect();
        if found.len() > MAX_FILES {
            let message = format!(
                "{} configuration files are more than the {MAX_FILES} that are read",
                found.len()
            );
            self.issues.push(
                ConfigIssue::error(Code::TooLarge, message)
                    .help("join some of the files in conf.d"),
            );
        }
        if found.is_empty() {
            self.nothing_in(directories);
        }
        for file in found.iter().take(MAX_FILES) {
            self.file(file, false);
        }
    }

    /// A host without a configuration is no fault: nothing is limited. It is one to believe that it has one.
    fn nothing_in(&mut self, directories: &[PathBuf]) {
        let Some(strongest) = directories.last() else { return };
        let message = format!(
            "there is no configuration: neither {} nor a file in its conf.d",
            strongest.join("config.toml").display()
        );
        let help =
            "nothing is limited without one; config/provost.toml of the sources explains every key";
        self.issues.push(ConfigIssue::warning(Code::NoFile, message).help(help));
    }

    fn list(&mut self, directory: &Path, into: &mut BTreeMap<OsString, PathBuf>) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.unreadable(directory, &error),
        };
        if self.trust == Trust::RootOnly {
            self.trusted_directory(directory);
        }
        for entry in entries {
            let name = match entry {
                Ok(entry) => entry.file_name(),
                Err(error) => return self.unreadable(directory, &error),
            };
            let text = name.to_string_lossy();
            if text.ends_with(".toml") && !text.starts_with('.') {
                let path = directory.join(&name);
                into.insert(name, path);
            } else if text.ends_with(".conf") {
                self.issues.push(
                    ConfigIssue::warning(
                        Code::IgnoredFile,
                        format!("{} is not read", directory.join(&name).display()),
                    )
                    .help("drop-ins of provost end in .toml"),
                );
            }
        }
    }

    /// Reads one file. `wanted` says that it must be there and hold something; a drop-in that is empty or a link to /dev/null masks.
    fn file(&mut self, path: &Path, wanted: bool) {
        let file = match open(path) {
            Ok(file) => file,
            Err(error) => return self.unreadable(path, &error),
        };
        let about = match file.metadata() {
            Ok(about) => about,
            Err(error) => return self.unreadable(path, &error),
        };
        if about.file_type().is_char_device() && !wanted && is_null(&about) {
            return;
        }
        if !about.is_file() {
            let message = format!("{} is no regular file", path.display());
            self.issues.push(ConfigIssue::error(Code::Unreadable, message));
            return;
        }
        if self.trust == Trust::RootOnly {
            self.trusted(path, &about);
        }
        let mut bytes = Vec::new();
        if let Err(error) = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes) {
            return self.unreadable(path, &error);
        }
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
            let message = format!("{} is larger than 1M, the most that is read", path.display());
            self.issues.push(
                ConfigIssue::error(Code::TooLarge, message)
                    .help("split it into several files in conf.d"),
            );
            return;
        }
        self.take(path, bytes);
    }

    fn take(&mut self, path: &Path, bytes: Vec<u8>) {
        let name = path.display().to_string();
        match String::from_utf8(bytes) {
            Ok(text) => self.files.push(Arc::new(SourceFile { name, text })),
            Err(error) => {
                let start = error.utf8_error().valid_up_to();
                // Each bad byte becomes three, after the place that is shown.
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let place =
                    Place { file: Arc::new(SourceFile { name, text }), range: start..start };
                self.issues.push(
                    ConfigIssue::error(Code::NotText, "the file is not UTF-8")
                        .mark(Some(place), "this byte")
                        .help("save the file as UTF-8"),
                );
            }
        }
    }

    fn trusted_directory(&mut self, path: &Path) {
        if let Ok(about) = fs::metadata(path) {
            self.trusted(path, &about);
        }
    }

    fn trusted(&mut self, path: &Path, about: &Metadata) {
        let path = path.display();
        let (problem, cure) = if about.uid() != 0 {
            let owner = about.uid();
            (
                format!("{path} belongs to user {owner}, who could change what root does"),
                format!("chown root {path}"),
            )
        } else if about.mode() & 0o022 != 0 {
            let mode = about.mode() & 0o7777;
            (
                format!("{path} may be changed by others than root (mode {mode:04o})"),
                format!("chmod go-w {path}"),
            )
        } else {
            return;
        };
        self.issues.push(ConfigIssue::error(Code::Untrusted, problem).help(format!("run: {cure}")));
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let message = format!("failed to read {}: {error}", path.display());
        self.issues.push(ConfigIssue::error(Code::Unreadable, message));
    }
}

/// Opens for reading without waiting (a pipe would) and without becoming somebody's terminal. Links are followed: what counts is who
/// owns the file that was opened and the directory that holds the link.
fn open(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
}

/// Whether this is /dev/null: character device 1:3 on every Linux.
fn is_null(about: &Metadata) -> bool {
    (libc::major(about.rdev()), libc::minor(about.rdev())) == (1, 3)
}
